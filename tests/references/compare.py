"""Largest differences from the numbers that are kept: ``python -m tests.references.compare [case ...]``."""

import sys
import time
from pathlib import Path

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

from tests.references.cases import CASES, computed  # noqa: E402


def difference(name, values, kept):
    """How far an array is from the one that is kept, in what its kind is measured by; and the measure."""
    kept_value = kept[name]
    if values.shape != kept_value.shape:
        return np.inf, "shape"
    prefix = name.rpartition("magnetization")[0]
    radius = next((kept[other] for other in (f"{prefix}radius", f"{prefix}confidence_radius") if other in kept), None)
    if name.endswith("magnetization") and radius is not None:
        away = np.linalg.norm(values - kept_value, axis=-1)
        known = np.isfinite(radius)
        return float(np.max(np.where(known, away / np.where(known, radius, 1.0), 0.0))), "radius"
    scale = np.max(np.abs(kept_value), where=np.isfinite(kept_value), initial=np.finfo(float).tiny)
    if name.endswith(("covariance", "radius")):
        own = kept_value.ndim - (2 if name.endswith("covariance") else 0)
        size = np.max(np.abs(kept_value), axis=tuple(range(own, kept_value.ndim)), keepdims=True)
        scale = np.where(size > 0, size, 1.0)
    both = np.isfinite(values) & np.isfinite(kept_value)
    if not np.array_equal(np.isfinite(values), np.isfinite(kept_value)):
        return np.inf, "finite"
    return float(np.max(np.where(both, np.abs(values - kept_value) / scale, 0.0))), "relative"


def differences(name):
    with np.load(Path(__file__).parent / f"{name}.npz") as file:
        kept = dict(file)
    found = computed(name)
    missing = sorted(set(kept) ^ set(found))
    assert not missing, missing
    return {key: difference(key, np.asarray(found[key]), kept) for key in kept}


if __name__ == "__main__":
    for case in sys.argv[1:] or CASES:
        start = time.perf_counter()
        result = differences(case)
        print(f"{case} ({time.perf_counter() - start:.1f} s)")
        for key, (value, measure) in result.items():
            if value > 1e-12:
                print(f"    {key:32} {value:.1e} {measure}")
