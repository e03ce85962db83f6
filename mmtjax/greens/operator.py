"""The Green's operator Q of grains on a sensor grid: its products with vectors and its normal equations, by rows."""

from abc import abstractmethod
from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.linalg.blas import dsyrk

from mmtjax.precision import is_concrete
from mmtjax.scan.grid import SensorGrid

#: Rows that BLAS is given at a time.
_HOST_ROWS = 2048

#: Rows that are gathered before the triangular factor is updated, for each unknown.
_ROWS_PER_UNKNOWN = 2

#: Called with the work that is done and the whole of it, both in sensors.
Progress = Callable[[int, int], None]


class RowBlock(eqx.Module):
    """Some rows of Q: ``columns`` is (3 grains, row), nT per A/m, of the sensors with the flat indices ``sensor``.

    Rows that fill up a tile beyond the grid have the index of no sensor, the size of the grid.
    """

    columns: Float[Array, "unknown row"]
    sensor: Int[np.ndarray, " row"]


class AbstractGreen(eqx.Module):
    """The linear map from magnetizations (3 grains,), A/m, to the field (ny, nx), nT: φ = Q M (equation 4).

    Unknowns are ordered ``M[3 g + i]``. A form of the operator says how its rows are made; everything else follows.
    """

    grid: eqx.AbstractVar[SensorGrid]
    unknowns: eqx.AbstractVar[int]

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
            total = total + block.columns @ _at_sensors(field, block)
        return total

    def gram(
        self, weight: Float[Array, "ny nx"] | None = None, *, progress: Progress | None = None
    ) -> Float[Array, "unknown unknown"]:
        """The matrix QᵀW²Q, with one weight for each sensor."""
        one = jnp.ones(self.grid.shape)
        return self.normal_equations(one, one if weight is None else weight, progress=progress)[0]

    def normal_equations(
        self, field: Float[Array, "ny nx"], weight: Float[Array, "ny nx"], *, progress: Progress | None = None
    ) -> tuple[Float[Array, "unknown unknown"], Float[Array, " unknown"]]:
        """Both sides of the normal equations, QᵀW²Q and QᵀW²φ, in one pass over the rows."""
        host = None
        total = jnp.zeros((self.unknowns, self.unknowns)), jnp.zeros(self.unknowns)
        for block in self.row_blocks(progress):
            arguments = block.columns, _at_sensors(field, block), _at_sensors(weight, block)
            if is_concrete(arguments) and all(device.platform == "cpu" for device in block.columns.devices()):
                host = _add_normal_on_host(host, *(np.asarray(array) for array in arguments))
            else:
                total = _add_normal(total, *arguments)
        if host is None:
            return total
        # BLAS has left the upper triangle alone.
        return jnp.asarray(np.tril(host[0]) + np.tril(host[0], -1).T), jnp.asarray(host[1])

    def root(
        self, field: Float[Array, "ny nx"], weight: Float[Array, "ny nx"], *, progress: Progress | None = None
    ) -> Float[Array, "augmented augmented"]:
        """Triangular factor R of the weighted rows of [Q φ], by QR of one block of rows after another.

        ``RᵀR = [Q φ]ᵀ W² [Q φ]`` without ever squaring the condition number (TSQR). The last column holds the
        projected data and, in its last entry, the norm of the weighted residual.
        """
        factor, waiting = jnp.zeros((self.unknowns + 1, self.unknowns + 1)), []
        for block in self.row_blocks(progress):
            rows = jnp.concatenate([block.columns, _at_sensors(field, block)[None]])
            waiting.append((rows * _at_sensors(weight, block)).T)
            # Each update works on the factor as well as on the new rows: few rows at a time would cost it many times.
            if sum(len(rows) for rows in waiting) >= _ROWS_PER_UNKNOWN * self.unknowns:
                factor, waiting = _update_root(factor, waiting), []
        return _update_root(factor, waiting) if waiting else factor

    def residual_gradient(
        self,
        magnetization: Float[Array, " unknown"],
        field: Float[Array, "ny nx"],
        weight: Float[Array, "ny nx"],
        *,
        progress: Progress | None = None,
    ) -> Float[Array, " unknown"]:
        """The vector QᵀW²(φ - Q M) in one pass, for iterative refinement."""
        total = jnp.zeros(self.unknowns)
        for block in self.row_blocks(progress):
            total = total + _gradient(
                block.columns, magnetization, _at_sensors(field, block), _at_sensors(weight, block)
            )
        return total


def _at_sensors(values: Array, block: RowBlock) -> Float[Array, " row"]:
    return jnp.asarray(values).ravel().at[block.sensor].get(mode="fill", fill_value=0.0)


@jax.jit
def _field(columns: Array, magnetization: Array) -> Array:
    return magnetization @ columns


def _add_normal(total: tuple[Array, Array], columns: Array, field: Array, weight: Array) -> tuple[Array, Array]:
    weighted = columns * weight
    return total[0] + weighted @ weighted.T, total[1] + weighted @ (weight * field)


def _add_normal_on_host(
    total: tuple[np.ndarray, np.ndarray] | None, columns: np.ndarray, field: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same by BLAS, one triangle in place, a few rows at a time so that the weighted ones stay in the cache.

    XLA's product computes both triangles, writes a new matrix for every block, and on one core takes three times as
    long as `dsyrk`.
    """
    unknowns, count = columns.shape
    gram, projected = (np.zeros((unknowns, unknowns), order="F"), np.zeros(unknowns)) if total is None else total
    weighted = np.empty((unknowns, _HOST_ROWS))
    for start in range(0, count, _HOST_ROWS):
        rows = slice(start, min(start + _HOST_ROWS, count))
        part = weighted if rows.stop - start == _HOST_ROWS else np.empty((unknowns, rows.stop - start))
        np.multiply(columns[:, rows], weight[rows], out=part)
        projected += part @ (weight[rows] * field[rows])
        gram = dsyrk(1.0, part.T, beta=1.0, c=gram, trans=1, lower=1, overwrite_c=1)
    return gram, projected


@jax.jit
def _update_root(factor: Array, rows: list[Array]) -> Array:
    return jnp.linalg.qr(jnp.concatenate([factor, *rows]), mode="r")


@jax.jit
def _gradient(columns: Array, magnetization: Array, field: Array, weight: Array) -> Array:
    return columns @ (weight**2 * (field - magnetization @ columns))
