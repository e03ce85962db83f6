"""Shared set-up of tests and doctests: double precision, checks of every annotation, and the real data if present."""

import os
from pathlib import Path

import jax
import pytest
from jaxtyping import install_import_hook

from tests import typecheck

jax.config.update("jax_enable_x64", True)
install_import_hook("mmtjax", f"{typecheck.__name__}.check")


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of the real scans and grains; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("MMTJAX_TEST_DATA", Path(__file__).resolve().parent.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no test data: {folder} does not exist; set MMTJAX_TEST_DATA to its place")
    return folder
