"""Read maps of QDMlab (MATLAB), ``Bz_uc<µm>.mat``."""

import re
import warnings
import zlib
from pathlib import Path

import numpy as np
import scipy.io
from scipy.io.matlab import MatReadError

from mmtjax.errors import InputError
from mmtjax.io.plausible import check_scan, check_spacing
from mmtjax.io.text import AnyPath, require_file
from mmtjax.precision import ArrayLike, float64_array
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.scan import Scan
from mmtjax.units import field_in_nanotesla

#: Heights that differ by more than this, µm, contradict each other.
_SAME_HEIGHT = 0.01

_WITHOUT_BZ = (
    "this is B111, the field along one axis of the diamond, in gauss, and not Bz; make Bz from it in QDMlab "
    "(QDMdataprocessing) and read the Bz_uc*.mat"
)


def read_qdmlab(
    path: AnyPath,
    *,
    height: ArrayLike | None = None,
    upward_continuation: ArrayLike | None = None,
    unit: str = "T",
    origin: ArrayLike = (0.0, 0.0),
    side: ArrayLike | None = None,
) -> Scan:
    """Read a scan from a ``Bz_uc<µm>.mat`` of QDMlab; row 0 has the lowest y, as QDMlab draws it.

    The variable ``h`` of the file is not used, because QDMlab adds every upward continuation of a list to it. The
    height of the map is the `height` of the sensor plus the upward continuation in the file name; where a name holds
    several, such as ``Bz_uc0_uc10.mat``, plus their sum.

    Parameters
    ----------
    path
        A MAT file of version 5, with ``Bz`` in T and ``step`` in m.
    height
        Height of the sensor above the surface of the sample during the measurement, before any upward continuation, µm.
    upward_continuation
        Distance by which the map was continued upward, µm; needed where the file name does not hold it, and an error
        where it differs from the file name.
    unit
        Unit of ``Bz``.
    origin
        Centre (x, y) of the sensor [0, 0], µm.
    side
        Edge of a sensor, µm; the spacing, by default.

    Warns
    -----
    UserWarning
        If ``h`` of the file is not the height of the map.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        Without `height` or an upward continuation; for a map of B111, a file without Bz, a file that is cut short or of
        version 7.3; and where field, spacing or height is only possible with a wrong unit.
    """
    content = load_mat(path)
    if "Bz" not in content:
        msg = f"{path}: {_WITHOUT_BZ if is_b111(content) else 'there is no Bz'}; it has {_names(content)}"
        raise InputError(msg)
    step = _scalar_in_micrometres(content, "step", path=path)
    height_in_file = _scalar_in_micrometres(content, "h", path=path) if "h" in content else None
    continuation = _continuation(path, upward_continuation)
    if height is None:
        note = "" if height_in_file is None else f" (its h is {height_in_file:g} µm, which QDMlab does not keep right)"
        msg = (
            f"{path} does not hold the height of the sensor{note}; pass height=, the height of the sensor above the "
            f"surface of the sample in µm, to which the upward continuation of {continuation:g} µm is added"
        )
        raise InputError(msg)
    plane = float(np.asarray(float64_array(height, name="height"))) + continuation
    if height_in_file is not None and abs(height_in_file - plane) > _SAME_HEIGHT:
        warnings.warn(
            f"{path}: h is {height_in_file:g} µm; not used, because QDMlab adds every continuation to it. The map is "
            f"taken to lie at {plane:g} µm: height={height} and an upward continuation of {continuation:g} µm",
            stacklevel=2,
        )
    field = np.asarray(content["Bz"], np.float64)
    check_spacing(step, path=path)
    grid = SensorGrid(origin=origin, spacing=step, shape=field.shape, height=plane, side=side)
    return check_scan(Scan(field * field_in_nanotesla(unit), grid, ~np.isnan(field)), unit=unit, path=path)


def load_mat(path: AnyPath) -> dict[str, np.ndarray]:
    """Read the arrays of a MAT file of version 5 by name.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is cut short, of version 7.3, or not a MAT file.
    """
    file = require_file(path)
    try:
        content = scipy.io.loadmat(file, verify_compressed_data_integrity=True)
    except NotImplementedError as error:
        msg = f"{file} is a MAT file of version 7.3; save it in MATLAB with the option '-v7'"
        raise InputError(msg) from error
    except (ValueError, TypeError, OSError, EOFError, MatReadError, LookupError, zlib.error) as error:
        msg = f"{file} does not read as a MAT file ({error}); was its copy cut short?"
        raise InputError(msg) from error
    # Names that begin with "__" are not variables but properties of the file.
    return {
        name: value for name, value in content.items() if not name.startswith("__") and isinstance(value, np.ndarray)
    }


def is_b111(content: dict[str, np.ndarray]) -> bool:
    """Whether the variables of a MAT file are maps of B111."""
    return any(name.startswith("B111") for name in content)


def continuation_in_name(path: AnyPath) -> float | None:
    """Return the sum of the upward continuations in a file name, µm, or None.

    Examples
    --------
    >>> continuation_in_name("Bz_uc0_uc10.mat"), continuation_in_name("Bz.mat")
    (10.0, None)
    """
    found = re.findall(r"_uc(\d+(?:\.\d+)?)", Path(path).stem)
    return sum(float(distance) for distance in found) if found else None


def _continuation(path: AnyPath, given: ArrayLike | None) -> float:
    """Return the upward continuation of a map, µm, as given or from its file name."""
    named = continuation_in_name(path)
    if given is None:
        if named is None:
            msg = (
                f"{path}: the name does not hold an upward continuation, as Bz_uc10.mat does; pass "
                "upward_continuation= in µm, 0 for none"
            )
            raise InputError(msg)
        return named
    distance = float(np.asarray(float64_array(given, name="upward_continuation")))
    if named is not None and abs(named - distance) > _SAME_HEIGHT:
        msg = (
            f"{path}: upward_continuation={given!r} µm, but the name says {named:g} µm; leave the option out, or "
            "rename the file"
        )
        raise InputError(msg)
    return distance


def _scalar_in_micrometres(content: dict[str, np.ndarray], name: str, *, path: AnyPath) -> float:
    """Return a variable in m that holds one number, in µm."""
    values = np.asarray(content.get(name, np.nan))
    if values.size != 1 or values.dtype.kind not in "fiu" or not np.all(np.isfinite(values)):
        msg = f"{path}: {name!r} must be one number, in m; got {content.get(name, 'nothing')!r}"
        raise InputError(msg)
    return float(values.ravel()[0]) * 1e6


def _names(content: dict[str, np.ndarray]) -> str:
    return ", ".join(content) or "nothing"
