"""Central moments of grains, exact from their signed corners."""

from functools import cache, partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mmtjax.rock.grains import Grains


@cache
def monomials(order: int) -> tuple[tuple[int, int, int], ...]:
    """Exponents (a, b, c) of x, y, z up to the total degree `order`, by degree.

    Examples
    --------
    >>> monomials(1)
    ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0))
    """
    return tuple(
        (a, b, degree - a - b) for degree in range(order + 1) for a in range(degree + 1) for b in range(degree + 1 - a)
    )


@partial(jax.jit, static_argnums=1)
def central_moments(grains: Grains, order: int) -> Float[Array, "grain monomial"]:
    """Moments ∫ x^a y^b z^c dV about the centroids for all exponents of `monomials`, µm^(3 + a + b + c).

    A body of signed corners has ``∫ x^a y^b z^c dV = -Σ weight · x^(a+1) y^(b+1) z^(c+1) / ((a+1)(b+1)(c+1))``.

    Examples
    --------
    >>> cube = Grains.from_cuboids([[4, 0, -5, 1, 1, 1, 1]])
    >>> central_moments(cube, 2)[0, monomials(2).index((2, 0, 0))].round(6).item()
    2.666667
    """
    powers = [jnp.ones_like(jnp.asarray(grains.corner_offset))]
    for _ in range(order + 1):
        powers.append(powers[-1] * grains.corner_offset)
    stacked = jnp.stack(powers)

    def moment(power: Int[Array, "3"]) -> Float[Array, " grain"]:
        a, b, c = power + 1
        terms = -grains.corner_weight * stacked[a, :, 0] * stacked[b, :, 1] * stacked[c, :, 2] / (a * b * c)
        return jax.ops.segment_sum(terms, grains.corner_grain, num_segments=len(grains), indices_are_sorted=True)

    return jax.lax.map(moment, jnp.asarray(monomials(order))).T
