"""Options of an inversion, checked before any work is done: noise, prior, method, and what scans have in common."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmtjax.precision import float64_array, is_concrete
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.scan import Scan, check_noise
from mmtjax.sources.grains import Grains

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


def check_series(scans: Sequence[Scan], sigmas: Sequence[np.ndarray | Array | None]) -> None:
    """Raise for no scan, and for several that are traced."""
    if not scans:
        raise ValueError("scans is empty; pass at least one Scan")
    if len(scans) > 1 and not is_concrete(list(scans), list(sigmas)):
        raise ValueError("a series of scans cannot be traced; trace one `invert` at a time")


def group_by_sensors(scans: Sequence[Scan], sigmas: Sequence[np.ndarray | Array | None]) -> list[list[int]]:
    """Numbers of the scans that have the same sensors in use, with the same relative noise, together."""
    groups: list[list[int]] = []
    for number in range(len(scans)):
        for members in groups:
            if _same(scans[members[0]], scans[number]) and _proportional(sigmas[members[0]], sigmas[number]):
                members.append(number)
                break
        else:
            groups.append([number])
    return groups


def _same(first: Scan, second: Scan) -> bool:
    return same_sensors(first.grid, second.grid) and np.array_equal(first.mask, second.mask)


def same_sensors(first: SensorGrid, second: SensorGrid) -> bool:
    """Whether two grids are the same in all numbers."""
    one, two = ((grid.shape, *jax.tree.leaves(grid)) for grid in (first, second))
    return len(one) == len(two) and all(np.array_equal(left, right) for left, right in zip(one, two, strict=True))


def _proportional(first: np.ndarray | Array | None, second: np.ndarray | Array | None) -> bool:
    """Whether two noises give sensors the same weights: numbers or none do, maps where they are equal."""
    if any(sigma is not None and np.ndim(sigma) == 2 for sigma in (first, second)):
        return first is not None and second is not None and np.array_equal(first, second)
    return True
