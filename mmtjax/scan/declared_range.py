"""Find values outside the range that the attributes of a variable of NetCDF declare as valid."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Num

from mmtjax.errors import InputError, located
from mmtjax.precision import ArrayLike, float64_array

#: The attributes, and how many numbers each holds.
RANGE_ATTRIBUTES: Mapping[str, int] = {"valid_min": 1, "valid_max": 1, "valid_range": 2}


class DeclaredRange(NamedTuple):
    """The least and the largest valid value, and whether the attributes hold integers, as packed values are."""

    least: float
    largest: float
    integers: bool

    def excludes(self, values: Num[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
        """Return where values lie outside the range; NaN does not.

        Examples
        --------
        >>> DeclaredRange(0.0, 1.0, integers=False).excludes(np.array([-1.0, 0.0, np.nan, 2.0]))
        array([ True, False, False,  True])
        """
        return (values < self.least) | (values > self.largest)


def declared_range(attributes: Mapping[str, ArrayLike], *, name: str) -> DeclaredRange | None:
    """Return the range that ``valid_min``, ``valid_max`` or ``valid_range`` declare, or None where there is none.

    Parameters
    ----------
    attributes
        Attributes of a variable.
    name
        Name of the variable, for the error.

    Raises
    ------
    ValueError
        If an attribute does not hold one number, or for ``valid_range`` two.

    Examples
    --------
    >>> declared_range({"valid_min": 0}, name="bz")
    DeclaredRange(least=0.0, largest=inf, integers=True)
    """
    found = {}
    for attribute, count in RANGE_ATTRIBUTES.items():
        if attribute in attributes:
            with located(f"{name!r}", remedy="correct or remove the attribute in the file"):
                numbers = np.asarray(float64_array(attributes[attribute], name=f"the attribute {attribute!r}")).ravel()
                if len(numbers) != count or np.isnan(numbers).any():
                    msg = f"the attribute {attribute!r} must hold {count} number{'s'[: count > 1]}; got {numbers}"
                    raise InputError(msg)
            found[attribute] = numbers
    if not found:
        return None
    least, largest = found.get("valid_range", (-np.inf, np.inf))
    least, largest = found.get("valid_min", [least])[0], found.get("valid_max", [largest])[0]
    integers = all(np.asarray(attributes[attribute]).dtype.kind in "iu" for attribute in found)
    return DeclaredRange(float(least), float(largest), integers)
