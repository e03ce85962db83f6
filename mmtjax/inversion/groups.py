"""Group scans that share sensors, weights and sources, so that they can share one factorization."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmtjax.errors import InputError
from mmtjax.inversion.stack import PriorLike, SourceStack, with_noise_patterns
from mmtjax.noise.base import AbstractNoise, SensorWeights
from mmtjax.precision import is_concrete
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.scan import Scan


class Group(NamedTuple):
    """Scans that use the same sensors, with the same relative noise and the same unknowns.

    Attributes
    ----------
    numbers
        Indices of the scans in the list that was passed.
    scans, noises, weights
        The scans, the noise of each, and the weights of its sensors.
    stack
        Sources and patterns, including the patterns of the noise.
    """

    numbers: tuple[int, ...]
    scans: tuple[Scan, ...]
    noises: tuple[AbstractNoise, ...]
    weights: tuple[SensorWeights, ...]
    stack: SourceStack

    @property
    def grid(self) -> SensorGrid:
        """The grid of sensors."""
        return self.scans[0].grid

    @property
    def weight(self) -> Float[Array, "ny nx"]:
        """Weight of each sensor."""
        return self.weights[0].weight

    @property
    def is_concrete(self) -> bool:
        """Whether all numbers are known: none is traced."""
        return is_concrete(self.scans, self.stack, self.noises)

    def check_counts(self, prior: PriorLike) -> None:
        """Raise an error if there are too few sensors for the unknowns that have no prior.

        Parameters
        ----------
        prior
            Prior of the first set of sources, or priors of sets by name.

        Raises
        ------
        ValueError
            If the sensors are not more than the unknowns without a prior.
        """
        precision, used = self.stack.precision(prior), self.scans[0].used
        unknowns = self.stack.unknowns.size
        free = unknowns if precision is None else int(np.sum(precision == 0))
        if used <= free:
            primary = self.stack.primary
            msg = (
                f"{used} sensors cannot determine {free} unknowns ({len(primary)} {primary.name}); use a larger or "
                "finer scan, fewer grains, or a prior"
            )
            raise InputError(msg)


def group_by_sensors(scans: Sequence[Scan], noises: Sequence[AbstractNoise], stack: SourceStack) -> list[Group]:
    """Group scans that share grid, mask, relative noise and the patterns of the noise.

    Parameters
    ----------
    scans, noises
        The scans, and the noise of each.
    stack
        Sources and patterns of all scans.
    """
    groups: list[Group] = []
    for number, (scan, noise) in enumerate(zip(scans, noises, strict=True)):
        weights, own = noise.weights(scan), with_noise_patterns(stack, noise, scan)
        for place, group in enumerate(groups):
            if _same_problem(group, scan, weights, own):
                groups[place] = Group(
                    (*group.numbers, number),
                    (*group.scans, scan),
                    (*group.noises, noise),
                    (*group.weights, weights),
                    group.stack,
                )
                break
        else:
            groups.append(Group((number,), (scan,), (noise,), (weights,), own))
    return groups


def _same_problem(group: Group, scan: Scan, weights: SensorWeights, stack: SourceStack) -> bool:
    first = group.scans[0]
    same = same_sensors(first.grid, scan.grid) and np.array_equal(first.mask, scan.mask)
    if not (same and np.array_equal(group.weight, weights.weight)):
        return False
    one, two = (jax.tree.leaves(own.patterns) for own in (group.stack, stack))
    return len(one) == len(two) and all(np.array_equal(left, right) for left, right in zip(one, two, strict=True))


def same_sensors(first: SensorGrid, second: SensorGrid) -> bool:
    """Return whether all numbers of two grids are equal.

    Parameters
    ----------
    first, second
        The grids.
    """
    one, two = ((grid.shape, *jax.tree.leaves(grid)) for grid in (first, second))
    return len(one) == len(two) and all(np.array_equal(left, right) for left, right in zip(one, two, strict=True))


def masked_field(scan: Scan) -> Float[Array, "ny nx"]:
    """Return the map with zeros where sensors are not used, nT.

    Parameters
    ----------
    scan
        The map and its mask.
    """
    return jnp.where(scan.mask, scan.field, 0.0)
