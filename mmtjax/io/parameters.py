"""Read sensor grids from the JSON files, in SI units, of mmt_dipole_cuboid_inversion and mmt_multipole_inversion."""

import math

import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.io.plausible import check_spacing
from mmtjax.io.text import AnyPath, JsonValue, read_json
from mmtjax.precision import ArrayLike
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.grains import Grains

_UM = 1e6

#: What to do about a spacing that is not in m: no option overrides that of the file.
_SPACING_IN_METRES = "Lengths in this file are in m; correct it"

#: Numbers in SI units that no scan has; those near the largest of float64 would overflow.
_LARGEST = 1e9

#: Sensors along an axis that no scan has, and that no memory holds.
_MOST_SENSORS = 1_000_000

#: Keys that the files of each program have.
DCI_KEYS = ("Scan spacing", "Scan delta-x", "Scan delta-y", "Scan area", "Scan height")
METADICT_KEYS = (
    "Scan height Hz",
    "Scan area x-dimension Sx",
    "Scan area y-dimension Sy",
    "Scan x-step Sdx",
    "Scan y-step Sdy",
)


def sensor_grid_from_dci(path: AnyPath, *, height: ArrayLike | None = None) -> SensorGrid:
    """Read the sensors from a JSON file of mmt_dipole_cuboid_inversion.

    A negative ``Scan height`` means that z points down in that program: the plane lies at its absolute value, the map
    is unchanged, and the cuboids that belong to it hold depths (`read_cuboids` with ``z="down"``). The z component of
    magnetizations from that program then points down too.

    Parameters
    ----------
    path
        The file, lengths in m: ``Sensor center domain LL-x-y`` and ``UR-x-y`` (or ``Scan domain``, half a spacing
        farther out), ``Scan spacing``, half-lengths ``Scan delta-x`` and ``-y`` of a sensor, ``Scan area``, ``Scan
        height``.
    height
        z of the scanning plane, µm, instead of that of the file.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If a key is missing or not a number, the domain is not a whole number of spacings, the area is not that of the
        half-lengths, or the spacing is only possible with a wrong unit.
    """
    content = read_json(path)
    spacing = np.broadcast_to(_numbers(content, "Scan spacing", path=path, count=(1, 2)), (2,))
    half = np.concatenate([_numbers(content, f"Scan delta-{axis}", path=path) for axis in "xy"])
    area = _numbers(content, "Scan area", path=path)[0]
    low, high = _centres(content, spacing, path=path)
    if not math.isclose(area, 4 * half[0] * half[1], rel_tol=1e-6):
        msg = (
            f"{path}: 'Scan area' is {area:g} m², but half-lengths {half.tolist()} m make {4 * half[0] * half[1]:g} "
            "m²; 'Scan delta-x' and '-y' are half of a sensor's edges. Correct the one that is wrong"
        )
        raise InputError(msg)
    check_spacing(spacing * _UM, path=path, remedy=_SPACING_IN_METRES)
    steps = (high - low) / spacing
    shape = np.round(steps).astype(int)[::-1] + 1
    if np.any(shape < 1) or np.any(shape > _MOST_SENSORS) or np.any(np.abs(steps - np.round(steps)) > 0.05):
        msg = (
            f"{path}: from {low.tolist()} to {high.tolist()} m there are {steps.tolist()} spacings of "
            f"{spacing.tolist()} m; expected whole numbers, none negative or above {_MOST_SENSORS}"
        )
        raise InputError(msg)
    height_in_file = abs(_numbers(content, "Scan height", path=path)[0]) * _UM
    return SensorGrid(
        origin=low * _UM,
        spacing=spacing * _UM,
        shape=tuple(int(number) for number in shape),
        height=height_in_file if height is None else height,
        side=_separate_side(2 * half, spacing),
    )


def sensor_grid_from_metadict(
    path: AnyPath, *, grains: Grains | None = None, height: ArrayLike | None = None
) -> SensorGrid:
    """Read the sensors from a ``MetaDict_*.json`` of mmt_multipole_inversion.

    Parameters
    ----------
    path
        The file, lengths in m: ``Scan height Hz``, extents ``Sx``, ``Sy`` and steps ``Sdx``, ``Sdy`` of the scan, the
        centre ``Sensor origin x``, ``y`` of the lowest left sensor (0 where absent), and the half-lengths ``Sensor
        dimensions`` of a sensor. Where these are absent that program treats sensors as points; here their side is the
        spacing.
    grains
        Grains of the scan: an error is raised if their number is not the ``Number of particles``.
    height
        z of the scanning plane, µm, instead of that of the file.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If a key is missing or not a number, the extents are not a whole number of steps, sensors have a thickness, the
        number of grains differs, or the spacing is only possible with a wrong unit.
    """
    content = read_json(path)
    values = {key: _numbers(content, key, path=path)[0] for key in METADICT_KEYS}
    plane, *extents = values.values()
    extent, step = np.array(extents[:2]), np.array(extents[2:])
    with np.errstate(over="ignore"):
        count = extent / step if np.all(step > 0) else np.array([math.nan, math.nan])
    whole = np.all(np.isfinite(count)) and np.all(np.abs(count - np.round(count)) <= 0.05)
    if not whole or np.any(np.round(count) < 1) or np.any(count > _MOST_SENSORS):
        msg = (
            f"{path}: extents Sx, Sy = {extent.tolist()} m are {count.tolist()} steps Sdx, Sdy = {step.tolist()} m; "
            f"expected positive whole numbers, none above {_MOST_SENSORS}"
        )
        raise InputError(msg)
    check_spacing(step * _UM, path=path, remedy=_SPACING_IN_METRES)
    _check_particles(content, grains, path=path)
    origin = [
        _numbers(content, key, path=path)[0] if key in content else 0.0
        for key in ("Sensor origin x", "Sensor origin y")
    ]
    return SensorGrid(
        origin=np.array(origin) * _UM,
        spacing=step * _UM,
        shape=(round(count[1]), round(count[0])),
        height=plane * _UM if height is None else height,
        side=_side_of_metadict(content, step, path=path),
    )


