"""The uncertainty of sums of moments over many selections of grains, with the covariance between the grains."""

import numpy as np
from jaxtyping import Bool, Float

from mmtjax.errors import InputError
from mmtjax.inversion.solution import Solution
from mmtjax.units import A_M2_PER_A_PER_M_UM3, AXES

#: Columns of the inverse that are computed at once.
_COLUMNS = 384


def knows_joint_covariance(solution: Solution) -> bool:
    """Return whether the covariance between grains is known: neither by subdomains, nor where errors are not normal."""
    return solution.factor is not None and solution.is_gaussian


def covariance_of_sums(
    solution: Solution, members: Bool[np.ndarray, "selection grain"]
) -> Float[np.ndarray, "selection 3 3"]:
    """Return the covariance of the sum of the moments of each selection of grains, (A m²)².

    It includes the covariance between grains. The work grows with the number of sets of grains that some selections
    have in common, not with the number of selections: thresholds of a grid share most of theirs.

    Parameters
    ----------
    solution
        Solution for grains whose covariance is known, see `knows_joint_covariance`.
    members
        Whether a grain belongs to a selection, (selection, grain).

    Raises
    ------
    ValueError
        If the covariance between grains is not known, or `members` has another number of grains.
    """
    if solution.factor is None or not solution.is_gaussian:
        msg = (
            "the covariance between grains is not known: the sample was solved by subdomains, or errors are not normal "
            "because of a bound"
        )
        raise InputError(msg)
    count, components = len(solution.grains), len(AXES)
    if members.shape[1] != count:
        msg = f"members must be (selection, grain) for {count} grains; got shape {members.shape}"
        raise InputError(msg)
    # Grains that are in the same selections enter all sums together: one right-hand side for each such group.
    patterns, group = np.unique(members, axis=1, return_inverse=True)
    group = group.ravel()
    groups = patterns.shape[1]
    volume = np.asarray(solution.grains.volume)
    rows = np.arange(components * count).reshape(count, components)
    columns = components * group[:, None] + np.arange(components)
    between = np.empty((components * groups, components * groups))
    width = min(_COLUMNS, components * groups)
    for start in range(0, components * groups, width):
        now = (columns >= start) & (columns < start + width)
        weights = np.zeros((solution.stack.unknowns.size, width))
        weights[rows[now], columns[now] - start] = np.broadcast_to(volume[:, None], rows.shape)[now]
        inverse = np.asarray(solution.factor.inverse_columns(weights))[: components * count]
        summed = np.zeros((components * groups, width))
        np.add.at(
            summed,
            columns.ravel(),
            (volume[:, None, None] * inverse.reshape(count, components, -1)).reshape(components * count, -1),
        )
        between[:, start : start + width] = summed[:, : components * groups - start]
    blocks = between.reshape(groups, components, groups, components)
    half = np.einsum("sa,aibj->sibj", patterns.astype(np.float64), blocks, optimize=True)
    total = np.einsum("sb,sibj->sij", patterns.astype(np.float64), half, optimize=True)
    scale = float(solution.variance) * A_M2_PER_A_PER_M_UM3**2
    return scale * (total + total.transpose(0, 2, 1)) / 2
