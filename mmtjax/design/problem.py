"""A scan to be planned: the rock, the instrument, what may be chosen, and what is wanted of it."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import cached_property

import jax
import numpy as np

from mmtjax.design.instrument import KNOBS, AbstractInstrument, QuantumDiamondMicroscope, Scalar, Setting
from mmtjax.design.objectives import Objective, objective_of
from mmtjax.design.population import Population, draw_population
from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.precision import require_float64
from mmtjax.sources.shape_library import ShapeLibrary, synthetic_library
from mmtjax.units import MAGNETITE_SATURATION

#: Shortest dwell that a budget of time may leave, s.
_LEAST_DWELL = 1e-3

#: Thinnest room above the clearance and the largest grain that the top sides of grains are spread over, µm.
_LEAST_ROOM = 1.0


@dataclasses.dataclass(frozen=True)
class DesignProblem:
    """A scan to be planned.

    Parameters
    ----------
    instrument
        The magnetometer.
    density
        Of the rock, grains per mm³.
    area
        That is to be scanned, µm².
    knobs
        For each of ``interval``, ``standoff``, ``thickness``, ``sensor_side`` (µm) and ``dwell`` (s) a number, or the
        two ends between which it may be chosen. Without a dwell a `budget` has to say how long the scan may take.
    budget
        Time of the scan, s; the dwell is then what it leaves for each value.
    objective
        Name of one of `mmtjax.design.OBJECTIVES`, an `Objective`, or a function of an `Outcome` that is to be
        maximized.
    limit
        Uncertainty ratio up to which a grain is trusted.
    level
        Probability of the confidence sphere.
    prior
        Standard deviation of each component of magnetization before the scan, A/m: it keeps what the scan does not
        determine finite.
    samples, grains
        Number of made-up samples, and of the grains of each.
    seed
        Of the random numbers, which are the same for all settings.
    library
        Shapes of grains; `mmtjax.sources.shape_library.synthetic_library` by default.
    clearance
        As for `mmtjax.sources.placement.place_grains`.
    tolerance
        Error of a coefficient of Q as a share of the peak of its grain.

    Raises
    ------
    ValueError
        For values that cannot be, bounds the wrong way round, a budget that no setting meets, a sample too thin for
        its grains, and a knob that changes nothing. Messages name the remedy.

    Examples
    --------
    >>> from mmtjax.design.instrument import ScanningSquid
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
    knobs: Mapping[str, float | tuple[float, float]]
    budget: float | None = None
    objective: str | Objective | Callable = "grains"
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
        object.__setattr__(self, "objective", objective_of(self.objective))
        object.__setattr__(self, "knobs", {name: _checked_knob(name, value) for name, value in self.knobs.items()})
        for name in ("density", "area", "limit", "prior"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} must be positive; got {getattr(self, name)!r}")
        for name in ("samples", "grains"):
            require_whole(getattr(self, name), name=name)
        if not 0 < self.level < 1:
            raise ValueError(f"level must lie between 0 and 1, e.g. 0.95; got {self.level!r}")
        self._check_knobs()
        if self.budget is not None:
            self._check_budget()
        self._check_thickness()

    @property
    def free(self) -> tuple[str, ...]:
        """The knobs that may be chosen."""
        return tuple(name for name in KNOBS if isinstance(self.knobs.get(name), tuple))

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Ends of the knobs that may be chosen; the shortest interval is one for which the budget leaves a dwell."""
        bounds = {name: self.knobs[name] for name in self.free}
        if self.budget is not None and "interval" in bounds:
            bounds["interval"] = self._affordable(*bounds["interval"])
        return bounds

    def setting(self, **chosen: Scalar) -> Setting:
        """A setting: what was chosen, the fixed values, and the dwell that the budget leaves; values may be traced.

        Raises
        ------
        ValueError
            If a free knob has no value, or there is a value for what is none.
        """
        self.require_free(chosen)
        values = {name: chosen.get(name, self.knobs.get(name)) for name in KNOBS}
        if isinstance(self.instrument, QuantumDiamondMicroscope):
            values["sensor_side"] = values["interval"]
        if self.budget is not None:
            values["dwell"] = self.instrument.dwell_within(self.budget, interval=values["interval"], area=self.area)
        return Setting(**values)

    def require_free(self, chosen: Mapping[str, Scalar]) -> None:
        """Raise a ValueError unless there is a value for each free knob, and for nothing else."""
        free = ", ".join(self.free)
        if unknown := [name for name in chosen if name not in self.free]:
            raise ValueError(
                f"a value for {', '.join(unknown)} would change nothing: give values for the free knobs, {free}, alone"
            )
        if missing := [name for name in self.free if name not in chosen]:
            raise ValueError(f"values must be given for all free knobs, {free}; {', '.join(missing)} has none")

    @cached_property
    def populations(self) -> list[Population]:
        """The samples, the same for every setting."""
        require_float64()
        thickness = self.knobs["thickness"]
        reference = float(np.mean(thickness))
        keys = jax.random.split(jax.random.key(self.seed), self.samples)
        return [
            draw_population(
                key,
                self.library,
                count=self.grains,
                density=self.density,
                thickness=reference,
                clearance=self.clearance,
            )
            for key in keys
        ]

    def _check_knobs(self) -> None:
        unknown = set(self.knobs) - set(KNOBS)
        if unknown:
            raise ValueError(f"knobs must be among {', '.join(KNOBS)}; got {', '.join(sorted(unknown))}")
        needed = {"interval", "standoff", "thickness"}
        if isinstance(self.instrument, QuantumDiamondMicroscope):
            if "sensor_side" in self.knobs:
                raise ValueError(
                    "sensor_side changes nothing with a camera: what it averages is the sampling interval; leave it out"
                )
        else:
            needed |= {"sensor_side"}
        if self.budget is None:
            needed |= {"dwell"}
        elif "dwell" in self.knobs:
            raise ValueError("dwell follows from the budget and the interval; give one of budget and dwell, not both")
        if lacking := sorted(needed - set(self.knobs)):
            raise ValueError(
                f"knobs lack {', '.join(lacking)}: give a number, or two ends to choose between"
                + ("; without a budget the dwell has to be known" if "dwell" in lacking else "")
            )
        if not self.free:
            raise ValueError("nothing may be chosen: give two ends, as interval = [1, 5], for at least one knob")

    def _check_budget(self) -> None:
        if not (np.isfinite(self.budget) and self.budget > 0):
            raise ValueError(f"budget must be a positive time in s; got {self.budget!r}")
        longest = float(np.max(self.knobs["interval"]))
        dwell = self.instrument.dwell_within(self.budget, interval=longest, area=self.area)
        if dwell < _LEAST_DWELL:
            # To a camera all intervals take the same time, and so do all areas within a field.
            helps = {
                "more time": True,
                "a longer interval": self.instrument.dwell_within(self.budget, interval=2 * longest, area=self.area)
                > dwell,
                "a smaller area": self.instrument.dwell_within(self.budget, interval=longest, area=self.area / 2)
                > dwell,
            }
            where = f"at the longest interval, {longest:g} µm, " if helps["a longer interval"] else ""
            raise ValueError(
                f"a budget of {self.budget:g} s is infeasible: {where}it leaves a dwell of {float(dwell):.3g} s after "
                f"the overhead; allow {' or '.join(remedy for remedy, does in helps.items() if does)}"
            )

    def _check_thickness(self) -> None:
        thinnest = float(np.min(self.knobs["thickness"]))
        extent = float(np.max(self.library.high[:, 2] - self.library.low[:, 2]))
        room = max(self.clearance, extent) + _LEAST_ROOM
        if thinnest < room:
            raise ValueError(
                f"a thickness of {thinnest:g} µm leaves no room for grains up to {extent:.3g} µm high and a clearance "
                f"of {self.clearance:g} µm; make it {room:.3g} µm or more, or take a library of smaller shapes"
            )

    def _affordable(self, low: float, high: float) -> tuple[float, float]:
        """The part of the intervals for which the budget leaves a dwell, by halving."""

        def short(interval: float) -> bool:
            return self.instrument.dwell_within(self.budget, interval=interval, area=self.area) < _LEAST_DWELL

        if not short(low):
            return low, high
        too_short, enough = low, high
        while enough - too_short > 1e-9 * high:
            middle = (too_short + enough) / 2
            too_short, enough = (middle, enough) if short(middle) else (too_short, middle)
        return enough, high


def require_whole(number: object, *, name: str) -> None:
    """Raise a ValueError unless a count is a whole number, 1 or more."""
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
        raise ValueError(f"{name} must be a whole number, 1 or more; got {number!r}")


def _checked_knob(name: str, value: object) -> float | tuple[float, float]:
    """A number, or two ends in order."""
    if np.ndim(value) == 0:
        number = float(value)
        if not np.isfinite(number) or number < 0 or (number == 0 and name != "standoff"):
            raise ValueError(f"{name} must be positive; got {value!r}")
        return number
    if len(value) != 2:
        raise ValueError(f"{name} must be a number or two ends, as (1, 5); got {value!r}")
    low, high = (_checked_knob(name, end) for end in value)
    if low >= high:
        raise ValueError(f"the ends of {name} are the wrong way round or equal: {value!r}; give the lower one first")
    return low, high
