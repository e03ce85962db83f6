"""Options of an inversion, checked before any work is done: noise, prior, method, and what scans have in common."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmtjax.precision import float64_array, is_concrete
from mmtjax.rock.grains import Grains
from mmtjax.scan.scan import Scan, check_noise

METHODS = ("auto", "cholesky", "orthogonal")


def checked_options(
    scan: Scan, noise: object, *, prior: float | None, method: str, level: float
) -> np.ndarray | Array | None:
    """The noise as numbers, or None where it is to come from the residual."""
    if method not in METHODS:
        raise ValueError(f"method must be 'auto', 'cholesky' or 'orthogonal'; got {method!r}")
    if prior is not None and not (np.isfinite(prior) and prior > 0):
        raise ValueError(f"prior must be a positive standard deviation in A/m, or None; got {prior!r}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, e.g. 0.95; got {level!r}")
    if isinstance(noise, str):
        if noise != "residual":
            raise ValueError(f"noise must be a number or a map in nT, or 'residual'; got {noise!r}")
        return None
    if noise is None and scan.noise is None:
        raise ValueError("the noise is not known: pass noise= in nT, or noise='residual' to take it from the misfit")
    sigma = scan.noise if noise is None else float64_array(noise, name="noise")
    check_noise(sigma, scan.grid.shape)
    return sigma


def check_counts(scan: Scan, grains: Grains, *, prior: float | None) -> None:
    unknowns = 3 * len(grains)
    if scan.used <= unknowns and prior is None:
        raise ValueError(
            f"{scan.used} sensors cannot determine {unknowns} unknowns ({len(grains)} grains); use a larger or finer "
            "scan, fewer grains, or a prior"
        )


def weights_of(scan: Scan, sigma: np.ndarray | Array | None) -> tuple[Float[Array, "ny nx"], Float[Array, ""]]:
    """Relative weights of the sensors, 0 under the mask, and the variance of a sensor of weight one."""
    mask = jnp.asarray(scan.mask, jnp.float64)
    if sigma is None:
        field = jnp.where(scan.mask, scan.field, 0.0)
        return mask, jnp.maximum(jnp.sum(field**2) / scan.used, jnp.finfo(field.dtype).tiny)
    if sigma.shape == ():
        return mask, jnp.asarray(sigma) ** 2
    return mask / sigma, jnp.ones(())


def ridge_of(variance: Float[Array, ""], prior: float | None) -> Float[Array, ""] | None:
    """The precision that a prior adds to every unknown, relative to a noise of that variance."""
    return None if prior is None else variance / prior**2


def _words(scan: Scan) -> str:
    grid = scan.grid
    origin, spacing, side = ([float(value) for value in each] for each in (grid.origin, grid.spacing, grid.side))
    return (
        f"{grid.shape[1]} × {grid.shape[0]} sensors (x × y) from {origin}, every {spacing}, of side {side}, "
        f"{float(grid.height)} µm up"
    )


def check_common(scans: Sequence[Scan], sigmas: Sequence[np.ndarray | Array | None]) -> None:
    """Raise unless all scans have the same sensors in use, with the same relative noise."""
    if not scans:
        raise ValueError("scans is empty; pass at least one Scan")
    if not is_concrete(list(scans), list(sigmas)):
        if len(scans) > 1:
            raise ValueError("a series of scans cannot be traced; trace one `invert` at a time")
        return
    first, sigma = scans[0], sigmas[0]
    for number, (scan, other) in enumerate(zip(scans, sigmas, strict=True)):
        one, two = ((g.shape, g.origin, g.spacing, g.side, g.height) for g in (first.grid, scan.grid))
        if not all(np.array_equal(left, right) for left, right in zip(one, two, strict=True)):
            raise ValueError(
                f"scan {number} lies on another grid than scan 0: {_words(scan)} against {_words(first)}; maps that "
                "share one factorization need the same sensors. Invert it by itself, or crop and register the maps"
            )
        if not np.array_equal(scan.mask, first.mask):
            raise ValueError(
                f"scan {number} has another mask than scan 0 ({scan.used} sensors in use against {first.used}); pass "
                "all scans with the mask that they share"
            )
        maps = [np.ndim(value) == 2 for value in (sigma, other) if value is not None]
        if any(maps) and not (sigma is not None and other is not None and np.array_equal(sigma, other)):
            raise ValueError(
                f"the noise of scan {number} is not that of scan 0: maps of noise must be the same in a series; give a "
                "number for each scan instead"
            )
