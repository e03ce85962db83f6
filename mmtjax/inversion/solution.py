"""The result of an inversion: values of all unknowns, their uncertainties, and checks of whether to trust them."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from mmtjax.errors import InputError, InversionError, UnknownNameError, require_type
from mmtjax.inversion.misfit import MapMisfit, misfit
from mmtjax.inversion.stack import PriorLike, SourceStack
from mmtjax.lazy import pandas, xarray
from mmtjax.precision import AnyArray, real_number
from mmtjax.scan.scan import Scan
from mmtjax.selection import (
    LIMIT,
    crowded_signal_strength,
    expected_uncertainty_ratio,
    signal_strength_ratio,
    trusted_ratio,
)
from mmtjax.solvers.base import AbstractFactor
from mmtjax.sources.base import AbstractSource
from mmtjax.sources.grains import Grains
from mmtjax.uncertainty.confidence import bootstrap_radius, joint_bootstrap_radius, uncertainty_ratio
from mmtjax.uncertainty.covariance import correlation, covariance_of_unknowns, grain_correlation, standard_deviation
from mmtjax.units import A_M2_PER_A_PER_M_UM3, AXES, MAGNETITE_SATURATION, directions
from mmtjax.unknowns import UnknownSet


class SetEstimate(NamedTuple):
    """Estimated values of one set of unknowns, with their covariances.

    Attributes
    ----------
    unknowns
        Names and units of the components, and the number of sources.
    values
        Values, (source, component), in the units of the components.
    covariance
        Covariance of the components of each source, (source, component, component).
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
    """The result of an inversion: components of all sources, their uncertainties, and the residual of the map.

    Attributes
    ----------
    stack, scan
        The sources and patterns that were solved for, and the map.
    estimates
        Values and covariances of each set of unknowns; those of the first set of sources come first.
    confidence_radius
        Radius of the sphere that contains the true vector of each source with probability `level`, (source,); A/m for
        grains.
    forward, residual
        Field of the solution, and measured minus forward field, (ny, nx), nT.
    noise
        Standard deviation of the noise that was used, nT: one number, or the map that was given.
    reduced_chi_square
        Sum of squares of residual over noise, per degree of freedom; about 1 if the noise explains the residual.
    effective_unknowns
        Number of unknowns that the data determine; with a prior fewer than all unknowns.
    condition
        Estimated condition number of Q (and of the rows of a prior), with columns scaled to norm one.
    factor
        The factor of the least-squares problem; None for a solution by subdomains.
    variance
        Variance of the noise of a sensor of weight one, nT².
    method
        Name of the solver, or ``"subdomains"``.
    level
        Probability of the confidence sphere.
    prior
        Prior of the components, or None.
    is_gaussian
        Whether errors are normal with these covariances; otherwise radii come from a bootstrap.
    noise_is_known
        Whether the noise was given; otherwise it was estimated from the residual.
    better_reading
        How the map has to be read to fit far better, such as with its rows in reverse order; None where the map as
        given fits, or no other reading does.
    failure
        Why the uncertainties are not reliable, and what to do; None if they are reliable.
    warnings
        Messages to read before using the result.
    radius_error
        Standard deviation of the confidence radius as a share of it, (source,), for a solution by subdomains; None if
        the radius is exact.
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
    noise_is_known: bool = eqx.field(static=True, default=True)
    better_reading: str | None = eqx.field(static=True, default=None)
    failure: str | None = eqx.field(static=True, default=None)
    warnings: tuple[str, ...] = eqx.field(static=True, default=())
    radius_error: Float[Array, " source"] | None = None

    @property
    def sources(self) -> AbstractSource:
        """The first set of sources, to which the properties of the solution refer."""
        return self.stack.primary

    @property
    def grains(self) -> Grains:
        """The grains, if the first set of sources are grains.

        Raises
        ------
        ValueError
            If the first set of sources are not grains.
        """
        if not isinstance(self.sources, Grains):
            msg = f"the solution is one of {self.sources.name}, not of grains; use its attribute sources"
            raise InputError(msg)
        return self.sources

    def estimate_of(self, name: str) -> SetEstimate:
        """Return values and covariances of one set of unknowns.

        Parameters
        ----------
        name
            Name of the set, such as ``"background"``.

        Raises
        ------
        KeyError
            If there is no set of that name.
        """
        require_type(name, str, name="name")
        for estimate in self.estimates:
            if estimate.unknowns.name == name:
                return estimate
        known = ", ".join(one.unknowns.name for one in self.estimates)
        msg = f"no set of unknowns is named {name!r}; the sets are {known}"
        raise UnknownNameError(msg)

    @property
    def magnetization(self) -> Float[AnyArray, "source 3"]:
        """Vector of each source: the magnetization of a grain, A/m; the dipole moment of a multipole, A/m · µm³."""
        return self.estimates[0].values[:, : len(AXES)]

    @property
    def covariance(self) -> Float[AnyArray, "source 3 3"]:
        """Covariance of the vector of each source: the diagonal blocks of C = σ²(QᵀQ)⁻¹ (equation 11)."""
        return self.estimates[0].covariance[:, : len(AXES), : len(AXES)]

    @property
    def uncertainty_ratio(self) -> Float[Array, " source"]:
        """Radius of the confidence sphere divided by the length of the vector (equation 12), as a fraction."""
        return uncertainty_ratio(self.magnetization, self.confidence_radius)

    @property
    def signal_strength_ratio(self) -> Float[AnyArray, " grain"]:
        """Signal strength ratio ``SSR = V / (R³ d)`` of each grain (equation 13), µm⁻¹."""
        return signal_strength_ratio(self.sources, self.scan.grid.height)

    @property
    def crowded_signal_strength(self) -> Float[AnyArray, " grain"]:
        """Signal strength of each grain among its neighbours, see `mmtjax.crowded_signal_strength`; lengths in µm."""
        return crowded_signal_strength(self.sources, self.scan.grid.height)

    @property
    def expected_uncertainty_ratio(self) -> Float[AnyArray, " grain"]:
        """Radius of the confidence sphere divided by the magnetization that equation 1 gives, as a fraction.

        It does not depend on the map, unless the noise was estimated from the residual.
        """
        return expected_uncertainty_ratio(self.sources.known_volume, self.confidence_radius)

    @property
    def standard_deviation(self) -> Float[Array, "source 3"]:
        """Standard deviations of the components of the vectors, A/m for grains."""
        return standard_deviation(self.covariance)

    @property
    def magnitude(self) -> Float[Array, " source"]:
        """Length of the vector of each source; A/m for grains."""
        return jnp.linalg.norm(self.magnetization, axis=1)

    @property
    def beyond_saturation(self) -> Bool[Array, " source"]:
        """Whether each grain is magnetized beyond the saturation of magnetite, which is impossible.

        False for sources without a volume.
        """
        if self.sources.volume is None:
            return jnp.zeros(len(self.sources), bool)
        return self.magnitude > MAGNETITE_SATURATION

    @property
    def misfit(self) -> MapMisfit:
        """The residual in relation to the map and to the noise."""
        patterns = jnp.zeros(self.scan.grid.shape)
        for pattern, own in zip(self.stack.patterns, self.estimates[len(self.stack.sources) :], strict=True):
            patterns = patterns + jnp.tensordot(jnp.asarray(own.values)[0], pattern.columns(self.scan.grid), axes=1)
        return misfit(
            self.residual / self.noise,
            (self.scan.field - patterns) / self.noise,
            self.scan.mask,
            reduced_chi_square=self.reduced_chi_square,
            freedom=self.scan.used - self.effective_unknowns,
            noise_is_known=self.noise_is_known,
        )

    @property
    def is_explained(self) -> Bool[Array, ""]:
        """Whether noise explains the residual, or it is a small share, and no other reading of the map fits better."""
        return self.misfit.is_explained & (self.better_reading is None)

    @property
    def trusted_ratio(self) -> Float[Array, " source"]:
        """Ratios that decide which sources are trusted, see `mmtjax.selection.trusted_ratio`.

        They are the uncertainty ratios for the noise that the residual shows. They are infinite for sources beyond
        saturation, and for all sources if the map is not explained, see `is_explained`.
        """
        return trusted_ratio(
            self.uncertainty_ratio,
            reduced_chi_square=self.reduced_chi_square,
            beyond_saturation=self.beyond_saturation,
            is_explained=self.is_explained,
        )

    def trusted(self, limit: float = LIMIT) -> Bool[Array, " source"]:
        """Return which sources can be trusted: those whose `trusted_ratio` is within a limit.

        Parameters
        ----------
        limit
            Largest ratio, a finite fraction.
        """
        return self.trusted_ratio <= real_number(limit, name="limit")

    def covariance_matrix(self) -> Float[Array, "unknown unknown"]:
        """Return the whole covariance matrix C of all unknowns; (3 grain, 3 grain) and in (A/m)² for grains."""
        factor = self._known_factor()
        if factor.triangle is not None:
            return covariance_of_unknowns(*factor.triangle, variance=self.variance)
        return self.variance * factor.inverse_columns(np.eye(self.stack.unknowns.size))

    def correlation(self) -> Float[Array, "unknown unknown"]:
        """Return the correlations between all components of all sources."""
        return correlation(self.covariance_matrix())

    def grain_correlation(self) -> Float[Array, "grain grain"]:
        """Return the largest absolute correlation between a component of one grain and a component of another.

        Grains with a strong correlation share a signal that the scan cannot divide between them (section 4.5). The
        diagonal is 1.
        """
        own = 0, self.grains.unknowns.size
        return grain_correlation(self.correlation()[slice(*own), slice(*own)])

    def bootstrap_radius(self, key: Array, *, draws: int = 10_000) -> Float[Array, " source"]:
        """Return radii of the confidence spheres by bootstrap, as in section 2.2.2 of the paper; A/m for grains.

        Parameters
        ----------
        key
            Random key of JAX.
        draws
            Number of draws.
        """
        factor, vectors_only = self._known_factor(), self.stack.unknowns.size == len(AXES) * len(self.sources)
        if factor.triangle is not None and vectors_only:
            return joint_bootstrap_radius(key, *factor.triangle, variance=self.variance, draws=draws, level=self.level)
        return bootstrap_radius(key, self.covariance, draws=draws, level=self.level)

    def _known_factor(self) -> AbstractFactor:
        """Return the factor, or raise a ValueError for a solution by subdomains."""
        if self.factor is None:
            msg = (
                "correlations between grains are not known: the sample was solved by subdomains, which give only the "
                "covariance of the components of each grain; crop the scan and the grains and use `mmtjax.invert`"
            )
            raise InputError(msg)
        return self.factor

    def check(self) -> "Solution":
        """Return the solution itself, or raise an `InversionError` if its uncertainties are not reliable."""
        if self.failure is not None:
            raise InversionError(self.failure)
        return self

    def table(self, limit: float = LIMIT) -> "pandas.DataFrame":
        """Return a table with one row for each source, in the order of the input.

        Units of the columns are in ``attrs["units"]``, conventions in ``attrs["notes"]``. Declination is clockwise from
        +y, inclination positive down.

        Parameters
        ----------
        limit
            Largest uncertainty ratio of a trusted source, as for `trusted`.
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
            columns["diameter"] = (sources.equivalent_diameter, "µm")
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
        declination, inclination = directions(vector)
        columns |= {"declination": (declination, "°"), "inclination": (inclination, "°")}
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
        """Return the conventions of the columns of the table as text."""
        notes = (
            "axes x, y, z right-handed, z up, sample surface at z = 0; depth is the distance from the centroid to the "
            "scanning plane; declination clockwise from +y, inclination positive down; "
            f"confidence_radius at {self.level:.0%}"
            f"{'' if self.is_gaussian else ' by bootstrap, because errors are not normal'}; "
            "uncertainty_ratio = confidence_radius / magnetization; "
            "expected_uncertainty_ratio = confidence_radius / magnetization of equation 1 of Out et al. (2022); "
            "crowded_signal_strength by the learned formula, lengths in µm; "
            f"trusted: ratio, widened by the square root of reduced chi-square, within {limit:g}, and below "
            "saturation; none if noise does not explain a residual that is a large share of the map"
        )
        further = (one for one in self.estimates[1:] if one.unknowns.sources <= 1)
        return notes + "".join(f"; {one.unknowns.name}: {one}" for one in further)

    def maps(self) -> "xarray.Dataset":
        """Return measured, forward and residual maps (nT) and the mask as a dataset with coordinates in µm."""
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
            f"{self.condition:.2g}, reduced chi-square {self.reduced_chi_square:.3g}; {int(np.sum(ratio <= LIMIT))} "
            f"ratios within {LIMIT * 100:g} %, {int(np.sum(self.beyond_saturation))} {self.sources.name} beyond "
            f"saturation, {int(good.sum())} to be trusted"
        )
