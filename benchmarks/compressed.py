"""The compressed operator of 100 grains at 501 × 501 sensors: made, multiplied and factored, against the dense one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import interleaved, median_ratio, note, one_core_clock, record, seconds
from benchmarks.samples import grains_of, hundred_grains, large_grid
from benchmarks.streamed import reduce_rows
from mmtjax.greens import CompressedGreen, DenseGreen, TiledGreen

_ROUNDS = 5

#: Wanted: this share of the peak of a column.
_TOLERANCE = 1e-7

#: Time of columns that is wanted on one core, ns per grain and sensor.
_WANTED = 20.0

#: Columns that are compared with those of the dense operator.
_COMPARED = 12


def one_core() -> None:
    """Made, multiplied and factored on one core, the dense matrix streamed through BLAS in turn with it."""
    grains, grid = grains_of(hundred_grains()), large_grid()
    build = partial(CompressedGreen, grains, grid, tolerance=_TOLERANCE)
    tiled = TiledGreen(grains, grid, tolerance=_TOLERANCE)
    first = seconds(build, one_core_clock)
    green = build()
    check_agreement(green, tiled)
    magnetization = jnp.asarray(np.random.default_rng(0).normal(size=green.unknowns.size))
    works = (
        build,
        partial(reduce_rows, green, root=False),
        partial(reduce_rows, green, root=True),
        lambda: jax.block_until_ready(green.mv(magnetization)),
        partial(reduce_rows, tiled, root=False),
    )
    for work in works:
        work()
    times = interleaved(*works, rounds=_ROUNDS, clock=one_core_clock)
    made, gram, root, product, _ = np.median(times, axis=0)
    each = 1e9 * made / (len(grains) * grid.size)
    record("compressed_ns_per_grain_and_sensor", each, "ns")
    record("compressed_share_of_20_ns", each / _WANTED, "times")
    record("compressed_compile_s", first - made, "s")
    record("compressed_gram_s", gram, "s")
    record("compressed_root_s", root, "s")
    record("compressed_mv_s", product, "s")
    record("compressed_share_of_dense_bytes", 100 * green.nbytes / (8 * green.unknowns.size * grid.size), "%")
    record("compressed_speedup_over_streaming", median_ratio(times[:, 4], times[:, 0] + times[:, 1]), "times")


def check_agreement(green: CompressedGreen, tiled: TiledGreen) -> None:
    """Stop if columns or normal equations are not those of the dense operator of a tenth of the tolerance."""
    exact = DenseGreen.from_operator(TiledGreen(tiled.sources, green.grid, tolerance=_TOLERANCE / 10)).transposed
    chosen = np.random.default_rng(0).choice(green.unknowns.size, _COMPARED, replace=False)
    found = np.stack([np.ravel(green.mv(jnp.zeros(green.unknowns.size).at[column].set(1.0))) for column in chosen])
    expected = np.asarray(exact[chosen])
    peak = np.abs(np.asarray(exact)).max(axis=1).reshape(-1, 3).max(axis=1)[chosen // 3]
    error = np.max(np.abs(found - expected) / peak[:, None])
    record("compressed_column_error", error, "of_peak")
    normal = np.asarray(tiled.gram())
    scale = np.sqrt(np.diag(normal))
    difference = np.max(np.abs(np.asarray(green.gram()) - normal) / np.outer(scale, scale))
    note(f"largest difference of the normal matrices, equilibrated: {difference:.1e}")
    if not (error < 2 * _TOLERANCE and difference < 1e-4):
        raise AssertionError(f"columns differ by {error:.1e} of their peak, normal matrices by {difference:.1e}")
