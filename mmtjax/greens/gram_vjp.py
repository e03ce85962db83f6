"""Derivatives of a function of the normal equations with respect to geometry and to the precision of sensors."""

import numpy as np
from jaxtyping import Float

from mmtjax.field.columns import columns_on_tiles
from mmtjax.field.plan import TILE
from mmtjax.field.vjp import GeometryGradient, slopes_by_side, vjp_columns
from mmtjax.greens.tiled import TiledGreen
from mmtjax.precision import AnyArray


def vjp_gram(
    green: TiledGreen, precision: Float[AnyArray, "ny nx"], cotangent: Float[AnyArray, "unknown unknown"]
) -> tuple[GeometryGradient, Float[np.ndarray, "ny nx"]]:
    """Return derivatives of ``Σ cotangent · gram(√precision)`` by geometry and by the precision of each sensor.

    With ``G = Σ p q qᵀ`` over the rows q of Q, a row changes the sum by ``2 p (C q)·dq`` and its precision by
    ``qᵀC q``, for a symmetric cotangent C. Columns are made anew, block by block; nothing larger is held.

    Parameters
    ----------
    green
        The operator, of known geometry.
    precision
        Of each sensor, relative to the others: the square of its weight.
    cotangent
        Factor of each element of the matrix; its symmetric part is what matters.

    Raises
    ------
    ValueError
        If no sensor has a precision above zero.
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
        # Tiles of no precision have no part in it.
        live = used.reshape(len(tiles), TILE * TILE).any(axis=1)
        product = (product * used).reshape(len(columns), len(tiles), -1)[:, live].reshape(len(columns), -1)
        part = vjp_columns(green.plan, grid, tiles=tiles[live], cotangent=product, by_side=by_side)
        by_geometry = part if by_geometry is None else by_geometry + part
    if by_geometry is None:
        raise ValueError("every sensor has a precision of zero; no map is left to take derivatives of")
    return by_geometry, by_precision[:-1].reshape(grid.shape)