def sensor_grid_from_json(
    path: AnyPath, *, grains: Grains | None = None, height: ArrayLike | None = None
) -> SensorGrid:
    """Read the sensors from a JSON file of either program.

    Parameters
    ----------
    path
        The file, see `sensor_grid_from_dci` and `sensor_grid_from_metadict`.
    grains
        As for `sensor_grid_from_metadict`.
    height
        z of the scanning plane, µm, instead of that of the file.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is of neither program, and where `sensor_grid_from_dci` or `sensor_grid_from_metadict` raises it.
    """
    content = read_json(path)
    if METADICT_KEYS[0] in content:
        return sensor_grid_from_metadict(path, grains=grains, height=height)
    if any(key in content for key in DCI_KEYS):
        return sensor_grid_from_dci(path, height=height)
    msg = (
        f"{path} describes no scan: its keys are {', '.join(content) or 'none'}; expected {', '.join(DCI_KEYS)} or "
        f"{', '.join(METADICT_KEYS)}"
    )
    raise InputError(msg)


def _numbers(
    content: dict[str, JsonValue], key: str, *, path: AnyPath, count: tuple[int, ...] = (1,)
) -> Float[np.ndarray, " number"]:
    """Return the number or numbers of a key, of which there must be one of `count`."""
    if key not in content:
        msg = f"{path} has no key {key!r}; it has {', '.join(content) or 'none'}"
        raise InputError(msg)
    try:
        values = np.atleast_1d(np.asarray(content[key], np.float64))
    except (TypeError, ValueError, OverflowError):
        values = np.array([math.nan])
    if values.ndim != 1 or len(values) not in count or not np.all(np.abs(values) <= _LARGEST):
        msg = (
            f"{path}: {key!r} is {content[key]!r}; expected {' or '.join(map(str, count))} finite numbers, in SI "
            f"units, none above {_LARGEST:g}"
        )
        raise InputError(msg)
    return values


def _centres(
    content: dict[str, JsonValue], spacing: Float[np.ndarray, "2"], *, path: AnyPath
) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """Return the centres (x, y) of the lowest left and the upper right sensor, m."""
    name, inward = ("Sensor center domain", 0.0)
    if f"{name} LL-x-y" not in content and "Scan domain LL-x-y" in content:
        name, inward = "Scan domain", 0.5
    low, high = (_numbers(content, f"{name} {corner}-x-y", path=path, count=(2,)) for corner in ("LL", "UR"))
    return low + inward * spacing, high - inward * spacing


def _check_particles(content: dict[str, JsonValue], grains: Grains | None, *, path: AnyPath) -> None:
    """Raise ValueError if the file gives another number of grains."""
    expected = content.get("Number of particles")
    if grains is not None and expected is not None and expected != len(grains):
        msg = (
            f"{path} is of a scan with {expected} grains ('Number of particles'), but {len(grains)} grains are given; "
            "do both come from one sample and step, with the same selection?"
        )
        raise InputError(msg)


def _side_of_metadict(
    content: dict[str, JsonValue], step: Float[np.ndarray, "2"], *, path: AnyPath
) -> Float[np.ndarray, "2"] | None:
    """Return the edges (x, y) of a sensor, µm, or None where they are the spacing."""
    if not content.get("Sensor dimensions"):
        return None
    half = _numbers(content, "Sensor dimensions", path=path, count=(2, 3))
    if len(half) == 3 and half[2] != 0:
        msg = (
            f"{path}: 'Sensor dimensions' {half.tolist()} m give the sensors a thickness, which is not modelled here; "
            "remove the third number to average over the area in the scanning plane"
        )
        raise InputError(msg)
    return _separate_side(2 * half[:2], step)


def _separate_side(side: Float[np.ndarray, "2"], spacing: Float[np.ndarray, "2"]) -> Float[np.ndarray, "2"] | None:
    """Return `side` (m) in µm, or None where it equals the spacing up to rounding, so that sensors adjoin exactly."""
    return None if np.allclose(side, spacing, rtol=1e-9, atol=0) else side * _UM
