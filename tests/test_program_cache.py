"""Compiled programs are kept between runs of the command, where the user wants them."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys

import jax
from mmtjax.cli.program_cache import keep_compiled_programs
from mmtjax.errors import InputError

try:
    keep_compiled_programs()
except InputError as error:
    sys.exit(str(error))
jax.jit(lambda x: x + 1)(1.0)
"""


def compiled(place: Path, **variables: str) -> tuple[set[str], str]:
    """Compile a program in a process of its own; return the names of programs below a directory, and its error."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    settings |= {"XDG_CACHE_HOME": str(place / "usual"), **variables}
    run = subprocess.run([sys.executable, "-c", SCRIPT], env=settings, capture_output=True, text=True)
    return {str(file.relative_to(place)) for file in place.rglob("*-cache")}, run.stderr.strip()


def test_programs_are_kept_in_the_cache_of_the_user_and_found_again(tmp_path: Path) -> None:
    first, error = compiled(tmp_path)
    assert first, error
    assert all(name.startswith("usual/mmtjax/jax-") for name in first)
    assert compiled(tmp_path) == (first, "")
    place = next((tmp_path / "usual" / "mmtjax").iterdir())
    assert place.stat().st_mode & 0o077 == 0


def test_the_place_can_be_named_or_switched_off(tmp_path: Path) -> None:
    named, _ = compiled(tmp_path, MMTJAX_CACHE=str(tmp_path / "named"))
    assert named
    assert all(name.startswith("named/jax-") for name in named)
    assert compiled(tmp_path / "off", MMTJAX_CACHE="off") == (set(), "")
    of_jax, _ = compiled(tmp_path / "jax", JAX_COMPILATION_CACHE_DIR=str(tmp_path / "jax" / "own"))
    assert all(name.startswith("own/") for name in of_jax)


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found, error = compiled(tmp_path, MMTJAX_CACHE=str(tmp_path / "file"))
    assert found == set()
    assert f"MMTJAX_CACHE={tmp_path / 'file'}: compiled programs cannot be kept there" in error
    assert "or type MMTJAX_CACHE=off" in error


def test_a_home_that_cannot_be_written_costs_the_cache_only(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    assert compiled(tmp_path) == (set(), "")
