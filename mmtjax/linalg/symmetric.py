"""Blocks of a matrix of unknowns: which they are, and sums of them in place in main memory and by JAX elsewhere."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

AnyArray = np.ndarray | Array


def unknowns_of(grains: Int[np.ndarray, " part"]) -> Int[np.ndarray, " unknown"]:
    """The unknowns of some grains, three for each."""
    return (3 * grains[:, None] + np.arange(3)).ravel()


def add_block(
    total: Float[AnyArray, "size size"], place: Int[np.ndarray, " part"], block: Float[AnyArray, "part part"]
) -> Float[AnyArray, "size size"]:
    """Add the upper triangle of a symmetric block at ascending rows and columns, in place where the array allows it."""
    if not isinstance(total, np.ndarray):
        return total.at[np.ix_(place, place)].add(jnp.triu(block))
    if len(place) == len(total):
        total += np.triu(block)
        return total
    # Picking elements from one row at a time is many times as fast as picking them from all rows and columns at once,
    # and twice as fast if the row is looked up by itself.
    for number, row in enumerate(place):
        own = total[row]
        own[place[number:]] += block[number, number:]
    return total


def from_upper_triangle(triangle: Float[AnyArray, "size size"]) -> Float[AnyArray, "size size"]:
    """The symmetric matrix of an upper triangle, what lies below being zero.

    Examples
    --------
    >>> from_upper_triangle(np.array([[1.0, 2.0], [0.0, 3.0]])).tolist()
    [[1.0, 2.0], [2.0, 3.0]]
    """
    xp = np if isinstance(triangle, np.ndarray) else jnp
    return triangle + xp.triu(triangle, 1).T
