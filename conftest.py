"""Shared set-up of tests and doctests: double precision, checks of every annotation, and the real data if present."""

import os
from pathlib import Path

import jax
import pytest
import scipy.linalg  # noqa: F401  the limit below reaches the libraries that are loaded
from jaxtyping import install_import_hook
from threadpoolctl import threadpool_limits

from tests import typecheck

jax.config.update("jax_enable_x64", True)

# Programs that are compiled for one test are read by the other processes of this run, and by later runs.
COMPILED, LONG_ENOUGH = Path(__file__).resolve().parent / ".pytest_cache" / "compiled", 0.1
jax.config.update("jax_compilation_cache_dir", str(COMPILED))
jax.config.update("jax_persistent_cache_min_compile_time_secs", LONG_ENOUGH)
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(COMPILED)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = str(LONG_ENOUGH)

# Most of the time of these tests is that of the compiler. `make test-slow` compiles programs as users do.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false")

install_import_hook("mmtjax", f"{typecheck.__name__}.check")


def pytest_configure() -> None:
    """Processes of pytest-xdist share out the cores: threads of BLAS that wait for a busy one spin."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threadpool_limits(max(1, cores // processes))


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of the real scans and grains; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("MMTJAX_TEST_DATA", Path(__file__).resolve().parent.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no test data: {folder} does not exist; set MMTJAX_TEST_DATA to its place")
    return folder
