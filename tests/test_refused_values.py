"""Values that cannot be computed with, or of a wrong type, are refused by name before anything is computed."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mmtjax
from mmtjax import cli
from mmtjax.errors import InputError, InputTypeError, MmtjaxError, require_type
from mmtjax.precision import random_key, real_number, require_key, whole_number

GRID = mmtjax.SensorGrid((0, 0), 1, (3, 4), 2.0)
GRAINS = mmtjax.Grains.from_cuboids([[1, 1, -4, 1, 1, 1, 1]])


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (np.nan, "noise must be positive and finite, in nT; got nan"),
        (1e-200, "noise must lie between 1e-60 and 1e.60 nT; got 1e-200"),
        (1e200, "noise must lie between 1e-60 and 1e.60 nT; got 1e.200"),
        (5e-324, "noise must lie between"),
        (np.where(np.eye(3, 4) > 0, np.nan, -np.inf), r"got nan at \[y, x\] = \[0, 0\]"),
        (np.where(np.eye(3, 4) > 0, 1e-99, 1.0), r"got 1e-99 at \[y, x\] = \[0, 0\]"),
    ],
)
def test_noise_whose_square_is_no_number_is_refused(noise, message):
    with pytest.raises(InputError, match=message):
        mmtjax.Scan(np.zeros((3, 4)), GRID, noise=noise)
    with pytest.raises(InputError, match=message):
        (mmtjax.NoiseMap if np.ndim(noise) else mmtjax.WhiteNoise)(noise)


@pytest.mark.parametrize("prior", [1e300, 1e-200, [[1.0], [1e-99]]])
def test_a_prior_whose_square_is_no_number_is_refused(prior):
    with pytest.raises(InputError, match="prior must lie between 1e-60 and 1e.60.*; pass None for no prior"):
        mmtjax.Prior(prior)
    assert mmtjax.Prior([np.inf, 1.0]).standard_deviation[0] == np.inf


@pytest.mark.parametrize("prior", ["480e3", b"1", 1j, [1j], True, []], ids=repr)
def test_a_prior_that_is_no_number_is_refused(prior):
    with pytest.raises(InputError, match="prior must be"):
        mmtjax.InversionOptions(prior=prior)


def test_a_level_or_tolerance_that_no_answer_reaches_is_refused():
    with pytest.raises(InputError, match="level must be 1e-05 or more"):
        mmtjax.InversionOptions(level=1e-300)
    with pytest.raises(InputError, match="tolerance 1e-300 is below the rounding of double precision.* pass 1e-11"):
        mmtjax.greens_matrix(GRAINS, GRID, tolerance=1e-300)


def test_complex_fields_are_refused():
    for field in (np.ones((3, 4)) * 1j, jnp.ones((3, 4)) * 1j):
        with pytest.raises(MmtjaxError, match="(?s)field must be an array of real numbers; got .*complex128"):
            mmtjax.Scan(field, GRID)


def test_numbers_and_types():
    assert whole_number(np.float64(3), name="n") == 3
    assert real_number(jnp.float64(0.5), name="n") == 0.5
    for value in (True, "1", b"1", [1.0], np.ones(2), None, 1j, object(), 10**400):
        with pytest.raises(InputTypeError, match="n must be one number; got"):
            real_number(value, name="n")
    with pytest.raises(InputTypeError, match=r"n must be a whole number; got 0\.5"):
        whole_number(0.5, name="n")
    with pytest.raises(InputTypeError, match="scan must be of the type Scan; got array"):
        require_type(np.ones(3), mmtjax.Scan, name="scan")


#: Calls with a value of another type, and a part of the error.
CALLS = {
    "mmtjax.WhiteNoise(5.0).weights(0)": "scan must be of the type Scan; got 0",
    "mmtjax.ResidualNoise().weights(0)": "scan must be of the type Scan; got 0",
    "mmtjax.NoiseMap([[1.0]]).weights(0)": "scan must be of the type Scan; got 0",
    "mmtjax.Background(1).columns(0)": "grid must be of the type SensorGrid; got 0",
    "SPEC.place_grains(0)": "key must be a random key of JAX",
    "SPEC.place_grains(jax.random.key(0), progress=0)": "progress must be a function",
    "mmtjax.Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1]], allow_overlap='no')": "allow_overlap must be of the",
}
SCRIPT = """
import jax, mmtjax
jax.config.update("jax_enable_x64", True)
SPEC = mmtjax.SampleSpec(side=30, thickness=30, density=1e5)
for call in CALLS:
    try:
        eval(call)
    except mmtjax.MmtjaxError as error:
        print(error)
"""


def test_values_of_another_type_are_refused_by_methods_too():
    """In a process of its own, because the checks of annotations refuse them before in this one."""
    script = f"CALLS = {list(CALLS)!r}\n{SCRIPT}"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for line, message in zip(ran.stdout.splitlines(), CALLS.values(), strict=True):
        assert message in line


def test_a_sample_without_volume_is_refused():
    with pytest.raises(InputError, match="puts no grain into .* one grain is inf per mm³"):
        mmtjax.SampleSpec(side=2e-178, thickness=30, density=-3)


def test_whole_numbers_of_more_than_64_bits_are_refused():
    assert whole_number(2**63 - 1, name="n") == 2**63 - 1
    for number in (2**63, -(10**400), 1e300):
        with pytest.raises(InputError, match=r"n must lie between -2\*\*63 and 2\*\*63 - 1, but has \d+ bits"):
            whole_number(number, name="n")
    with pytest.raises(InputError, match="stored must lie between"):
        mmtjax.estimate_memory(10, 100, stored=10**200)


def test_seeds_of_more_than_64_bits_are_refused(tmp_path, capsys):
    for seed in (2**63, -(2**63) - 1, 10**400):
        with pytest.raises(InputError, match="the seed must lie between"):
            random_key(seed)
        assert cli.main(["simulate", "--seed", str(seed), "--side", "30", "--out", str(tmp_path / "a")]) == 1
        assert "the seed must lie between -2**63 and 2**63 - 1" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    require_key(jax.random.PRNGKey(0))
    with pytest.raises(InputTypeError, match=r"key must be a random key of JAX, such as jax\.random\.key\(0\); got 3"):
        require_key(3)


def test_a_link_to_itself_is_named(tmp_path, capsys):
    link = tmp_path / "loop.txt"
    link.symlink_to(link)
    for arguments in (["info", link], ["invert", "--scan", link, "--grains", link, "--out", tmp_path / "out"]):
        assert cli.main(list(map(str, arguments))) == 1
        printed = capsys.readouterr().err
        assert str(link) in printed
        assert "bug" not in printed
    assert list(tmp_path.iterdir()) == [link]


def test_memory_limits_beyond_all_numbers_are_refused(tmp_path, capsys):
    arguments = ["invert", "--scan", "a", "--grains", "b", "--out", str(tmp_path / "out"), "--memory-limit", "1e300"]
    assert cli.main(arguments) == 1
    assert "--memory-limit must be a positive number of GiB; got 1e+300" in capsys.readouterr().err
