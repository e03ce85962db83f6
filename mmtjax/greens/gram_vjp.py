"""Derivatives of a function of the normal matrix with respect to geometry and to the precision of sensors."""

import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.field.columns import columns_on_tiles
from mmtjax.field.plan import TILE
from mmtjax.field.vjp import GeometryGradient, slopes_by_side, vjp_columns
from mmtjax.greens.tiled import TiledGreen
from mmtjax.precision import AnyArray


def vjp_gram(
    green: TiledGreen, precision: Float[AnyArray, "ny nx"], cotangent: Float[AnyArray, "unknown unknown"]
) -> tuple[GeometryGradient, Float[np.ndarray, "ny nx"]]:
    """Return derivatives of ``Σ cotangent · gram(√precision)`` by geometry and by the precision of each sensor.

    With ``G = Σ p q qᵀ`` over the rows q of Q and a symmetric cotangent C, a change dq of a row changes the sum by
    ``2 p (C q)·dq``, and a change dp of its precision by ``qᵀC q dp``. The rows are computed again, block by block, so
    that only one block is in memory at a time.

    Parameters
    ----------
    green
        The operator; its geometry may not be traced.
    precision
        The relative precision of each sensor, the square of its weight.
    cotangent
        Factor of each element of the matrix, of which only the symmetric part is used.

    Returns
    -------
    tuple
        Derivatives by geometry, and derivatives by the precision of each sensor (ny, nx).

    Raises
    ------
    ValueError
        If no sensor has a positive precision, and for sources that are not uniform bodies.
    """
    factors = np.asarray(cotangent)
    factors = factors + factors.T
    grid, padded = green.grid, np.append(np.asarray(precision).ravel(), 0.0)
    by_precision, by_geometry = np.zeros(grid.size + 1), None
    by_side = slopes_by_side(green.plan, grid)
    for tiles, sensor in green.frame.blocks():
        used = padded[sensor]
        if not used.any():
            continue
        columns = np.asarray(columns_on_tiles(green.plan, grid, tiles=tiles))
        product = factors @ columns
        by_precision[sensor] = np.einsum("ns,ns->s", columns, product) / 2
        # Tiles whose sensors all have zero precision do not contribute.
        live = used.reshape(len(tiles), TILE * TILE).any(axis=1)
        product = (product * used).reshape(len(columns), len(tiles), -1)[:, live].reshape(len(columns), -1)
        part = vjp_columns(green.plan, grid, tiles=tiles[live], cotangent=product, by_side=by_side)
        by_geometry = part if by_geometry is None else by_geometry + part
    if by_geometry is None:
        msg = "every sensor has a precision of zero, so that there is no map to differentiate"
        raise InputError(msg)
    return by_geometry, by_precision[:-1].reshape(grid.shape)
