"""Multipoles: point sources with a dipole, and with a quadrupole and an octupole if they are wanted."""

from collections.abc import Callable
from functools import cache, partial

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, Int

from mmtjax.errors import InputError
from mmtjax.physics.multipole import HIGHEST_DEGREE, Harmonic, harmonics_up_to, multipole_corner, multipole_series
from mmtjax.precision import AnyArray, ArrayLike, float64_array, is_concrete
from mmtjax.progress import Progress
from mmtjax.sources.base import AbstractSource, DegreeGroup, Parts, point_parts, selected_indices
from mmtjax.sources.ids import exact_ids
from mmtjax.units import AXES
from mmtjax.unknowns import Component

#: Units of moments of each degree.
_UNITS = {1: "A/m µm³", 2: "A/m µm⁴", 3: "A/m µm⁵"}

#: Letters of the degrees above the first, in names of components.
_LETTERS = {2: "q", 3: "o"}


class Multipoles(AbstractSource):
    """Point sources with the multipole moments of all degrees from 1 to `degree`.

    The potential is ``V = µ0/(4π) Σ q_lm S_lm(r) / r^(2l+1)`` with real solid harmonics S of Schmidt's
    semi-normalization, so that ``q_lm = ∫ M·∇S_lm dV`` about the position. The three moments of degree 1 are the dipole
    moment (mx, my, mz). Those of degree 2 are q20, q21c, q21s, q22c, q22s: order m from 0, c with cos mφ, s with
    sin mφ; those of degree 3 are o30 to o33s. The field is averaged over the sensor.

    Parameters
    ----------
    position
        Places, (source, 3), µm; may be traced.
    degree
        Highest degree: 1 (3 moments of each source), 2 (8) or 3 (15).
    ids
        Integer ids, (source,); by default 1, 2, 3, …

    Raises
    ------
    ValueError
        For a position that is not (source, 3) or not finite, another degree, ids that are no different integers, and
        two sources at one place.

    Notes
    -----
    Moments are A/m · µm^(l+2): one of degree 1 is 1e-18 A m², of degree 2 1e-24 A m³, of degree 3 1e-30 A m⁴.

    Examples
    --------
    >>> points = Multipoles([[0, 0, -5], [9, 0, -7]], degree=2)
    >>> len(points), [component.name for component in points.components]
    (2, ['mx', 'my', 'mz', 'q20', 'q21c', 'q21s', 'q22c', 'q22s'])
    """

    position: Float[AnyArray, "source 3"]
    ids: Int[np.ndarray, " source"]
    degree: int = eqx.field(static=True)

    def __init__(self, position: ArrayLike, *, degree: int, ids: ArrayLike | None = None) -> None:
        place = float64_array(position, name="position")
        if place.ndim != 2 or place.shape[1] != len(AXES) or len(place) == 0:
            msg = f"position must be (source, 3), in µm; got shape {place.shape}"
            raise InputError(msg)
        if (
            isinstance(degree, bool)
            or not isinstance(degree, int | np.integer)
            or degree not in range(1, HIGHEST_DEGREE + 1)
        ):
            msg = f"degree must be 1 (dipoles), 2 (with quadrupoles) or 3 (with octupoles); got {degree!r}"
            raise InputError(msg)
        if is_concrete(place):
            _check_places(np.asarray(place))
        self.position, self.degree = place, int(degree)
        self.ids = np.arange(1, len(place) + 1) if ids is None else _checked_ids(ids, len(place))

    @property
    def name(self) -> str:
        """What the sources are called."""
        return "multipoles"

    @property
    def components(self) -> tuple[Component, ...]:
        """The moments of each source, with their units."""
        return tuple(Component(_name(one), _UNITS[one.degree]) for one in harmonics_up_to(self.degree))

    @property
    def volume(self) -> None:
        """No volume: the sources are points."""
        return None

    @property
    def top(self) -> Float[AnyArray, " source"]:
        """The z of each source, µm."""
        return self.position[:, -1]

    def select(self, keep: ArrayLike) -> "Multipoles":
        """Return some of the sources: a boolean array (source,), or indices in ascending order."""
        index = selected_indices(keep, len(self))
        return Multipoles(self.position[index], degree=self.degree, ids=self.ids[index])

    def parts(self, *, progress: Progress | None = None) -> Parts:
        """Return one shape that all sources share: a point with its closed form and series."""
        if progress is not None:
            progress(len(self), len(self))
        ends = np.cumsum([0] + [2 * degree + 1 for degree in range(1, self.degree + 1)]).tolist()
        groups = tuple(DegreeGroup(number, *own) for number, own in enumerate(zip(ends, ends[1:], strict=False), 1))
        return point_parts(
            np.full((1, 1), float(self.degree)),
            np.ones((1, self.degree)),
            root=np.zeros(len(self), int),
            expansion=multipole_series,
            near_form=_near_form(self.degree),
            groups=groups,
        )


@cache
def _near_form(degree: int) -> Callable[..., tuple[jax.Array, ...]]:
    """Return the closed form of a degree: the same object each time, for which kernels are compiled once."""
    return partial(multipole_corner, degree=degree)


def _name(harmonic: Harmonic) -> str:
    if harmonic.degree == 1:
        return {(1, False): "mx", (1, True): "my", (0, False): "mz"}[harmonic.order, harmonic.sine]
    part = "" if harmonic.order == 0 else ("s" if harmonic.sine else "c")
    return f"{_LETTERS[harmonic.degree]}{harmonic.degree}{harmonic.order}{part}"


def _check_places(place: Float[np.ndarray, "source 3"]) -> None:
    if not np.all(np.isfinite(place)):
        row = int(np.argwhere(~np.isfinite(place))[0, 0])
        msg = f"position[{row}] is {place[row].tolist()}; positions must be finite, in µm"
        raise InputError(msg)
    distinct, first, count = np.unique(place, axis=0, return_index=True, return_counts=True)
    if np.any(count > 1):
        msg = (
            f"{int(count.max())} sources are at {distinct[count > 1][0].tolist()} µm (first in row "
            f"{int(first[count > 1][0])}), and no map can tell them apart; keep one of them"
        )
        raise InputError(msg)


def _checked_ids(ids: ArrayLike, count: int) -> Int[np.ndarray, " source"]:
    values = exact_ids(ids, owner="source")
    if values.shape != (count,):
        msg = f"ids must be integers ({count},); got shape {values.shape}"
        raise InputError(msg)
    distinct, counts = np.unique(values, return_counts=True)
    if np.any(counts > 1):
        msg = f"the id {distinct[counts > 1][0]} is given to {int(counts.max())} sources; ids must differ"
        raise InputError(msg)
    return values
