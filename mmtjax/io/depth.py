"""Decide whether z of a file of grains points up or down."""

import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.io.plausible import check_choice
from mmtjax.io.text import AnyPath


def sign_of_z(values: Float[np.ndarray, " position"], *, z: str | None, path: AnyPath) -> float:
    """Return 1.0 if the z of a file points up, -1.0 if it points down.

    Parameters
    ----------
    values
        z of the file in µm, read as heights above the surface of the sample, where grains have negative ones.
    z
        ``"up"`` or ``"down"``: where the z of the file points. None takes it to be up if no value is positive.
    path
        The file, for the error.

    Raises
    ------
    ValueError
        If `z` is None and some values are positive, and for another `z`.

    Examples
    --------
    >>> sign_of_z(np.array([3.0, 5.0]), z="down", path="cuboids.txt")
    -1.0
    """
    if z is not None:
        check_choice(z, ("up", "down"), option="z")
        return -1.0 if z == "down" else 1.0
    above = int(np.sum(values > 0))
    if above:
        msg = (
            f"{path}: {above} of {len(values)} values of z are positive (z goes from {values.min():g} to "
            f"{values.max():g} µm) and would lie above the surface of the sample, z = 0; the file does not say where "
            "its z points. Pass z='down' if z is a depth, z='up' if it is a height"
        )
        raise InputError(msg)
    return 1.0
