"""Maps of QDMlab (MATLAB): ``Bz_uc<µm>.mat``."""

import re
import warnings
import zlib
from pathlib import Path

import numpy as np
import scipy.io
from scipy.io.matlab import MatReadError

from mmtjax.io.plausible import check_scan, check_spacing
from mmtjax.io.text import AnyPath, require_file
from mmtjax.precision import float64_array
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.scan import Scan
from mmtjax.units import field_in_nanotesla

#: A height in the file that differs by more, µm, contradicts the name.
_SAME_HEIGHT = 0.01


def read_qdmlab(
    path: AnyPath,
    *,
    height: object = None,
    upward_continuation: object = None,
    unit: str = "T",
    origin: object = (0.0, 0.0),
    side: object = None,
) -> Scan:
    """Scan from a ``Bz_uc<µm>.mat`` of QDMlab; row 0 has the lowest y, as QDMlab draws it.

    The ``h`` of the file is not used: QDMlab adds to it anew for every upward continuation of a list. The height of the
    map is the given `height` of the sensor plus the upward continuation that the file name tells; of a name with
    several, as ``Bz_uc0_uc10.mat``, their sum.

    Parameters
    ----------
    path
        A MAT file of version 5, with ``Bz`` in T and ``step`` in m.
    height
        Height of the sensor above the surface of the sample where it measured, before any upward continuation, µm.
    upward_continuation
        In µm; needed where the file name does not tell, not allowed to deny it.
    unit
        Unit of ``Bz``.
    origin
        Centre (x, y) of the sensor [0, 0], µm.
    side
        Edge of a sensor, µm; the spacing, by default.

    Warns
    -----
    UserWarning
        If ``h`` is not the height that follows.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        Without `height` or an upward continuation; for a map of B111, a file without Bz, cut short or of version 7.3;
        and where field, spacing or height can only come from a mistaken unit.
    """
    content = load_mat(path)
    if "Bz" not in content:
        raise ValueError(f"{path}: {_WITHOUT_BZ if is_b111(content) else 'there is no Bz'}; it has {_names(content)}")
    step = _scalar_in_micrometres(content, "step", path=path)
    told = _scalar_in_micrometres(content, "h", path=path) if "h" in content else None
    continuation = _continuation(path, upward_continuation)
    if height is None:
        says = "" if told is None else f" (its h says {told:g} µm, which QDMlab does not keep right)"
        raise ValueError(
            f"{path} does not tell where the sensor was{says}; pass height=, the height of the sensor above the "
            f"surface of the sample in µm, to which the upward continuation of {continuation:g} µm is added"
        )
    plane = float(np.asarray(float64_array(height, name="height"))) + continuation
    if told is not None and abs(told - plane) > _SAME_HEIGHT:
        warnings.warn(
            f"{path}: h says {told:g} µm; not used, for QDMlab adds to it anew with every continuation. The map is "
            f"taken to lie at {plane:g} µm: height={height} and an upward continuation of {continuation:g} µm",
            stacklevel=2,
        )
    field = np.asarray(content["Bz"], np.float64)
    check_spacing(step, path=path)
    grid = SensorGrid(origin=origin, spacing=step, shape=field.shape, height=plane, side=side)
    return check_scan(Scan(field * field_in_nanotesla(unit), grid, ~np.isnan(field)), unit=unit, path=path)


_WITHOUT_BZ = (
    "this is B111, the field along one axis of the diamond, in gauss, and not Bz; make Bz of it in QDMlab "
    "(QDMdataprocessing) and read the Bz_uc*.mat"
)


def load_mat(path: AnyPath) -> dict[str, object]:
    """Variables of a MAT file of version 5.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is cut short, of version 7.3, or no MAT file.
    """
    place = require_file(path)
    try:
        content = scipy.io.loadmat(place, verify_compressed_data_integrity=True)
    except NotImplementedError as error:
        raise ValueError(f"{place} is a MAT file of version 7.3; save it in MATLAB with the option '-v7'") from error
    except (ValueError, TypeError, OSError, EOFError, MatReadError, LookupError, zlib.error) as error:
        raise ValueError(f"{place} does not read as a MAT file ({error}); was its copy cut short?") from error
    return {name: value for name, value in content.items() if not name.startswith("__")}


def is_b111(content: dict[str, object]) -> bool:
    """Whether the variables of a MAT file are maps of B111."""
    return any(name.startswith("B111") for name in content)


def continuation_in_name(path: AnyPath) -> float | None:
    """Sum of the upward continuations that a file name tells, µm, or None.

    Examples
    --------
    >>> continuation_in_name("Bz_uc0_uc10.mat"), continuation_in_name("Bz.mat")
    (10.0, None)
    """
    found = re.findall(r"_uc(\d+(?:\.\d+)?)", Path(path).stem)
    return sum(float(distance) for distance in found) if found else None


def _continuation(path: AnyPath, given: object) -> float:
    named = continuation_in_name(path)
    if given is None and named is None:
        raise ValueError(
            f"{path}: the name does not tell an upward continuation, as Bz_uc10.mat does; pass upward_continuation= in "
            "µm, 0 for none"
        )
    if given is None:
        return named
    distance = float(np.asarray(float64_array(given, name="upward_continuation")))
    if named is not None and abs(named - distance) > _SAME_HEIGHT:
        raise ValueError(
            f"{path}: upward_continuation={given!r} µm, but the name tells {named:g} µm; leave the option out, or "
            "rename the file"
        )
    return distance


def _scalar_in_micrometres(content: dict[str, object], name: str, *, path: AnyPath) -> float:
    values = np.asarray(content.get(name, np.nan))
    if values.size != 1 or values.dtype.kind not in "fiu" or not np.all(np.isfinite(values)):
        raise ValueError(f"{path}: {name!r} must be one number, in m; got {content.get(name, 'nothing')!r}")
    return float(values.ravel()[0]) * 1e6


def _names(content: dict[str, object]) -> str:
    return ", ".join(content) or "nothing"
