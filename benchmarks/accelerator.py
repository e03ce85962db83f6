"""The same code on the device at hand: its results against float64 references of NumPy, and its speed.

``python -m benchmarks.accelerator --platform gpu`` checks and times a GPU, and fails where there is none;
``--small`` takes a minute anywhere.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array

from benchmarks.limit import timed_inversion
from benchmarks.measure import note, record, seconds
from benchmarks.samples import grains_of, ragged_grains
from mmtjax import Grains, InversionWarning, SensorGrid, Solution, invert_series, simulate
from mmtjax.greens import DenseGreen, TiledGreen
from mmtjax.greens.frames import WholeFrame
from mmtjax.inversion.batch import invert_batch
from mmtjax.solvers.cholesky import Cholesky
from mmtjax.uncertainty.covariance import covariance_blocks

#: Number of grains and sensors along an edge: the largest model of the paper, and one for a laptop.
_WHOLE, _SMALL = (1875, 501), (60, 96)

#: Size of the square matrices whose product tells the peak of the device, and how often each work is timed.
_PEAK_SIZE = {_WHOLE: 8192, _SMALL: 1024}
_ROUNDS = 3

#: Grains, sensors along an edge and depth (µm) of the sample that is compared with NumPy; a deep one has a condition
#: number that hides errors.
_CHECKED = 40, 64, 12.0

#: Error of products allowed, as a share of the largest value; and, for each unit of the squared condition number, of
#: what comes from the normal equations.
_PRODUCT, _PER_CONDITION = 1e-12, 1e-14

#: Thickness (µm) of the samples that are inverted: one for normal equations, and one that asks for QR.
_THICKNESSES = 50, 75

#: Samples of the study that are solved side by side, their edge (µm) and grains per mm³: 50 grains each, and 12.
_BATCH = {_WHOLE: (16, 200, 2.5e4), _SMALL: (4, 100, 2.5e4)}
_NOISE = [5.0, 20.0, 50.0, 100.0]

#: Difference of radii allowed, side by side and one by one: tiles are cut by the depth of all grains.
_AGREEMENT = 1e-5

#: Wanted: share of the measured peak that the normal equations reach on an accelerator.
_WANTED = 0.40


def check_and_time() -> None:
    """Small cases on the platform that JAX has chosen."""
    run(_SMALL)


def main(arguments: list[str]) -> int:
    """Check and time a platform; 1 where it is not there or its results are wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accelerator", description=__doc__)
    parser.add_argument("--platform", choices=("cpu", "gpu", "tpu"), help="by default the one that JAX prefers")
    parser.add_argument("--small", action="store_true", help="cases for a laptop in place of the limit model")
    options = parser.parse_args(arguments)
    if not jax.config.jax_enable_x64:
        print("set JAX_ENABLE_X64=1: the references are of double precision", file=sys.stderr)
        return 1
    try:
        devices = jax.devices(options.platform)
    except RuntimeError as error:
        print(f"no {options.platform} here, and nothing else is measured in its place: {error}", file=sys.stderr)
        return 1
    with jax.default_device(devices[0]):
        run(_SMALL if options.small else _WHOLE)
    return 0


def run(case: tuple[int, int]) -> None:
    """Say what is measured on, check it, and time it."""
    device = jnp.zeros(1).devices().pop()
    print(f"# platform {device.platform}, device {device.device_kind}, precision {jnp.zeros(1).dtype}", flush=True)
    print(f"# jax {jax.__version__}, {len(jax.devices(device.platform))} devices, {os.cpu_count()} CPUs", flush=True)
    check()
    time_limit(case, peak=measured_peak(_PEAK_SIZE[case]))
    for thickness in _THICKNESSES:
        time_inversion(case, thickness)
    time_batch(*_BATCH[case])


def check() -> None:
    """Dense product, normal equations, Cholesky factor and covariance blocks against NumPy and SciPy."""
    grains, count, deepest = _CHECKED
    green = DenseGreen.from_operator(TiledGreen(*sample(grains, count, deepest=deepest)))
    columns = np.asarray(green.transposed)
    rng = np.random.default_rng(0)
    magnetization, field = rng.normal(size=len(columns)), rng.normal(size=green.grid.shape)
    weight = rng.uniform(0.5, 1.5, size=green.grid.shape)
    expect("product", green.mv(jnp.asarray(magnetization)), (magnetization @ columns).reshape(field.shape), _PRODUCT)
    expect("transposed_product", green.rmv(jnp.asarray(field)), columns @ field.ravel(), _PRODUCT)
    weighted = columns * weight.ravel()
    normal = weighted @ weighted.T
    found = green.gram(jnp.asarray(weight))
    scale = np.sqrt(np.diag(normal))
    expect("gram", found / np.outer(scale, scale), normal / np.outer(scale, scale), _PRODUCT)

    # The orthogonal factor of the rows does not square the condition number: a reference of another kind.
    triangle = np.linalg.qr(weighted.T / scale, mode="r")
    condition = np.linalg.cond(triangle)
    note(f"condition number of the checked sample: {condition:.1e}")
    allowed = _PER_CONDITION * condition**2
    reduced = Cholesky().compute(found, None)
    factor = scipy.linalg.cholesky(normal / np.outer(scale, scale))
    expect("cholesky", jnp.triu(reduced.factor), factor, allowed)
    inverse = np.linalg.inv(triangle)
    covariance = inverse @ inverse.T / np.outer(scale, scale)
    blocks = np.stack([covariance[3 * g : 3 * g + 3, 3 * g : 3 * g + 3] for g in range(grains)])
    found_blocks = covariance_blocks(reduced.factor, reduced.scale, variance=1.0)
    size = np.trace(blocks, axis1=1, axis2=2)[:, None, None]
    expect("covariance", found_blocks / size, blocks / size, allowed)


