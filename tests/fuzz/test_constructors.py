"""Public constructors and functions with foolish arguments give a value or an error of ours, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.slow)])
def test_foolish_arguments_give_a_value_or_our_own_error(seconds):
    """In a process of its own, which checks no annotations at run time: there it is not beartype that refuses."""
    arguments = [sys.executable, "-m", "tests.fuzz.foolish_calls", str(seconds), str(seconds)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
