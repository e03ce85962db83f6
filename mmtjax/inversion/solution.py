"""The answer: magnetizations with their uncertainties, and the signs by which to believe them or not."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pandas
import xarray
from jaxtyping import Array, Bool, Float

from mmtjax.errors import InversionError
from mmtjax.estimators.least_squares import Factored, Fit
from mmtjax.scan.scan import Scan
from mmtjax.selection import crowded_signal_strength, expected_uncertainty_ratio, signal_strength_ratio
from mmtjax.sources.grains import Grains
from mmtjax.uncertainty.confidence import confidence_radius, joint_bootstrap_radius, uncertainty_ratio
from mmtjax.uncertainty.covariance import correlation, covariance_matrix, grain_correlation, standard_deviation
from mmtjax.units import A_M2_PER_A_PER_M_UM3, MAGNETITE_SATURATION


class Solution(eqx.Module):
    """Magnetizations of all grains, their uncertainties, and how well they explain the scan.

    Attributes
    ----------
    grains, scan
        What went in.
    magnetization
        M, (grain, 3), A/m.
    covariance
        3 × 3 blocks of C = σ²(QᵀQ)⁻¹, eq. 11, (grain, 3, 3), (A/m)².
    confidence_radius
        Radius of the sphere that holds the truth with probability `level`, (grain,), A/m.
    forward, residual
        Field of the solution, and measured minus forward field, (ny, nx), nT.
    noise
        Standard deviation used, nT: one number, or the map that was given.
    reduced_chi_square
        Sum of squares of residual over noise, per degree of freedom: 1 where noise explains the residual.
    effective_unknowns
        Number of unknowns that the data determine; fewer than 3 × grains with a prior.
    condition
        Estimated condition number of Q with columns scaled to norm one (and the prior, where there is one).
    factor, scale
        Triangular R and column norms s with C = diag(1/s) R⁻¹ R⁻ᵀ diag(1/s) · variance; None by subdomains.
    variance
        Square of the noise relative to the weights of the sensors.
    method
        ``"cholesky"``, ``"orthogonal"`` or ``"subdomains"``.
    level
        Probability of the confidence sphere.
    prior
        Standard deviation of the prior of every component, A/m, or None.
    failure
        Why the uncertainties cannot be vouched for, with the remedy; None where they can.
    warnings
        What to know before believing the result.
    radius_error
        Standard deviation of the confidence radius as a share of it, (grain,), by subdomains; None where it is exact.
    """

    grains: Grains
    scan: Scan
    magnetization: Float[Array, "grain 3"]
    covariance: Float[Array, "grain 3 3"]
    confidence_radius: Float[Array, " grain"]
    forward: Float[Array, "ny nx"]
    residual: Float[Array, "ny nx"]
    noise: Float[np.ndarray | Array, "..."]
    reduced_chi_square: Float[Array, ""]
    effective_unknowns: Float[Array, ""]
    condition: Float[Array, ""]
    factor: Float[Array, "unknown unknown"] | None
    scale: Float[Array, " unknown"] | None
    variance: Float[Array, ""]
    method: str = eqx.field(static=True)
    level: float = eqx.field(static=True)
    prior: float | None = eqx.field(static=True)
    failure: str | None = eqx.field(static=True, default=None)
    warnings: tuple[str, ...] = eqx.field(static=True, default=())
    radius_error: Float[Array, " grain"] | None = None

    @property
    def uncertainty_ratio(self) -> Float[Array, " grain"]:
        """Radius of the confidence sphere over the magnetization (equation 12), as a fraction."""
        return uncertainty_ratio(self.magnetization, self.confidence_radius)

    @property
    def signal_strength_ratio(self) -> Float[np.ndarray | Array, " grain"]:
        """``SSR = V / (R³ d)`` (equation 13), µm⁻¹."""
        return signal_strength_ratio(self.grains, self.scan.grid.height)

    @property
    def crowded_signal_strength(self) -> Float[np.ndarray | Array, " grain"]:
        """``V^a / (R^b (1 + N)^c)`` with the learned exponents, see `mmtjax.crowded_signal_strength`; lengths in µm."""
        return crowded_signal_strength(self.grains, self.scan.grid.height)

    @property
    def expected_uncertainty_ratio(self) -> Float[Array, " grain"]:
        """Radius of the confidence sphere over the magnetization that equation 1 expects, as a fraction.

        Known without a map, unless the noise was taken from the residual.
        """
        return expected_uncertainty_ratio(self.grains.volume, self.confidence_radius)

    @property
    def standard_deviation(self) -> Float[Array, "grain 3"]:
        """Standard deviations of the components, A/m."""
        return standard_deviation(self.covariance)

    @property
    def magnitude(self) -> Float[Array, " grain"]:
        """Norm of the magnetization, A/m."""
        return jnp.linalg.norm(self.magnetization, axis=1)

    @property
    def beyond_saturation(self) -> Bool[Array, " grain"]:
        """Whether a grain is magnetized beyond the saturation of magnetite, which no grain of rock can be."""
        return self.magnitude > MAGNETITE_SATURATION

    def trusted(self, limit: float = 0.10) -> Bool[Array, " grain"]:
        """Which grains to believe: ratio within `limit` at the noise that the residual shows, below saturation.

        Where the residual is larger than the noise explains (reduced χ² > 1), radii are widened by √χ², for whatever
        else disturbs the map disturbs the solution too.
        """
        widened = self.uncertainty_ratio * jnp.sqrt(jnp.maximum(self.reduced_chi_square, 1.0))
        return (widened <= limit) & ~self.beyond_saturation

    def covariance_matrix(self) -> Float[Array, "unknown unknown"]:
        """The whole covariance C of all grains, (3 grains, 3 grains), (A/m)²."""
        return covariance_matrix(*self._whole_factor(), variance=self.variance)

    def correlation(self) -> Float[Array, "unknown unknown"]:
        """Correlations between all components of all grains."""
        return correlation(self.covariance_matrix())

    def grain_correlation(self) -> Float[Array, "grain grain"]:
        """Largest correlation, by magnitude, between a component of one grain and one of another; 1 on the diagonal.

        Grains that correlate strongly share a signal that the scan cannot divide between them (section 4.5).
        """
        return grain_correlation(self.correlation())

    def bootstrap_radius(self, key: Array, *, draws: int = 10_000) -> Float[Array, " grain"]:
        """Radius of the confidence sphere from joint draws of all grains, as section 2.2.2 of the paper does, A/m."""
        return joint_bootstrap_radius(key, *self._whole_factor(), variance=self.variance, draws=draws, level=self.level)

    def _whole_factor(self) -> tuple[Float[Array, "unknown unknown"], Float[Array, " unknown"]]:
        if self.factor is None or self.scale is None:
            raise ValueError(
                "correlations between grains are not known: the sample was solved by subdomains, which give the "
                "covariance of each grain with itself; crop the scan and the grains and use `mmtjax.invert`"
            )
        return self.factor, self.scale

    def check(self) -> "Solution":
        """Return the solution, or raise `InversionError` if it has failed."""
        if self.failure is not None:
            raise InversionError(self.failure)
        return self

    def table(self, limit: float = 0.10) -> pandas.DataFrame:
        """One row per grain, in the order of the input; units are in ``attrs["units"]``.

        Declination is clockwise from +y, inclination positive down.
        """
        grains, magnetization = self.grains, np.asarray(self.magnetization)
        position, magnitude = np.asarray(grains.position), np.asarray(self.magnitude)
        spread, moment = np.asarray(self.standard_deviation), A_M2_PER_A_PER_M_UM3 * np.asarray(grains.volume)
        horizontal = np.hypot(magnetization[:, 0], magnetization[:, 1])
        columns = {
            "id": (grains.ids, ""),
            "x": (position[:, 0], "µm"),
            "y": (position[:, 1], "µm"),
            "z": (position[:, 2], "µm"),
            "depth": (np.asarray(self.scan.grid.height) - position[:, 2], "µm"),
            "volume": (grains.volume, "µm³"),
            "diameter": (grains.equivalent_diameter, "µm"),
            "mx": (magnetization[:, 0], "A/m"),
            "my": (magnetization[:, 1], "A/m"),
            "mz": (magnetization[:, 2], "A/m"),
            "magnetization": (magnitude, "A/m"),
            "sd_mx": (spread[:, 0], "A/m"),
            "sd_my": (spread[:, 1], "A/m"),
            "sd_mz": (spread[:, 2], "A/m"),
            "confidence_radius": (self.confidence_radius, "A/m"),
            "uncertainty_ratio": (self.uncertainty_ratio, "1"),
            "expected_uncertainty_ratio": (self.expected_uncertainty_ratio, "1"),
            "signal_strength_ratio": (self.signal_strength_ratio, "µm⁻¹"),
            "crowded_signal_strength": (self.crowded_signal_strength, ""),
            "moment": (magnitude * moment, "A m²"),
            "declination": (np.degrees(np.arctan2(magnetization[:, 0], magnetization[:, 1])) % 360, "°"),
            "inclination": (np.degrees(np.arctan2(-magnetization[:, 2], horizontal)), "°"),
            "beyond_saturation": (self.beyond_saturation, ""),
            "trusted": (self.trusted(limit), ""),
        }
        if self.radius_error is not None:
            columns["radius_error"] = (self.radius_error, "1")
        table = pandas.DataFrame({name: np.asarray(values) for name, (values, _) in columns.items()})
        table.attrs["units"] = {name: unit for name, (_, unit) in columns.items()}
        table.attrs["notes"] = (
            "axes x, y, z right-handed, z up, sample surface at z = 0; depth is the distance from the centroid to the "
            "scanning plane; declination clockwise from +y, inclination positive down; "
            f"confidence_radius at {self.level:.0%}; uncertainty_ratio = confidence_radius / magnetization; "
            "expected_uncertainty_ratio = confidence_radius / magnetization of equation 1 of Out et al. (2022); "
            "crowded_signal_strength by the learned formula, lengths in µm; "
            f"trusted: ratio, widened by the square root of reduced chi-square, within {limit:g}, and below saturation"
        )
        return table

    def maps(self) -> xarray.Dataset:
        """Measured, forward and residual maps with the mask, nT on µm."""
        dataset = self.scan.to_xarray()
        for name, values, label in (
            ("forward", self.forward, "Bz of the solution"),
            ("residual", self.residual, "Bz, measured minus forward"),
        ):
            dataset[name] = (("y", "x"), np.asarray(values), {"units": "nT", "long_name": label})
        return dataset

    def __str__(self) -> str:
        ratio, good = np.asarray(self.uncertainty_ratio), np.asarray(self.trusted())
        return (
            f"{len(self.grains)} grains from {self.scan.used} sensors, {self.method}, condition {self.condition:.2g}, "
            f"reduced chi-square {self.reduced_chi_square:.3g}; {int(np.sum(ratio <= 0.10))} ratios within 10 %, "
            f"{int(np.sum(self.beyond_saturation))} grains beyond saturation, {int(good.sum())} to be trusted"
        )


def solution_of(
    grains: Grains,
    scan: Scan,
    factors: Factored,
    fit: Fit,
    *,
    sigma: np.ndarray | Array | None,
    variance: Float[Array, ""],
    solver: str,
    level: float,
    prior: float | None,
) -> Solution:
    """The answer for one map, not yet judged.

    `sigma` is the noise that was given, None where the `variance`, that of a sensor of weight one, is of the residual.
    """
    covariance = variance * factors.blocks
    return Solution(
        grains=grains,
        scan=scan,
        magnetization=fit.magnetization.reshape(-1, 3),
        covariance=covariance,
        confidence_radius=confidence_radius(covariance, level),
        forward=fit.forward,
        residual=jnp.asarray(scan.field) - fit.forward,
        noise=jnp.sqrt(variance) if sigma is None else sigma,
        reduced_chi_square=fit.mean_square / variance,
        effective_unknowns=factors.effective_unknowns,
        condition=factors.reduced.condition,
        factor=factors.reduced.factor,
        scale=factors.reduced.scale,
        variance=variance,
        method=solver,
        level=level,
        prior=prior,
    )
