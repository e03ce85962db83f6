"""Physical constants, and the conversion of units that readers and writers use.

Everywhere else lengths are in µm, fields in nT and magnetizations in A/m. In these units the kernels of the field are
dimensionless: ``Bz[nT] = NT_PER_A_PER_M * N * M[A/m]``.
"""

import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError

#: Axes of a vector: right-handed, z up.
AXES = ("x", "y", "z")

#: µ0/(4π) in nT per A/m: 1e-7 T m/A.
NT_PER_A_PER_M = 100.0

#: Moment of 1 A/m in 1 µm³, in A m².
A_M2_PER_A_PER_M_UM3 = 1e-18

#: µm³ in one mm³: densities of grains are numbers per mm³.
UM3_PER_MM3 = 1e9

#: Saturation magnetization of magnetite at room temperature, A/m (Dunlop & Özdemir 1997).
MAGNETITE_SATURATION = 480e3

#: Letters of the longest symbol of a unit of length.
_LONGEST_SYMBOL = 2

#: Names of factors before those of units.
_PREFIXES = {"": 1.0, "milli": 1e-3, "micro": 1e-6, "nano": 1e-9}

_LENGTH_IN_UM = {
    "m": 1e6,
    "mm": 1e3,
    "um": 1.0,
    "µm": 1.0,  # U+00B5, the micro sign
    "μm": 1.0,  # U+03BC, the Greek letter
    "nm": 1e-3,
    "micron": 1.0,
    "microns": 1.0,
} | {prefix + name: size * 1e6 for name in ("metre", "metres", "meter", "meters") for prefix, size in _PREFIXES.items()}
_FIELD_IN_NT = {
    "t": 1e9,
    "mt": 1e6,
    "ut": 1e3,
    "µt": 1e3,
    "μt": 1e3,
    "nt": 1.0,
    "g": 1e5,
    "gauss": 1e5,
} | {f"{prefix}tesla": size * 1e9 for prefix, size in _PREFIXES.items()}


def length_in_micrometres(unit: str) -> float:
    """Return the length of one `unit` in µm.

    Parameters
    ----------
    unit
        Symbol or name of a unit of length, such as ``"mm"`` or ``"micrometre"``; upper and lower case are the same in
        names, and not in symbols.

    Raises
    ------
    ValueError
        For an unknown unit of length.

    Examples
    --------
    >>> length_in_micrometres("mm")
    1000.0
    """
    stripped = unit.strip()
    symbol = len(stripped) <= _LONGEST_SYMBOL
    return _look_up(stripped if symbol else stripped.lower(), _LENGTH_IN_UM, quantity="length")


def field_in_nanotesla(unit: str) -> float:
    """Return the magnetic field of one `unit` in nT.

    Parameters
    ----------
    unit
        Symbol or name of a unit of the magnetic field, such as ``"uT"``; upper and lower case are the same.

    Raises
    ------
    ValueError
        For an unknown unit of the magnetic field.

    Examples
    --------
    >>> field_in_nanotesla("uT")
    1000.0
    """
    return _look_up(unit.strip().lower(), _FIELD_IN_NT, quantity="magnetic field")


def _look_up(unit: str, table: dict[str, float], *, quantity: str) -> float:
    if unit not in table:
        msg = f"{unit!r} is not a known unit of {quantity}; use one of {', '.join(table)}"
        raise InputError(msg)
    return table[unit]


def percent(share: float) -> str:
    """Return a share as text in percent.

    Examples
    --------
    >>> percent(0.1), percent(0.999)
    ('10 %', '99.9 %')
    """
    return f"{100 * share:.4g} %"


def directions(
    vectors: Float[np.ndarray, "*shape 3"],
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Return declination (clockwise from +y) and inclination (positive down), degrees, of vectors with z up.

    Examples
    --------
    >>> [angle.item() for angle in directions(np.array([0.0, 1.0, -1.0]))]
    [0.0, 45.0]
    """
    x, y, z = np.moveaxis(vectors, -1, 0)
    declination, inclination = np.degrees(np.arctan2(x, y)) % 360, np.degrees(np.arctan2(-z, np.hypot(x, y)))
    return np.asarray(declination), np.asarray(inclination)
