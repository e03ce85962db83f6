"""Compute the numbers that are kept: ``python -m tests.references.make [case ...]``."""

import sys
import time
from pathlib import Path

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

from tests.references.cases import CASES, computed  # noqa: E402

if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        start = time.perf_counter()
        arrays = computed(name)
        np.savez_compressed(Path(__file__).parent / f"{name}.npz", **arrays)
        print(name, f"{time.perf_counter() - start:.1f} s", flush=True)
