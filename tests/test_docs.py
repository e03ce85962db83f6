"""The documentation builds without a warning."""

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.mark.slow
def test_documentation_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="the documentation needs the extra 'docs'")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-E", "-d", tmp_path / "doctrees", DOCS, tmp_path / "html"]
    build = subprocess.run(command, capture_output=True, text=True, check=False)
    assert build.returncode == 0, build.stderr
    assert (tmp_path / "html" / "theory.html").is_file()
