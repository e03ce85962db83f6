"""From grains and sensors to the solver and what it needs of the rows of Q: which form, which factorization."""

from collections.abc import Callable, Mapping

from jaxtyping import Array, Float, PyTree

from mmtjax.field.plan import plan_field
from mmtjax.greens.compressed import CompressedGreen
from mmtjax.greens.dense import DenseGreen
from mmtjax.greens.operator import AbstractGreen, Progress
from mmtjax.greens.tiled import TiledGreen
from mmtjax.inversion.cholesky import Cholesky
from mmtjax.inversion.crowd import is_crowded
from mmtjax.inversion.memory import DENSE_BYTES, FEW_ROWS
from mmtjax.inversion.orthogonal import Orthogonal
from mmtjax.inversion.solver import AbstractSolver
from mmtjax.precision import is_concrete
from mmtjax.rock.grains import Grains
from mmtjax.scan.grid import SensorGrid

SOLVERS: Mapping[str, AbstractSolver] = {"cholesky": Cholesky(), "orthogonal": Orthogonal()}

#: Called with what is being done, the work that is done and the whole of it.
StageProgress = Callable[[str, int, int], None]


def stage(progress: StageProgress | None, name: str) -> Progress | None:
    """The progress of one stage."""
    return None if progress is None else lambda done, total: progress(name, done, total)


def method_for(method: str, grains: Grains, grid: SensorGrid, *, prior: float | None) -> str:
    """The method to try: QR at once where one is to be chosen and normal equations are not worth the attempt."""
    return "orthogonal" if method == "auto" and prior is None and is_crowded(grains, grid) else method


def green_operator(
    grains: Grains, grid: SensorGrid, *, method: str, tolerance: float, progress: StageProgress | None = None
) -> AbstractGreen:
    """Whole where the other forms save nothing; else compressed, or tile by tile if geometry is traced."""
    known = is_concrete(grains, grid)
    shapes = stage(progress, "shapes of grains")
    decided = plan_field(grains, grid, tolerance=tolerance, progress=shapes) if known else None
    columns = stage(progress, "Green's matrix")
    small = 24 * len(grains) * grid.size <= DENSE_BYTES
    few = method == "orthogonal" and grid.size <= FEW_ROWS * 3 * len(grains) and known
    if small or few:
        tiled = TiledGreen(grains, grid, tolerance=tolerance, decided=decided)
        return DenseGreen.from_operator(tiled, progress=columns)
    if known:
        return CompressedGreen(grains, grid, tolerance=tolerance, decided=decided, progress=columns)
    return TiledGreen(grains, grid, tolerance=tolerance)


def reduce_rows(
    green: AbstractGreen,
    weight: Float[Array, "ny nx"],
    ridge: Float[Array, ""] | None,
    *,
    method: str,
    progress: StageProgress | None = None,
) -> tuple[str, PyTree[Array]]:
    """The solver to use and what it needs of the rows: Cholesky if the condition allows it, unless one is named."""
    if method != "orthogonal":
        solver = SOLVERS["cholesky"]
        state = solver.init(green, weight, progress=stage(progress, "normal equations"))
        if method == "cholesky" or solver.compute(state, ridge).condition <= solver.limit:
            return "cholesky", state
        # The matrix of the normal equations is as large as the factor to come.
        del state
    return "orthogonal", SOLVERS["orthogonal"].init(green, weight, progress=stage(progress, "orthogonal factor"))
