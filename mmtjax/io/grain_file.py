"""What ``grains.nc`` of a directory of results holds: shapes of the grains, covariances, sums, and the diagnosis."""

import json
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mmtjax.errors import InputError
from mmtjax.inversion.solution import Solution
from mmtjax.inversion.sums import covariance_of_sums, knows_joint_covariance
from mmtjax.lazy import xarray
from mmtjax.selection import widening
from mmtjax.sources.cuboids import merge_cuboids

#: Grains up to which the covariance of all of them is kept, so that sums over any selection have theirs.
_JOINT_GRAINS = 200

#: Thresholds on each of SSR and uncertainty ratio for which sums are computed.
_THRESHOLDS = 16


class StoredCuboids(NamedTuple):
    """Cuboids of all grains.

    Attributes
    ----------
    centre, half_length
        Cuboids, (cuboid, 3), µm.
    owner
        Index of the grain of each cuboid, ascending, (cuboid,).
    """

    centre: Float[np.ndarray, "cuboid 3"]
    half_length: Float[np.ndarray, "cuboid 3"]
    owner: Int[np.ndarray, " cuboid"]


def grain_dataset(solution: Solution, *, limit: float) -> "xarray.Dataset":
    """Return the shapes of the grains, the covariances of their magnetizations and of sums of moments, and a diagnosis.

    Parameters
    ----------
    solution
        Solution for grains.
    limit
        Uncertainty ratio up to which a grain is trusted.

    Returns
    -------
    xarray.Dataset
        ``cuboid_centre`` and ``cuboid_half_length`` (µm) of the cuboids that make up the grain of index
        ``cuboid_grain``; ``covariance`` of each magnetization, (A/m)²; ``joint_covariance`` of all of them, x, y, z of
        the first grain first, for up to 200 grains; ``sum_covariance`` of the sum of the moments, (A m²)², of the
        grains with an SSR of at least ``ssr_threshold`` and a ratio, widened by √χ² where χ² > 1, of at most
        ``ratio_threshold``, without and with those beyond saturation. The attributes have the diagnosis.
    """
    grains = solution.grains
    cuboids = merge_cuboids(grains, search=False)
    owner = np.searchsorted(np.sort(grains.ids), cuboids[:, 6])
    index = np.argsort(grains.ids)[owner]
    contents = {
        "id": (("grain",), np.asarray(grains.ids), {}),
        "cuboid_centre": (("cuboid", "axis"), cuboids[:, :3], {"units": "µm"}),
        "cuboid_half_length": (("cuboid", "axis"), cuboids[:, 3:6], {"units": "µm"}),
        "cuboid_grain": (("cuboid",), index.astype(np.int32), {"long_name": "index of the grain"}),
        "covariance": (("grain", "axis", "other_axis"), np.asarray(solution.covariance), {"units": "(A/m)²"}),
    }
    if knows_joint_covariance(solution):
        if len(grains) <= _JOINT_GRAINS:
            size = grains.unknowns.size
            joint = np.asarray(solution.covariance_matrix())[:size, :size]
            contents["joint_covariance"] = (("unknown", "other_unknown"), joint, {"units": "(A/m)²"})
        contents |= _sums(solution)
    diagnosis = {
        "reduced_chi_square": float(solution.reduced_chi_square),
        "residual_share": float(solution.misfit.share),
        "is_explained": int(solution.is_explained),
        "condition": float(solution.condition),
        "noise_nT": float(np.median(solution.noise)),
        "level": float(solution.level),
        "limit": float(limit),
        "method": solution.method,
        "warnings": json.dumps(list(solution.warnings), ensure_ascii=False),
    }
    return xarray.Dataset(contents, attrs=diagnosis)


def stored_cuboids(stored: "xarray.Dataset", *, count: int) -> StoredCuboids:
    """Return the cuboids of a dataset of `grain_dataset`, in the order of the grains.

    Parameters
    ----------
    stored
        Contents of ``grains.nc``.
    count
        Number of the grains.

    Raises
    ------
    ValueError
        If the dataset does not hold the cuboids of that many grains.
    """
    try:
        centre = np.asarray(stored["cuboid_centre"], np.float64).reshape(-1, 3)
        half = np.asarray(stored["cuboid_half_length"], np.float64).reshape(-1, 3)
        owner = np.asarray(stored["cuboid_grain"], np.int64).ravel()
    except (KeyError, ValueError, TypeError) as error:
        msg = f"it does not hold the cuboids of the grains ({error})"
        raise InputError(msg, remedy="invert again") from error
    fits = len(centre) == len(half) == len(owner) and np.array_equal(np.unique(owner), np.arange(count))
    if not fits or not np.all(np.isfinite(centre) & np.isfinite(half) & (half > 0)):
        msg = f"its cuboids are not those of the {count} grains of the table"
        raise InputError(msg, remedy="invert again")
    order = np.argsort(owner, kind="stable")
    return StoredCuboids(centre[order], half[order], owner[order])


def _sums(solution: Solution) -> dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, str]]]:
    """Return the covariances of the sums over thresholds, with the thresholds."""
    strength = np.asarray(solution.signal_strength_ratio)
    ratio = float(widening(solution.reduced_chi_square)) * np.asarray(solution.uncertainty_ratio)
    lowest, highest = _thresholds(strength), _thresholds(ratio)
    # The first threshold on SSR, and the last on the ratio, stand for none.
    bright = strength >= np.r_[-np.inf, lowest[1:]][:, None]
    sure = np.nan_to_num(ratio, nan=np.inf) <= np.r_[highest[:-1], np.inf][:, None]
    allowed = np.stack([~np.asarray(solution.beyond_saturation), np.ones(len(strength), bool)])
    members = allowed[:, None, None] & bright[:, None] & sure
    shape = members.shape[:3]
    covariance = covariance_of_sums(solution, members.reshape(-1, members.shape[-1]))
    return {
        "ssr_threshold": (("ssr",), lowest, {"units": "µm⁻¹"}),
        "ratio_threshold": (("ratio",), highest, {"units": "1"}),
        "sum_covariance": (
            ("saturation", "ssr", "ratio", "axis", "other_axis"),
            covariance.reshape(*shape, 3, 3),
            {"units": "(A m²)²"},
        ),
    }


def _thresholds(values: Float[np.ndarray, " grain"]) -> Float[np.ndarray, " threshold"]:
    """Return thresholds between which equal shares of the grains lie, ascending."""
    known: Bool[np.ndarray, " grain"] = np.isfinite(values) & (values > 0)
    if not known.any():
        return np.ones(1)
    return np.unique(np.quantile(values[known], np.linspace(0, 1, _THRESHOLDS)))
