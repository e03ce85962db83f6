"""Read maps of QDMlab (MATLAB), ``Bz_uc<µm>.mat``."""

import re
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.io.plausible import check_scan, check_spacing, pixels_of_file
from mmtjax.io.text import AnyPath
from mmtjax.io.untrusted import read_untrusted
from mmtjax.precision import ArrayLike, float64_array
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.scan import Scan
from mmtjax.units import field_in_nanotesla

#: Heights that differ by more than this, µm, contradict each other.
_SAME_HEIGHT = 0.01

#: Spacings that differ by more than this part contradict each other.
_SAME_SPACING = 0.01

_WITHOUT_BZ = (
    "this is B111, the field along one axis of the diamond, in gauss, and not Bz; make Bz from it in QDMlab "
    "(QDMdataprocessing) and read the Bz_uc*.mat"
)


class MatContent(NamedTuple):
    """Variables of a MAT file: those of numbers or text by name, and what the others are, such as a struct."""

    variables: dict[str, np.ndarray]
    others: dict[str, str]

    @property
    def listed(self) -> str:
        """The names of all variables, and what the variables are that hold neither numbers nor text."""
        return ", ".join([*self.variables, *(f"{name} ({what})" for name, what in self.others.items())]) or "nothing"


def read_qdmlab(
    path: AnyPath,
    *,
    height: ArrayLike | None = None,
    upward_continuation: ArrayLike | None = None,
    unit: str = "T",
    spacing: ArrayLike | None = None,
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
    spacing
        Sampling interval, µm; by default the ``step`` of the file. Needed where that is not in m.
    origin
        Centre (x, y) of the sensor [0, 0], µm.
    side
        Edge of a sensor, µm; the spacing, by default.

    Warns
    -----
    UserWarning
        If ``h`` of the file is not the height of the map, or `spacing` is not the ``step`` of the file.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        Without `height` or an upward continuation; for a map of B111, a file without Bz, a file that is cut short,
        damaged or of version 7.3; and where field, spacing or height is only possible with a wrong unit.
    """
    content = load_mat(path)
    field = _field(content, path=path)
    step = _spacing(content, spacing, path=path)
    height_in_file = _height_in_file(content)
    continuation = _continuation(path, upward_continuation)
    if height is None:
        note = "" if height_in_file is None else f" (its h is {height_in_file:g} µm, which QDMlab does not keep right)"
        msg = (
            f"{path} does not hold the height of the sensor{note}; pass height=, the height of the sensor above the "
            f"surface of the sample in µm, to which the upward continuation of {continuation:g} µm is added"
        )
        raise InputError(msg)
    plane = float(np.asarray(float64_array(height, name="height"))) + continuation
    # A height in µm beside a step in m also occurs.
    if height_in_file is not None and min(abs(height_in_file * factor - plane) for factor in (1, 1e-6)) > _SAME_HEIGHT:
        warnings.warn(
            f"{path}: h is {height_in_file:g} µm; not used, because QDMlab adds every continuation to it. The map is "
            f"taken to lie at {plane:g} µm: height={height} and an upward continuation of {continuation:g} µm",
            stacklevel=2,
        )
    grid = SensorGrid(origin=origin, spacing=step, shape=field.shape, height=plane, side=side)
    nanotesla = field * field_in_nanotesla(unit)
    return check_scan(Scan(nanotesla, grid, pixels_of_file(nanotesla, path=path)), unit=unit, path=path)


def load_mat(path: AnyPath) -> MatContent:
    """Read the variables of a MAT file of version 4 or 5.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is cut short, damaged, of version 7.3, or not a MAT file.
    """
    content = read_untrusted(path, reader="mat", kind="a MAT file")
    return MatContent(content.arrays, {name: str(what) for name, what in content.facts_of("others").items()})


def is_b111(content: MatContent) -> bool:
    """Whether the variables of a MAT file are maps of B111."""
    return any(name.startswith("B111") for name in content.variables)


def one_number(content: MatContent, name: str) -> float | None:
    """Return the variable `name` if it is one finite number, else None.

    Examples
    --------
    >>> content = MatContent({"step": np.array([[4.7e-6]]), "corners": np.eye(2)}, {})
    >>> one_number(content, "step"), one_number(content, "corners"), one_number(content, "h")
    (4.7e-06, None, None)
    """
    values = content.variables.get(name, np.zeros(0))
    if values.size != 1 or values.dtype.kind not in "fiu" or not np.all(np.isfinite(values)):
        return None
    return float(values.ravel()[0])


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


def _field(content: MatContent, *, path: AnyPath) -> Float[np.ndarray, "ny nx"]:
    """Return Bz in the unit of the file."""
    bz = content.variables.get("Bz")
    if bz is None:
        reason = f"Bz is {content.others['Bz']}" if "Bz" in content.others else "there is no Bz"
        msg = f"{path}: {_WITHOUT_BZ if is_b111(content) else reason}; it has {content.listed}"
        raise InputError(msg)
    if bz.ndim != 2 or bz.dtype.kind not in "fiu" or 0 in bz.shape:
        msg = f"{path}: Bz must be a matrix of real numbers [y, x]; got shape {bz.shape}, dtype {bz.dtype}"
        raise InputError(msg)
    return bz.astype(np.float64)


def _spacing(content: MatContent, given: ArrayLike | None, *, path: AnyPath) -> Float[np.ndarray, "..."]:
    """Return the sampling interval, µm, as given or from the file, where it is in m."""
    step = one_number(content, "step")
    if given is not None:
        spacing = np.asarray(float64_array(given, name="spacing"))
        check_spacing(spacing, path=path)
        # A step in µm beside a height in m also occurs.
        if step is not None and not any(
            np.allclose(step * factor, spacing, rtol=_SAME_SPACING, atol=0) for factor in (1, 1e6)
        ):
            warnings.warn(
                f"{path}: step is {step:g}, neither in m nor in µm the spacing={given} that is used instead",
                stacklevel=3,
            )
        return spacing
    if step is None:
        value = content.variables.get("step", content.others.get("step", "nothing"))
        msg = f"{path}: 'step' must be one number, in m; got {value!r}"
        raise InputError(msg, remedy="pass the spacing of the sensors in µm as spacing=")
    try:
        check_spacing(step * 1e6, path=path)
    except InputError as error:
        msg = f"{error}. The file has step = {step:g}, read in m, as QDMlab writes it"
        raise InputError(msg) from error
    return np.asarray(step * 1e6)


def _height_in_file(content: MatContent) -> float | None:
    """Return ``h`` of the file, µm, or None; it is only compared, so that nothing depends on its being there."""
    height = one_number(content, "h")
    return None if height is None else height * 1e6
