"""The sum of the moments of selected grains, as text."""

import numpy as np
from jaxtyping import Bool

from mmtjax.inversion.solution import Solution
from mmtjax.inversion.sums import covariance_of_sums, knows_joint_covariance
from mmtjax.units import A_M2_PER_A_PER_M_UM3, directions


def selection_lines(solution: Solution, members: Bool[np.ndarray, " grain"], *, limit: float) -> dict[str, str]:
    """Return the number of selected grains and the sum of their moments, for a listing.

    Parameters
    ----------
    solution
        Solution for grains.
    members
        Whether each grain is selected.
    limit
        Uncertainty ratio up to which a grain is trusted.
    """
    trusted = np.asarray(solution.trusted(limit)) & members
    volume = np.asarray(solution.grains.volume)
    moments = A_M2_PER_A_PER_M_UM3 * volume[:, None] * np.asarray(solution.magnetization)
    total = moments[members].sum(axis=0)
    if knows_joint_covariance(solution):
        spread = np.sqrt(np.diag(covariance_of_sums(solution, members[None])[0]))
        kind = "with the covariance between grains"
    else:
        own = (A_M2_PER_A_PER_M_UM3 * volume)[:, None, None] ** 2 * np.asarray(solution.covariance)
        spread = np.sqrt(np.diag(own[members].sum(axis=0)))
        kind = "as if the errors of different grains were independent"
    length = float(np.linalg.norm(total))
    declination, inclination = directions(total)
    components = ", ".join(
        f"{axis} {value:.4g} ± {sd:.2g}" for axis, value, sd in zip("xyz", total, spread, strict=True)
    )
    return {
        "selected": f"{int(members.sum())} of {len(volume)} grains, {int(trusted.sum())} of them trusted",
        "sum of their moments": f"{length:.4g} A m², declination {declination:.1f}°, inclination {inclination:.1f}°",
        "its components": f"{components} A m², standard deviations, {kind}",
    }
