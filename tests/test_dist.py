"""What is in the archives that are published."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(place), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    return place


def test_the_wheel_holds_the_package_whole_and_nothing_else(archives: Path) -> None:
    with zipfile.ZipFile(next(archives.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("METADATA"))).decode()
    package = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "mmtjax").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert names == package
    assert {"mmtjax/__init__.pyi", "mmtjax/plot/__init__.pyi", "mmtjax/py.typed"} <= names
    for extra in ("study", "parquet", "page", "all"):
        assert f"Provides-Extra: {extra}\n" in metadata


def test_the_source_archive_holds_what_tests_and_pages_need_and_is_small(archives: Path) -> None:
    file = next(archives.glob("*.tar.gz"))
    with tarfile.open(file) as archive:
        folders = {Path(name).parts[1] for name in archive.getnames() if len(Path(name).parts) > 1}
    assert {"mmtjax", "tests", "docs", "experiments", "benchmarks", "pyproject.toml", "LICENSE", "Makefile"} <= folders
    assert not folders & {"build", "dist", ".venv"}
    assert file.stat().st_size < 3e6
