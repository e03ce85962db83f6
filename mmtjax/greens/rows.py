"""Green's operators that are made row by row: products and factors from one block of rows after another."""

from abc import abstractmethod
from collections.abc import Iterator
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.linalg.blas import dsyrk

from mmtjax.greens.base import AbstractGreen
from mmtjax.linalg.pieces import triangularize
from mmtjax.precision import in_main_memory, on_accelerator
from mmtjax.progress import Progress

AnyArray = np.ndarray | Array

#: Rows that BLAS is given at a time.
_HOST_ROWS = 2048

#: Rows that are gathered before the triangular factor is updated, for each unknown; and those that an accelerator
#: multiplies or factors at a time, for each of which it holds several copies.
_ROWS_PER_UNKNOWN = 2
ROWS_ON_ACCELERATOR = 4


class RowBlock(eqx.Module):
    """Some rows of Q: ``columns`` is (3 grains, row), nT per A/m, of the sensors with the flat indices ``sensor``.

    Rows that fill up a tile beyond the grid have the index of no sensor, the size of the grid.
    """

    columns: Float[Array, "unknown row"]
    sensor: Int[np.ndarray, " row"]

    def parts(self, most: int) -> Iterator["RowBlock"]:
        """The same rows in blocks of so many at most."""
        for start in range(0, len(self.sensor), most):
            rows = slice(start, start + most)
            yield RowBlock(self.columns[:, rows], self.sensor[rows])


class AbstractRows(AbstractGreen):
    """An operator that says how its rows are made; everything else follows."""

    @abstractmethod
    def row_blocks(self, progress: Progress | None = None) -> Iterator[RowBlock]:
        """All rows of Q, block by block."""

    def mv(self, magnetization: Float[Array, " unknown"], *, progress: Progress | None = None) -> Float[Array, "ny nx"]:
        """The field Q M of a magnetization, nT."""
        parts, sensors = [], []
        for block in self.row_blocks(progress):
            parts.append(_field(block.columns, jnp.asarray(magnetization)))
            sensors.append(block.sensor)
        order = np.argsort(np.concatenate(sensors), kind="stable")[: self.grid.size]
        return jnp.concatenate(parts)[order].reshape(self.grid.shape)

    def rmv(self, field: Float[Array, "ny nx"], *, progress: Progress | None = None) -> Float[Array, " unknown"]:
        """The product Qᵀφ with a field."""
        total = jnp.zeros(self.unknowns)
        for block in self.row_blocks(progress):
            total = _add_moments(total, block.columns, _at_sensors(field, block))
        return total

    def gram(
        self, weight: Float[Array, "ny nx"] | None = None, *, progress: Progress | None = None
    ) -> Float[Array, "unknown unknown"]:
        """The matrix QᵀW²Q, with one weight for each sensor."""
        weight = jnp.ones(self.grid.shape) if weight is None else weight
        host, total = None, jnp.zeros((self.unknowns, self.unknowns))
        for block in self._pieces(progress):
            arguments = block.columns, _at_sensors(weight, block)
            if all(map(in_main_memory, arguments)):
                host = _add_gram_on_host(host, *map(np.asarray, arguments))
            else:
                total = _add_gram(total, *arguments)
        # BLAS has left the upper triangle alone.
        return total if host is None else jnp.asarray(np.tril(host) + np.tril(host, -1).T)

    def root(
        self, weight: Float[Array, "ny nx"] | None = None, *, progress: Progress | None = None
    ) -> Float[Array, "unknown unknown"]:
        """A triangular factor of the weighted rows, by QR of one block of rows after another (TSQR)."""
        weight = jnp.ones(self.grid.shape) if weight is None else weight
        factor, waiting = jnp.zeros((0, self.unknowns)), []
        for block in self._pieces(progress):
            waiting.append(_weighted_rows(block.columns, _at_sensors(weight, block)))
            # Each update works on the factor as well as on the new rows: few rows at a time would cost it many times.
            if sum(len(rows) for rows in waiting) >= _ROWS_PER_UNKNOWN * self.unknowns:
                factor, waiting = _update_root(factor, waiting), []
        factor = jnp.asarray(_update_root(factor, waiting) if waiting else factor)
        missing = self.unknowns - len(factor)
        return jnp.pad(factor, ((0, missing), (0, 0))) if missing else factor

    def _pieces(self, progress: Progress | None) -> Iterator[RowBlock]:
        """All rows of Q in blocks of which copies may be held."""
        for block in self.row_blocks(progress):
            if on_accelerator():
                yield from block.parts(ROWS_ON_ACCELERATOR * self.unknowns)
            else:
                yield block


def _at_sensors(values: Array, block: RowBlock) -> Float[Array, " row"]:
    if in_main_memory(values) and isinstance(block.sensor, np.ndarray):
        # NumPy compiles nothing anew for every number of sensors.
        known = np.asarray(values).ravel()
        return jnp.asarray(np.where(block.sensor < known.size, known.take(block.sensor, mode="clip"), 0.0))
    return _picked(values, block.sensor)


@jax.jit
def _picked(values: Array, sensor: Array) -> Array:
    return jnp.ravel(values).at[sensor].get(mode="fill", fill_value=0.0)


@jax.jit
def _field(columns: Array, magnetization: Array) -> Array:
    return magnetization @ columns


@jax.jit
def _add_moments(moments: Array, columns: Array, field: Array) -> Array:
    return moments + columns @ field


@partial(jax.jit, donate_argnums=0)
def _add_gram(gram: Array, columns: Array, weight: Array) -> Array:
    weighted = columns * weight
    return gram + weighted @ weighted.T


def _add_gram_on_host(gram: np.ndarray | None, columns: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The sum with new rows by BLAS, one triangle in place, a few rows at a time so that these stay in the cache.

    XLA's product computes both triangles, writes a new matrix for every block, and on one core takes three times as
    long as `dsyrk`.
    """
    unknowns, count = columns.shape
    gram = np.zeros((unknowns, unknowns), order="F") if gram is None else gram
    weighted = np.empty((unknowns, _HOST_ROWS))
    for start in range(0, count, _HOST_ROWS):
        rows = slice(start, min(start + _HOST_ROWS, count))
        part = weighted if rows.stop - start == _HOST_ROWS else np.empty((unknowns, rows.stop - start))
        np.multiply(columns[:, rows], weight[rows], out=part)
        gram = dsyrk(1.0, part.T, beta=1.0, c=gram, trans=1, lower=1, overwrite_c=1)
    return gram


def _weighted_rows(columns: Array, weight: Array) -> Float[AnyArray, "row unknown"]:
    """The rows of a block times their weights, in main memory where they are there."""
    if not (in_main_memory(columns) and in_main_memory(weight)):
        return (columns * weight).T
    rows = np.empty(columns.shape[::-1])
    np.multiply(np.asarray(columns), np.asarray(weight), out=rows.T)
    return rows


def _update_root(
    factor: Float[AnyArray, "_ unknown"], rows: list[Float[AnyArray, "_ unknown"]]
) -> Float[AnyArray, "_ unknown"]:
    """The triangle of a factor and new rows."""
    if all(isinstance(part, np.ndarray) for part in rows):
        parts = [np.asarray(factor), *rows] if len(factor) else rows
        stack = np.concatenate(parts) if len(parts) > 1 else parts[0]
        return triangularize(stack, np.zeros(len(stack), int), [stack.shape[1]])[0].copy()
    return _reduced(factor, rows)


@jax.jit
def _reduced(factor: Array, rows: list[Array]) -> Array:
    return jnp.linalg.qr(jnp.concatenate([factor, *rows]), mode="r")