def expect(name: str, found: Array, expected: np.ndarray, allowed: float) -> None:
    """Record the largest difference as a share of the largest value; stop where it is too large."""
    if found.dtype != jnp.float64:
        raise AssertionError(f"{name} is {found.dtype}, not float64")
    error = np.max(np.abs(np.asarray(found) - expected)) / np.max(np.abs(expected))
    record(f"accelerator_{name}_error", error, "of_largest")
    if not error < allowed:
        raise AssertionError(f"{name} differs from its reference by {error:.1e}, more than {allowed:.0e}")


def measured_peak(size: int) -> float:
    """Floating-point operations per second of the product of two large square matrices."""
    one = jax.random.normal(jax.random.key(0), (size, size), jnp.float64)
    multiply = jax.jit(jnp.matmul)
    peak = 2 * size**3 / fastest(lambda: multiply(one, one))
    record("accelerator_gemm_gflops", peak / 1e9, "GFLOP/s")
    return peak


def time_limit(case: tuple[int, int], *, peak: float) -> None:
    """Columns, normal equations and Cholesky factor of the limit model, dense."""
    green = TiledGreen(*sample(*case))
    unknowns, sensors = green.unknowns.size, green.grid.size
    block = next(green.row_blocks())
    record("accelerator_columns_s", fastest(lambda: [b.columns for b in green.row_blocks()][-1]), "s")
    total = fastest(green.gram)
    record("accelerator_gram_s", total, "s")
    # One block again and again: all of Q, 11 GB, need not fit.
    part = SensorGrid(origin=(0, 0), spacing=1, shape=(1, len(block.sensor)), height=0)
    ready = DenseGreen(block.columns, WholeFrame(part), green.unknowns)
    # BLAS on a CPU computes one triangle, the product elsewhere both.
    triangles = 1 if block.columns.devices().pop().platform == "cpu" else 2
    reached = triangles * unknowns**2 * len(block.sensor) / fastest(ready.gram)
    record("accelerator_gram_gflops", reached / 1e9, "GFLOP/s")
    record("accelerator_gram_share_of_peak", reached / peak, f"times (wanted {_WANTED:g})")
    # What a deep sample would break is not what is timed here: a ridge keeps the factor sound at the same cost.
    normal, solver = green.gram(), Cholesky()
    scale = jnp.sqrt(jnp.diagonal(normal))
    normal = normal / scale[:, None] / scale + 1e-6 * jnp.eye(unknowns)
    factor = fastest(partial(solver.compute, normal, None))
    record("accelerator_cholesky_s", factor, "s")
    reduced = solver.compute(normal, None)
    blocks = fastest(lambda: covariance_blocks(reduced.factor, reduced.scale, variance=1.0))
    record("accelerator_covariance_s", blocks, "s")
    note(f"{unknowns} unknowns, {sensors} sensors")
    record("accelerator_limit_s", total + factor + blocks, "s")


def time_inversion(case: tuple[int, int], thickness: float) -> None:
    """A sample of the study from the map to the confidence spheres, the first time and again."""
    grains, count = case
    side = float(count - 1)
    made = simulate(
        jax.random.key(3), side=side, thickness=thickness, density=grains / (side**2 * thickness) * 1e9, noise=_NOISE[0]
    )
    first, solution = timed_inversion(made)
    record(f"accelerator_invert_{thickness}_first_s", first, "s")
    record(f"accelerator_invert_{thickness}_s", min(timed_inversion(made)[0] for _ in range(_ROUNDS)), "s")
    known = solution.confidence_radius.devices().pop().memory_stats()
    if known is not None:
        record(f"accelerator_invert_{thickness}_peak_gib", known["peak_bytes_in_use"] / 2**30, "GiB")


def time_batch(count: int, side: float, density: float) -> None:
    """Small samples of the study with four maps each, side by side and one after the other."""
    made = [simulate(jax.random.key(number), side=side, thickness=50, density=density) for number in range(count)]
    scans = [[one.sample(noise=noise) for noise in _NOISE] for one in made]
    grains = [one.grains for one in made]

    def one_by_one() -> list[list[Solution]]:
        return [
            invert_series(maps, sources, _NOISE, method="cholesky") for maps, sources in zip(scans, grains, strict=True)
        ]

    with warnings.catch_warnings():
        # That deep grains are not physical at this noise is what a study shows.
        warnings.simplefilter("ignore", InversionWarning)
        together, alone = invert_batch(scans, grains, _NOISE), one_by_one()
        ours, theirs = (jnp.stack([maps[0].confidence_radius for maps in found]) for found in (together, alone))
        expect("batch_radii", ours / theirs, np.ones(theirs.shape), _AGREEMENT)
        batch, single = fastest(lambda: invert_batch(scans, grains, _NOISE)), fastest(one_by_one)
    note(f"{count} samples of {len(grains[0])} grains, {scans[0][0].grid.size} sensors, {len(_NOISE)} maps")
    record("accelerator_batch_s", batch, "s")
    record("accelerator_one_by_one_s", single, "s")


def fastest(work: Callable[[], object]) -> float:
    """Shortest of some times, after a first call has compiled; the device is waited for."""
    jax.block_until_ready(work())
    return min(seconds(lambda: jax.block_until_ready(work())) for _ in range(_ROUNDS))


def sample(grains: int, count: int, *, deepest: float = 50.0) -> tuple[Grains, SensorGrid]:
    """Ragged grains below a square of sensors 1 µm apart."""
    width = float(count - 1)
    cuboids = ragged_grains(grains, width=width, deepest=deepest, centre=(width / 2, width / 2))
    return grains_of(cuboids), SensorGrid(origin=(0, 0), spacing=1, shape=(count, count), height=1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
