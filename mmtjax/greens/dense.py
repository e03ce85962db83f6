"""The Green's matrix in memory as a whole: the reference, and the fastest form for small problems."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.errors import require_type
from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.frames import AbstractFrame, WholeFrame
from mmtjax.greens.tiled import TiledGreen
from mmtjax.linalg.pieces import Piece
from mmtjax.patterns.base import AbstractPattern
from mmtjax.precision import AnyArray, in_main_memory
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.base import AbstractSource
from mmtjax.unknowns import Unknowns


class DenseGreen(AbstractGreen):
    """The Green's operator as a complete matrix.

    Parameters
    ----------
    transposed
        The transposed matrix, (unknown, sensor), nT per unit of each unknown; sensors are in the order of the flattened
        map.
    frame
        The order and rotation in which the operator yields its rows; with `WholeFrame`, all rows are one piece.
    unknowns
        The source and the component that each column belongs to.

    Examples
    --------
    >>> from mmtjax.unknowns import Component, UnknownSet
    >>> grid = SensorGrid(origin=(0, 0), spacing=1, shape=(2, 3))
    >>> level = Unknowns((UnknownSet("level", 1, (Component("c", "nT"),)),))
    >>> DenseGreen(np.ones((1, 6)), WholeFrame(grid), level).gram().tolist()
    [[6.0]]
    """

    transposed: Float[AnyArray, "unknown sensor"]
    frame: AbstractFrame
    unknowns: Unknowns

    def __init__(self, transposed: Float[AnyArray, "unknown sensor"], frame: AbstractFrame, unknowns: Unknowns) -> None:
        self.transposed = transposed
        self.frame = frame
        self.unknowns = unknowns

    @classmethod
    def from_operator(cls, green: TiledGreen, *, progress: Progress | None = None) -> "DenseGreen":
        """Return the complete matrix of an operator that computes its rows block by block.

        Parameters
        ----------
        green
            The operator.
        progress
            Called with the number of sensors that are complete, and the number of all sensors.
        """
        size, sensors = green.unknowns.size, green.grid.size
        host: np.ndarray | None = None
        device: Array | None = None
        # Besides the result, only one block is in memory at a time.
        for block in green.row_blocks(progress):
            if in_main_memory(block.columns):
                host = np.empty((size, sensors)) if host is None else host
                inside = block.sensor < sensors
                host[:, block.sensor[inside]] = np.asarray(block.columns)[:, inside]
            else:
                device = jnp.zeros((size, sensors)) if device is None else device
                device = _placed(device, block.columns, block.sensor)
        return cls(jnp.asarray(host) if device is None else device, WholeFrame(green.grid), green.unknowns)

    @classmethod
    def from_pattern(cls, pattern: AbstractPattern, frame: AbstractFrame) -> "DenseGreen":
        """Return the operator of a pattern, such as a background, to be stacked with others that have the same frame.

        Parameters
        ----------
        pattern
            The pattern.
        frame
            The frame of the other operators.
        """
        columns = pattern.columns(frame.grid).reshape(-1, frame.grid.size)
        return cls(columns, frame, Unknowns((pattern.unknowns,)))

    @property
    def grid(self) -> SensorGrid:
        """The sensors."""
        return self.frame.grid

    @property
    def sweep_order(self) -> Int[np.ndarray, " unknown"]:
        """Numbers of the unknowns, ascending."""
        return np.arange(self.unknowns.size)

    def mv(
        self, values: Float[AnyArray, "*map unknown"], *, progress: Progress | None = None
    ) -> Float[Array, "*map ny nx"]:
        """Return the field Q m of one vector of unknowns or several, nT."""
        field = _product(jnp.asarray(values), self.transposed)
        _report(progress, self.grid)
        return field.reshape(*values.shape[:-1], *self.grid.shape)

    def rmv(
        self, field: Float[AnyArray, "*map ny nx"], *, progress: Progress | None = None
    ) -> Float[Array, "*map unknown"]:
        """Return the product Qᵀφ with one field or several."""
        flat = jnp.asarray(field).reshape(*field.shape[:-2], self.grid.size)
        found = _moments(self.transposed, flat)
        _report(progress, self.grid)
        return found

    def normal(
        self, values: Float[AnyArray, "*map unknown"], weight: Float[AnyArray, "ny nx"]
    ) -> Float[Array, "*map unknown"]:
        """Return the product QᵀW²Q m with one vector of unknowns or several."""
        return self.rmv(jnp.asarray(weight) ** 2 * self.mv(values))

    def pieces(self, weight: Float[AnyArray, "ny nx"], *, progress: Progress | None = None) -> Iterator[Piece]:
        """Yield the rows of W Q in the pieces that the frame defines."""
        yield from self.frame.pieces_of(self.transposed, weight)
        _report(progress, self.grid)


def _report(progress: Progress | None, grid: SensorGrid) -> None:
    """Report that all sensors are complete."""
    if progress is not None:
        progress(grid.size, grid.size)


@jax.jit
def _product(values: Float[Array, "*map unknown"], columns: Float[Array, "unknown row"]) -> Float[Array, "*map row"]:
    """Return the field of vectors of unknowns."""
    return values @ columns


@jax.jit
def _moments(columns: Float[Array, "unknown row"], field: Float[Array, "*map row"]) -> Float[Array, "*map unknown"]:
    """Return the products of the columns with fields."""
    return columns @ field if field.ndim == 1 else field @ columns.T


@partial(jax.jit, donate_argnums=0)
def _placed(
    whole: Float[Array, "unknown sensor"], columns: Float[Array, "unknown row"], sensor: Int[Array, " row"]
) -> Float[Array, "unknown sensor"]:
    """Return the whole matrix with the columns of a block of rows written to its sensors."""
    return whole.at[:, sensor].set(columns, mode="drop")


def greens_matrix(
    sources: AbstractSource, grid: SensorGrid, *, tolerance: float = DEFAULT_TOLERANCE
) -> Float[Array, "sensor unknown"]:
    """Return the Green's matrix Q, (ny · nx, unknown), nT per unit of each component (equation 3).

    An entry is the mean of Bz over one sensor per unit of one component of one source; for grains, per A/m of the
    magnetization. Rows are in the order of the flattened map [y, x], columns source by source: ``3 g + i`` for axis i
    of grain g.

    Parameters
    ----------
    sources, grid
        Sources and sensors; positions, standoff and spacing may be traced and differentiated.
    tolerance
        Allowed error of a coefficient as a share of the peak of its source.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        For sources above the sensors or a tolerance outside (0, 0.01].

    Examples
    --------
    >>> import mmtjax
    >>> grains = mmtjax.Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1]])
    >>> grid = SensorGrid(origin=(-1, -1), spacing=1, shape=(3, 3), height=1)
    >>> greens_matrix(grains, grid).shape
    (9, 3)
    """
    require_type(sources, AbstractSource, name="sources")
    require_type(grid, SensorGrid, name="grid")
    return jnp.asarray(DenseGreen.from_operator(TiledGreen(sources, grid, tolerance=tolerance)).transposed).T
