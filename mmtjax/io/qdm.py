"""Read maps of qdmpy-core in HDF5, ``.qdm``."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.io.plausible import check_scan, check_spacing, pixels_of_file
from mmtjax.io.text import AnyPath, JsonValue
from mmtjax.io.untrusted import read_untrusted
from mmtjax.precision import ArrayLike, float64_array
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.scan import Scan
from mmtjax.units import field_in_nanotesla

#: Version of the format that is known; a later first number may change its meaning.
_KNOWN_VERSION = 1


class QdmContent(NamedTuple):
    """What a ``.qdm`` file says of Bz; unit and spacing (µm) are None where the file does not hold them."""

    bz: Float[np.ndarray, "ny nx"]
    unit: str | None
    spacing: float | None


def read_qdm(
    path: AnyPath,
    *,
    height: ArrayLike | None = None,
    unit: str | None = None,
    spacing: ArrayLike | None = None,
    origin: ArrayLike = (0.0, 0.0),
    side: ArrayLike | None = None,
) -> Scan:
    """Read a scan from a ``.qdm`` file of qdmpy-core; row 0 has the lowest y, pixels that are NaN are masked.

    Parameters
    ----------
    path
        An HDF5 file with Bz in ``b_field/bz``, its unit, and the attribute ``pixel_spacing`` in m.
    height
        z of the scanning plane, µm, which the file does not hold.
    unit
        Unit of the field; it overrides that of the file.
    spacing
        Sampling interval, µm; it overrides that of the file.
    origin
        Centre (x, y) of the sensor [0, 0], µm.
    side
        Edge of a sensor, µm; the spacing, by default.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        Without `height`; for a file without Bz, and one without unit or spacing where the options are not given; for a
        file that is cut short or damaged; and where field, spacing or height is only possible with a wrong unit.
    """
    content = load_qdm(path)
    field_unit = unit or content.unit
    step = content.spacing if spacing is None else np.asarray(float64_array(spacing, name="spacing"))
    needed = {
        "unit= (the unit of the field, qdmpy-core writes 'uT')": field_unit,
        "spacing= (the sampling interval in µm)": step,
        "height= (the height of the scanning plane above the surface of the sample in µm)": height,
    }
    if field_unit is None or step is None or height is None:
        missing = ", ".join(name for name, value in needed.items() if value is None)
        msg = f"{path} does not hold everything that is needed; pass {missing}"
        raise InputError(msg)
    check_spacing(step, path=path)
    grid = SensorGrid(origin=origin, spacing=step, shape=content.bz.shape, height=height, side=side)
    field = content.bz.astype(np.float64) * field_in_nanotesla(field_unit)
    return check_scan(Scan(field, grid, pixels_of_file(field, path=path)), unit=field_unit, path=path)


def load_qdm(path: AnyPath) -> QdmContent:
    """Read Bz, its unit and its spacing from a ``.qdm`` file.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is cut short, damaged, of another program or of a later version, or holds no Bz.
    """
    content = read_untrusted(path, reader="qdm", kind="a .qdm file")
    attributes = content.facts_of("attributes")
    version = attributes.get("qdm_version")
    if not isinstance(version, str) or version.partition(".")[0] != str(_KNOWN_VERSION):
        got = "none" if version is None else repr(version)
        msg = f"its attribute qdm_version must be {_KNOWN_VERSION}.x, as qdmpy-core writes it; got {got}"
        raise InputError(msg, where=str(path), remedy="save Bz as NetCDF there, or as a .npy file")
    bz = content.arrays.get("bz")
    if bz is None:
        msg = f"there is no Bz in b_field, which has {', '.join(content.facts_of('fields')) or 'nothing'}"
        remedy = "save it with Bz in qdmpy-core: its function save_qdm has the option include_bxyz"
        raise InputError(msg, where=str(path), remedy=remedy)
    if bz.ndim != 2 or bz.dtype.kind not in "fiu" or 0 in bz.shape:
        msg = f"b_field/bz must be a matrix of real numbers [y, x]; got shape {bz.shape}, dtype {bz.dtype}"
        raise InputError(msg, where=str(path))
    unit, spacing = content.facts.get("unit"), attributes.get("pixel_spacing")
    return QdmContent(bz, unit if isinstance(unit, str) else None, _micrometres(spacing))


def _micrometres(attribute: JsonValue) -> float | None:
    """Return an attribute in m that is one number, in µm; None for any other."""
    value = attribute["value"] if isinstance(attribute, dict) else None
    return value * 1e6 if isinstance(value, float) and np.isfinite(value) else None
