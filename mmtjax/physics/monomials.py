"""The order of monomials of x, y and z in lists of moments."""

from functools import cache


@cache
def monomials(order: int) -> tuple[tuple[int, int, int], ...]:
    """Return the exponents (a, b, c) of x, y, z of all monomials up to the total degree `order`, by degree.

    Examples
    --------
    >>> monomials(1)
    ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0))
    """
    return tuple(
        (a, b, degree - a - b) for degree in range(order + 1) for a in range(degree + 1) for b in range(degree + 1 - a)
    )
