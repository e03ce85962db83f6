"""The largest models of the paper, 1,875 grains below 251,001 sensors: inverted, and against the dense matrix."""

import warnings

import jax

from benchmarks.measure import note, record, wall_clock
from benchmarks.memory import peak_gib
from benchmarks.samples import scale_of_large
from benchmarks.streamed import streamed_seconds
from mmtjax import Solution, invert
from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.inversion.tolerance import tightened
from mmtjax.simulation import Simulation, simulate

_SIDE, _GRAINS, _NOISE = 500.0, 1875, 5.0

#: Share of the rows on which the dense matrix is streamed.
_SHARE = 0.05


def thickness_50() -> None:
    """1,875 grains in 50 µm, the square of whose condition a double can hold."""
    measure("limit_50", thickness=50.0)


def thickness_75() -> None:
    """The same number in 75 µm, which normal equations cannot carry."""
    measure("limit_75", thickness=75.0)


def measure(name: str, *, thickness: float) -> None:
    """Time and memory of the inversion with all uncertainties in a fresh process, then the dense matrix."""
    sample = limit_model(thickness)
    note(f"the process held {peak_gib():.2f} GiB at most before the inversion")
    record(f"{name}_grains", len(sample.grains), "grains")
    record(f"{name}_sensors", sample.grid.size, "sensors")
    first, _ = timed_inversion(sample)
    record(f"{name}_invert_first_s", first, "s")
    record(f"{name}_peak_gib", peak_gib(), "GiB")
    again, solution = timed_inversion(sample)
    # As fine as the columns of the inversion.
    tolerance = tightened(DEFAULT_TOLERANCE, condition=float(solution.condition))
    record(f"{name}_invert_s", again, "s")
    dense, product = streamed_seconds(sample.grains, sample.grid, share=_SHARE, tolerance=tolerance)
    record(f"{name}_dense_gram_s", dense, "s")
    record(f"{name}_dense_gram_product_s", product, "s")
    record(f"{name}_speedup_over_dense_gram", dense / again, "times")
    if solution.method == "orthogonal":
        factor, _ = streamed_seconds(sample.grains, sample.grid, share=_SHARE, tolerance=tolerance, root=True)
        record(f"{name}_dense_root_s", factor, "s")
        record(f"{name}_speedup_over_dense_root", factor / again, "times")


def limit_model(thickness: float) -> Simulation:
    """The sample; its edge is smaller by the scale that the environment asks for."""
    scale = scale_of_large()
    side = round(_SIDE * scale)
    return simulate(
        jax.random.key(3),
        side=side,
        thickness=thickness,
        density=_GRAINS / (_SIDE**2 * thickness) * 1e9,
        noise=_NOISE,
    )


def timed_inversion(sample: Simulation) -> tuple[float, Solution]:
    """Seconds of the inversion with covariances and radii, and what came out."""
    start = wall_clock()
    with warnings.catch_warnings():
        # Deep grains that are not physical at this noise are what the model is known for.
        warnings.simplefilter("ignore")
        solution = invert(sample.scan, sample.grains, noise=_NOISE)
    jax.block_until_ready((solution.magnetization, solution.confidence_radius, solution.residual))
    time = wall_clock() - start
    note(f"method {solution.method}, condition {float(solution.condition):.2e}")
    return time, solution
