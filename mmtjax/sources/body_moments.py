"""Central moments of bodies, exact from their signed corners."""

from functools import cache

import numpy as np
from jaxtyping import Float

from mmtjax.physics.monomials import monomials


def central_moments(body: Float[np.ndarray, "corner 4"], order: int) -> Float[np.ndarray, " monomial"]:
    """Moments ∫ x^a y^b z^c dV of a body for all exponents of `monomials`, µm^(3 + a + b + c).

    Parameters
    ----------
    body
        Signed corners x, y, z and weight, relative to the point about which moments are taken.
    order
        Largest a + b + c.

    Notes
    -----
    A body of signed corners has ``∫ x^a y^b z^c dV = -Σ weight · x^(a+1) y^(b+1) z^(c+1) / ((a+1)(b+1)(c+1))``.

    Examples
    --------
    >>> cube = np.array([[x, y, z, x * y * z] for x in (-1.0, 1.0) for y in (-1, 1) for z in (-1, 1)])
    >>> central_moments(-cube * [1, 1, 1, -1], 2)[monomials(2).index((2, 0, 0))].round(6).item()
    2.666667
    """
    exponents = np.arange(1, order + 2)
    # One product for each power: a power function takes several times as long.
    powers = np.multiply.accumulate(np.repeat(body[:, :3, None], len(exponents), axis=2), axis=2) / exponents
    (first, second), place = _flat(order)
    products = (powers[:, 0, first] * powers[:, 1, second]).T @ (-body[:, 3:] * powers[:, 2])
    return products[place]


@cache
def _flat(order: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Exponents (a, b) of x and y with a + b up to the order, and where each monomial is among these and those of z."""
    pairs = [(a, b) for a in range(order + 1) for b in range(order + 1 - a)]
    number = {pair: row for row, pair in enumerate(pairs)}
    first, second = np.array(pairs).T
    rows, columns = np.array([(number[a, b], c) for a, b, c in monomials(order)]).T
    return (first, second), (rows, columns)
