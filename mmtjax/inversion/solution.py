"""The answer: values of all unknowns with their uncertainties, and the signs by which to believe them or not."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pandas
import xarray
from jaxtyping import Array, Bool, Float

from mmtjax.errors import InversionError
from mmtjax.inversion.stack import PriorLike, SourceStack
from mmtjax.precision import AnyArray
from mmtjax.scan.scan import Scan
from mmtjax.selection import crowded_signal_strength, expected_uncertainty_ratio, signal_strength_ratio
from mmtjax.solvers.base import AbstractFactor
from mmtjax.sources.base import AbstractSource
from mmtjax.sources.grains import Grains
from mmtjax.uncertainty.confidence import bootstrap_radius, joint_bootstrap_radius, uncertainty_ratio
from mmtjax.uncertainty.covariance import correlation, covariance_of_unknowns, grain_correlation, standard_deviation
from mmtjax.units import A_M2_PER_A_PER_M_UM3, AXES, MAGNETITE_SATURATION
from mmtjax.unknowns import UnknownSet


class SetEstimate(NamedTuple):
    """Values of one set of unknowns, with their covariances.

    Attributes
    ----------
    unknowns
        Names and units of the components, and the number of sources.
    values
        (source, component), in the units of the components.
    covariance
        Block of each source, (source, component, component).
    """

    unknowns: UnknownSet
    values: Float[AnyArray, "source component"]
    covariance: Float[AnyArray, "source component component"]

    @property
    def standard_deviation(self) -> Float[Array, "source component"]:
        """Standard deviations of the values."""
        return standard_deviation(self.covariance)

    def __str__(self) -> str:
        if self.unknowns.sources > 1:
            return f"{self.unknowns.sources} {self.unknowns.name}"
        own = zip(self.unknowns.components, *map(np.ravel, (self.values, self.standard_deviation)), strict=True)
        return ", ".join(f"{one.name} {value:.6g} ± {spread:.2g} {one.unit}" for one, value, spread in own)


class Solution(eqx.Module):
    """Components of all sources, their uncertainties, and how well they explain the scan.

    Attributes
    ----------
    stack, scan
        The sources and patterns that were solved for, and the map.
    estimates
        Values and covariances of each set of unknowns, those of the first set of sources first.
    confidence_radius
        Radius of the sphere that holds the true vector of each source with probability `level`, (source,): A/m for
        grains.
    forward, residual
        Field of the solution, and measured minus forward field, (ny, nx), nT.
    noise
        Standard deviation used, nT: one number, or the map that was given.
    reduced_chi_square
        Sum of squares of residual over noise, per degree of freedom: 1 where noise explains the residual.
    effective_unknowns
        Number of unknowns that the data determine; fewer than there are with a prior.
    condition
        Estimated condition number of Q with columns scaled to norm one (and the prior, where there is one).
    factor
        The factor that was solved with; None by subdomains.
    variance
        Square of the noise relative to the weights of the sensors.
    method
        Name of the solver, or ``"subdomains"``.
    level
        Probability of the confidence sphere.
    prior
        Prior of the components, or None.
    is_gaussian
        Whether errors are normal with the covariances given; otherwise radii are those of a bootstrap.
    failure
        Why the uncertainties cannot be vouched for, with the remedy; None where they can.
    warnings
        What to know before believing the result.
    radius_error
        Standard deviation of the confidence radius as a share of it, (source,), by subdomains; None where it is exact.
    """

    stack: SourceStack
    scan: Scan
    estimates: tuple[SetEstimate, ...]
    confidence_radius: Float[Array, " source"]
    forward: Float[Array, "ny nx"]
    residual: Float[Array, "ny nx"]
    noise: Float[AnyArray, "..."]
    reduced_chi_square: Float[Array, ""]
    effective_unknowns: Float[Array, ""]
    condition: Float[Array, ""]
    factor: AbstractFactor | None
    variance: Float[Array, ""]
    method: str = eqx.field(static=True)
    level: float = eqx.field(static=True)
    prior: PriorLike = None
    is_gaussian: bool = eqx.field(static=True, default=True)
    failure: str | None = eqx.field(static=True, default=None)
    warnings: tuple[str, ...] = eqx.field(static=True, default=())
    radius_error: Float[Array, " source"] | None = None

    @property
    def sources(self) -> AbstractSource:
        """The first set of sources: what the inversion is about."""
        return self.stack.primary

    @property
    def grains(self) -> Grains:
        """The grains.

        Raises
        ------
        ValueError
            If the first set of sources are no grains.
        """
        if not isinstance(self.sources, Grains):
            raise ValueError(f"the solution is one of {self.sources.name}, not of grains; ask for its sources")
        return self.sources

    def estimate_of(self, name: str) -> SetEstimate:
        """Return values and covariances of one set of unknowns, such as ``"background"``.

        Raises
        ------
        KeyError
            If there is no set of that name.
        """
        for estimate in self.estimates:
            if estimate.unknowns.name == name:
                return estimate
        raise KeyError(f"there is no set {name!r}; there are {', '.join(one.unknowns.name for one in self.estimates)}")

    @property
    def magnetization(self) -> Float[AnyArray, "source 3"]:
        """Vector of each source: magnetizations of grains, A/m; dipole moments of multipoles, A/m · µm³."""
        return self.estimates[0].values[:, : len(AXES)]

    @property
    def covariance(self) -> Float[AnyArray, "source 3 3"]:
        """3 × 3 blocks of C = σ²(QᵀQ)⁻¹ (equation 11) of the vector of each source."""
        return self.estimates[0].covariance[:, : len(AXES), : len(AXES)]

    @property
    def uncertainty_ratio(self) -> Float[Array, " source"]:
        """Radius of the confidence sphere over the length of the vector (equation 12), as a fraction."""
        return uncertainty_ratio(self.magnetization, self.confidence_radius)

    @property
    def signal_strength_ratio(self) -> Float[AnyArray, " grain"]:
        """``SSR = V / (R³ d)`` (equation 13), µm⁻¹."""
        return signal_strength_ratio(self.grains, self.scan.grid.height)

    @property
    def crowded_signal_strength(self) -> Float[AnyArray, " grain"]:
        """``V^a / (R^b (1 + N)^c)`` with the learned exponents, see `mmtjax.crowded_signal_strength`; lengths in µm."""
        return crowded_signal_strength(self.grains, self.scan.grid.height)

    @property
    def expected_uncertainty_ratio(self) -> Float[Array, " grain"]:
        """Radius of the confidence sphere over the magnetization that equation 1 expects, as a fraction.

        Known without a map, unless the noise was taken from the residual.
        """
        return expected_uncertainty_ratio(self.grains.volume, self.confidence_radius)

    @property
    def standard_deviation(self) -> Float[Array, "source 3"]:
        """Standard deviations of the components of the vectors, A/m for grains."""
        return standard_deviation(self.covariance)

    @property
    def magnitude(self) -> Float[Array, " source"]:
        """Length of the vectors: magnetizations of grains, A/m."""
        return jnp.linalg.norm(self.magnetization, axis=1)

    @property
    def beyond_saturation(self) -> Bool[Array, " source"]:
        """Whether a grain is magnetized beyond the saturation of magnetite, which no grain of rock can be.

        Of sources without a volume nothing is known.
        """
        if self.sources.volume is None:
            return jnp.zeros(len(self.sources), bool)
        return self.magnitude > MAGNETITE_SATURATION

    def trusted(self, limit: float = 0.10) -> Bool[Array, " source"]:
        """Return which sources to believe: ratio within `limit` at the noise of the residual, below saturation.

        Where the residual is larger than the noise explains (reduced χ² > 1), radii are widened by √χ², for whatever
        else disturbs the map disturbs the solution too.
        """
        widened = self.uncertainty_ratio * jnp.sqrt(jnp.maximum(self.reduced_chi_square, 1.0))
        return (widened <= limit) & ~self.beyond_saturation

    def covariance_matrix(self) -> Float[Array, "unknown unknown"]:
        """Return the whole covariance C of all unknowns; (3 grains, 3 grains), (A/m)², for grains alone."""
        factor = self._known_factor()
        if factor.triangle is not None:
            return covariance_of_unknowns(*factor.triangle, variance=self.variance)
        return self.variance * factor.inverse_columns(np.eye(self.stack.unknowns.size))

    def correlation(self) -> Float[Array, "unknown unknown"]:
        """Return correlations between all components of all sources."""
        return correlation(self.covariance_matrix())

    def grain_correlation(self) -> Float[Array, "grain grain"]:
        """Return the largest correlation, by magnitude, between a component of one grain and one of another.

        Grains that correlate strongly share a signal that the scan cannot divide between them (section 4.5). The
        diagonal is 1.
        """
        own = 0, self.grains.unknowns.size
        return grain_correlation(self.correlation()[slice(*own), slice(*own)])

    def bootstrap_radius(self, key: Array, *, draws: int = 10_000) -> Float[Array, " source"]:
        """Return radii from joint draws of all grains, as section 2.2.2 of the paper does, A/m."""
        factor, vectors_only = self._known_factor(), self.stack.unknowns.size == len(AXES) * len(self.sources)
        if factor.triangle is not None and vectors_only:
            return joint_bootstrap_radius(key, *factor.triangle, variance=self.variance, draws=draws, level=self.level)
        return bootstrap_radius(key, self.covariance, draws=draws, level=self.level)

    def _known_factor(self) -> AbstractFactor:
        if self.factor is None:
            raise ValueError(
                "correlations between grains are not known: the sample was solved by subdomains, which give the "
                "covariance of each grain with itself; crop the scan and the grains and use `mmtjax.invert`"
            )
        return self.factor

    def check(self) -> "Solution":
        """Return the solution, or raise `InversionError` if it has failed."""
        if self.failure is not None:
            raise InversionError(self.failure)
        return self

    def table(self, limit: float = 0.10) -> pandas.DataFrame:
        """Return one row per source, in the order of the input; units are in ``attrs["units"]``.

        Declination is clockwise from +y, inclination positive down.
        """
        sources, first = self.sources, self.estimates[0]
        position, vector = np.asarray(sources.position), np.asarray(self.magnetization)
        magnitude, spread = np.asarray(self.magnitude), np.asarray(first.standard_deviation)
        volume = None if sources.volume is None else np.asarray(sources.volume)
        unit = first.unknowns.components[0].unit
        columns: dict[str, tuple[AnyArray, str]] = {"id": (sources.ids, "")}
        columns |= {name: (position[:, axis], "µm") for axis, name in enumerate(AXES)}
        columns["depth"] = (np.asarray(self.scan.grid.height) - position[:, -1], "µm")
        if volume is not None:
            columns["volume"] = (volume, "µm³")
            columns["diameter"] = ((6 / np.pi * volume) ** (1 / 3), "µm")
        values = np.asarray(first.values)
        own = list(enumerate(first.unknowns.components))
        columns |= {one.name: (values[:, number], one.unit) for number, one in own}
        columns["magnetization" if volume is not None else "dipole"] = (magnitude, unit)
        columns |= {f"sd_{one.name}": (spread[:, number], one.unit) for number, one in own}
        columns["confidence_radius"] = (self.confidence_radius, unit)
        columns["uncertainty_ratio"] = (self.uncertainty_ratio, "1")
        if volume is not None:
            columns["expected_uncertainty_ratio"] = (self.expected_uncertainty_ratio, "1")
            columns["signal_strength_ratio"] = (self.signal_strength_ratio, "µm⁻¹")
            columns["crowded_signal_strength"] = (self.crowded_signal_strength, "")
        moment = magnitude * (A_M2_PER_A_PER_M_UM3 if volume is None else A_M2_PER_A_PER_M_UM3 * volume)
        columns["moment"] = (moment, "A m²")
        horizontal = np.hypot(vector[:, 0], vector[:, 1])
        columns["declination"] = (np.degrees(np.arctan2(vector[:, 0], vector[:, 1])) % 360, "°")
        columns["inclination"] = (np.degrees(np.arctan2(-vector[:, 2], horizontal)), "°")
        if volume is not None:
            columns["beyond_saturation"] = (self.beyond_saturation, "")
        columns["trusted"] = (self.trusted(limit), "")
        if self.radius_error is not None:
            columns["radius_error"] = (self.radius_error, "1")
        table = pandas.DataFrame({name: np.asarray(column) for name, (column, _) in columns.items()})
        table.attrs["units"] = {name: unit for name, (_, unit) in columns.items()}
        table.attrs["notes"] = self._notes(limit)
        return table

    def _notes(self, limit: float) -> str:
        notes = (
            "axes x, y, z right-handed, z up, sample surface at z = 0; depth is the distance from the centroid to the "
            "scanning plane; declination clockwise from +y, inclination positive down; "
            f"confidence_radius at {self.level:.0%}"
            f"{'' if self.is_gaussian else ' by bootstrap, for errors are not normal'}; "
            "uncertainty_ratio = confidence_radius / magnetization; "
            "expected_uncertainty_ratio = confidence_radius / magnetization of equation 1 of Out et al. (2022); "
            "crowded_signal_strength by the learned formula, lengths in µm; "
            f"trusted: ratio, widened by the square root of reduced chi-square, within {limit:g}, and below saturation"
        )
        for estimate in self.estimates[1:]:
            if estimate.unknowns.sources > 1:
                continue
            notes += f"; {estimate.unknowns.name}: {estimate}"
        return notes

    def maps(self) -> xarray.Dataset:
        """Return measured, forward and residual maps with the mask, nT on µm."""
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
            f"{len(self.sources)} {self.sources.name} from {self.scan.used} sensors, {self.method}, condition "
            f"{self.condition:.2g}, reduced chi-square {self.reduced_chi_square:.3g}; {int(np.sum(ratio <= 0.10))} "
            f"ratios within 10 %, {int(np.sum(self.beyond_saturation))} {self.sources.name} beyond saturation, "
            f"{int(good.sum())} to be trusted"
        )
