"""A scan to be planned: the rock, the instrument, what may be chosen, and what is to be optimized."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property

import jax
import numpy as np

from mmtjax.design.instruments import AbstractInstrument
from mmtjax.design.objectives import AnyObjective, Objective, objective_of
from mmtjax.design.population import Population, cell_edge, draw_population
from mmtjax.design.setting import KNOBS, Scalar, Setting
from mmtjax.errors import InputError
from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.precision import random_key, require_float64
from mmtjax.simulation import SampleSpec
from mmtjax.sources.shape_library import ShapeLibrary, synthetic_library
from mmtjax.units import MAGNETITE_SATURATION

#: Value of a knob, or the two ends between which it may be chosen.
Knob = float | tuple[float, float]

#: Shortest dwell that a budget of time may leave, s.
_LEAST_DWELL = 1e-3

#: Least range of depths for the top sides of grains, beyond the clearance and the height of the largest grain, µm.
_LEAST_ROOM = 1.0


@dataclasses.dataclass(frozen=True)
class DesignProblem:
    """A scan to be planned.

    Parameters
    ----------
    instrument
        The magnetometer.
    density
        Grains per mm³ of the rock.
    area
        Area to be scanned, µm².
    knobs
        For each of ``interval``, ``standoff``, ``thickness``, ``sensor_side`` (µm) and ``dwell`` (s) a number, or the
        two ends between which it may be chosen. Without a dwell, `budget` must say how long the scan may take.
    budget
        Time of the scan, s; the dwell is then the time that the budget leaves for each value of the map.
    objective
        Name of one of `mmtjax.design.OBJECTIVES`, an `Objective`, or a function of an `Outcome` that is maximized.
    limit
        Uncertainty ratio up to which a grain is trusted.
    level
        Probability of the confidence sphere.
    prior
        Standard deviation of each component of magnetization before the scan, A/m. It keeps finite what the scan does
        not determine.
    samples, grains
        Number of made-up samples, and of the grains of each.
    seed
        Seed of the random numbers, which are the same for all settings.
    library
        Shapes of grains; `mmtjax.sources.shape_library.synthetic_library` by default.
    clearance
        Least height of the top side of every grain above the bottom of the sample, µm.
    tolerance
        Error of a coefficient of Q as a share of the peak of its grain.

    Raises
    ------
    ValueError
        For invalid values, bounds the wrong way round, a budget that no setting meets, a sample too thin for its
        grains, and a knob that changes nothing. Messages name the remedy.

    Examples
    --------
    >>> from mmtjax.design import ScanningSquid
    >>> problem = DesignProblem(
    ...     instrument=ScanningSquid(noise=5.0, overhead=0.05),
    ...     density=2e4,
    ...     area=2.5e5,
    ...     knobs={"interval": (1, 5), "standoff": 1.0, "thickness": (30, 60), "sensor_side": 1.0},
    ...     budget=6 * 3600,
    ... )
    >>> problem.free
    ('interval', 'thickness')
    """

    instrument: AbstractInstrument
    density: float
    area: float
    knobs: Mapping[str, Knob]
    budget: float | None = None
    objective: AnyObjective = "grains"
    limit: float = 0.1
    level: float = 0.95
    prior: float = MAGNETITE_SATURATION
    samples: int = 4
    grains: int = 40
    seed: int = 0
    library: ShapeLibrary = dataclasses.field(default_factory=synthetic_library)
    clearance: float = 10.0
    tolerance: float = DEFAULT_TOLERANCE

    def __post_init__(self) -> None:
        """Check all values."""
        object.__setattr__(self, "objective", objective_of(self.objective))
        object.__setattr__(self, "knobs", {name: _checked_knob(name, value) for name, value in self.knobs.items()})
        for name in ("density", "area", "limit", "prior"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                msg = f"{name} must be positive; got {getattr(self, name)!r}"
                raise InputError(msg)
        for name in ("samples", "grains"):
            require_whole(getattr(self, name), name=name)
        if not 0 < self.level < 1:
            msg = f"level must lie between 0 and 1, e.g. 0.95; got {self.level!r}"
            raise InputError(msg)
        self._check_knobs()
        if self.budget is not None:
            self._check_budget(self.budget)
        self._check_thickness()

    @property
    def criterion(self) -> Objective:
        """The objective with its name, unit and direction."""
        return objective_of(self.objective)

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the knobs that may be chosen."""
        return tuple(name for name in KNOBS if isinstance(self.knobs.get(name), tuple))

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Ends of the knobs that may be chosen; the shortest interval is one for which the budget leaves a dwell."""
        knobs = {name: self.knobs.get(name) for name in KNOBS}
        bounds = {name: value for name, value in knobs.items() if isinstance(value, tuple)}
        if self.budget is not None and "interval" in bounds:
            bounds["interval"] = self._affordable(self.budget, *bounds["interval"])
        return bounds

    def setting(self, **chosen: Scalar) -> Setting:
        """Return a setting: the chosen values, the fixed ones, and the dwell that the budget leaves.

        Parameters
        ----------
        **chosen
            A value for each free knob; values may be traced.

        Raises
        ------
        ValueError
            If a free knob has no value, or there is a value for a knob that is not free.
        """
        self.require_free(chosen)
        fixed = {name: value for name, value in self.knobs.items() if not isinstance(value, tuple)}
        values: dict[str, Scalar] = {**fixed, **chosen}
        if self.instrument.averages_over_interval:
            values["sensor_side"] = values["interval"]
        if self.budget is not None:
            values["dwell"] = self.instrument.dwell_within(self.budget, interval=values["interval"], area=self.area)
        return Setting(**values)

    def require_free(self, chosen: Mapping[str, Scalar]) -> None:
        """Raise a ValueError unless there is a value for each free knob, and for nothing else."""
        free = ", ".join(self.free)
        if unknown := [name for name in chosen if name not in self.free]:
            msg = (
                f"a value for {', '.join(unknown)} would change nothing: give values for the free knobs, {free}, alone"
            )
            raise InputError(msg)
        if missing := [name for name in self.free if name not in chosen]:
            msg = f"values must be given for all free knobs, {free}; {', '.join(missing)} has none"
            raise InputError(msg)

    def sample(self, *, side: float, thickness: float) -> SampleSpec:
        """Return the description of a sample of the rock.

        Parameters
        ----------
        side
            Edge of the square surface of the sample, µm.
        thickness
            Thickness of the sample, µm.
        """
        return SampleSpec(
            side=side, thickness=thickness, density=self.density, clearance=self.clearance, library=self.library
        )

    @cached_property
    def populations(self) -> list[Population]:
        """The made-up samples, the same for every setting."""
        require_float64()
        thickness = float(np.mean(self.knobs["thickness"]))
        spec = self.sample(side=cell_edge(self.grains, density=self.density, thickness=thickness), thickness=thickness)
        keys = jax.random.split(random_key(self.seed), self.samples)
        return [draw_population(key, spec) for key in keys]

    def _check_knobs(self) -> None:
        unknown = set(self.knobs) - set(KNOBS)
        if unknown:
            msg = f"knobs must be among {', '.join(KNOBS)}; got {', '.join(sorted(unknown))}"
            raise InputError(msg)
        needed = {"interval", "standoff", "thickness"}
        if not self.instrument.averages_over_interval:
            needed |= {"sensor_side"}
        elif "sensor_side" in self.knobs:
            msg = (
                "sensor_side changes nothing: each value of this instrument is the mean over the sampling interval; "
                "leave it out"
            )
            raise InputError(msg)
        if self.budget is None:
            needed |= {"dwell"}
        elif "dwell" in self.knobs:
            msg = "dwell follows from the budget and the interval; give one of budget and dwell, not both"
            raise InputError(msg)
        if lacking := sorted(needed - set(self.knobs)):
            raise InputError(
                f"knobs lack {', '.join(lacking)}: give a number, or two ends to choose between"
                + ("; without a budget the dwell has to be known" if "dwell" in lacking else "")
            )
        if not self.free:
            msg = "nothing may be chosen: give two ends, as interval = [1, 5], for at least one knob"
            raise InputError(msg)

    def _check_budget(self, budget: float) -> None:
        if not (np.isfinite(budget) and budget > 0):
            msg = f"budget must be a positive time in s; got {budget!r}"
            raise InputError(msg)
        longest = float(np.max(self.knobs["interval"]))
        dwell = self.instrument.dwell_within(budget, interval=longest, area=self.area)
        if dwell < _LEAST_DWELL:
            # With a camera all intervals take the same time, and so do all areas within a field.
            helps = {
                "more time": True,
                "a longer interval": self.instrument.dwell_within(budget, interval=2 * longest, area=self.area) > dwell,
                "a smaller area": self.instrument.dwell_within(budget, interval=longest, area=self.area / 2) > dwell,
            }
            where = f"at the longest interval, {longest:g} µm, " if helps["a longer interval"] else ""
            msg = (
                f"a budget of {budget:g} s is infeasible: {where}it leaves a dwell of {float(dwell):.3g} s after "
                f"the overhead; allow {' or '.join(remedy for remedy, does in helps.items() if does)}"
            )
            raise InputError(msg)

    def _check_thickness(self) -> None:
        thinnest = float(np.min(self.knobs["thickness"]))
        extent = float(np.max(self.library.high[:, 2] - self.library.low[:, 2]))
        room = max(self.clearance, extent) + _LEAST_ROOM
        if thinnest < room:
            msg = (
                f"a thickness of {thinnest:g} µm leaves no room for grains up to {extent:.3g} µm high and a clearance "
                f"of {self.clearance:g} µm; make it {room:.3g} µm or more, or take a library of smaller shapes"
            )
            raise InputError(msg)

    def _affordable(self, budget: float, low: float, high: float) -> tuple[float, float]:
        """Return the part of the intervals for which a budget leaves a dwell, by bisection."""

        def too_short(interval: float) -> bool:
            return bool(self.instrument.dwell_within(budget, interval=interval, area=self.area) < _LEAST_DWELL)

        if not too_short(low):
            return low, high
        short, enough = low, high
        while enough - short > 1e-9 * high:
            middle = (short + enough) / 2
            short, enough = (middle, enough) if too_short(middle) else (short, middle)
        return enough, high


def require_whole(number: float | str, *, name: str) -> None:
    """Raise a ValueError unless a count is a whole number, 1 or more."""
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
        msg = f"{name} must be a whole number, 1 or more; got {number!r}"
        raise InputError(msg)


def _checked_knob(name: str, value: float | Sequence[float]) -> Knob:
    """Return a knob as a number, or as two ends in order."""
    ends = [float(end) for end in np.ravel(value)]
    for end in ends:
        if not np.isfinite(end) or end < 0 or (end == 0 and name != "standoff"):
            msg = f"{name} must be positive; got {end!r}"
            raise InputError(msg)
    if np.ndim(value) == 0:
        return ends[0]
    if len(ends) != 2:
        msg = f"{name} must be a number or two ends, as (1, 5); got {value!r}"
        raise InputError(msg)
    low, high = ends
    if low >= high:
        msg = f"the ends of {name} are the wrong way round or equal: {value!r}; give the lower one first"
        raise InputError(msg)
    return low, high
