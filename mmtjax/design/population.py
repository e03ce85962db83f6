"""Samples whose grains move smoothly with the thickness of the sample, with the same random numbers throughout."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.design.setting import Scalar
from mmtjax.simulation import SampleSpec
from mmtjax.sources.grains import Grains
from mmtjax.units import UM3_PER_MM3


class Population(eqx.Module):
    """A cell of rock with a constant number of grains, as wide as its thickness and the density require.

    A thicker sample of the same density holds more grains below each µm². Here the cell becomes narrower instead: its
    edge is ``√(count / (density · thickness))``, and grains keep their places relative to it, in width and in depth. So
    places are smooth functions of the thickness, and expected values per grain or per area are smooth too.

    Attributes
    ----------
    grains
        The grains at the reference thickness.
    density
        Grains per mm³.
    clearance
        Least height of the top side of every grain above the bottom, µm.
    across
        Centroids x, y as shares of the edge of the cell.
    depth
        Depth of the top side as a share of the depths open to it.
    rise
        Height of the top side above the centroid, µm.
    height
        Height of the bounding box, µm.
    """

    grains: Grains
    density: float
    clearance: float
    across: Float[np.ndarray, "grain 2"]
    depth: Float[np.ndarray, " grain"]
    rise: Float[np.ndarray, " grain"]
    height: Float[np.ndarray, " grain"]

    def edge(self, thickness: Scalar) -> Scalar:
        """Return the edge of the cell at a thickness, µm."""
        return jnp.sqrt(len(self.grains) * UM3_PER_MM3 / (self.density * thickness))

    def positions(self, thickness: Scalar) -> Float[Array, "grain 3"]:
        """Return the centroids at a thickness, µm."""
        top = self.depth * (thickness - np.maximum(self.clearance, self.height))
        return jnp.column_stack([self.across * self.edge(thickness), -top - self.rise])

    def at(self, position: Float[np.ndarray, "grain 3"]) -> Grains:
        """Return the grains with their centroids elsewhere."""
        return dataclasses.replace(self.grains, position=position)


def cell_edge(count: int, *, density: float, thickness: float) -> float:
    """Return the edge of a cell that holds a number of grains, µm.

    Parameters
    ----------
    count
        Number of grains.
    density
        Grains per mm³.
    thickness
        Thickness of the cell, µm.

    Examples
    --------
    >>> round(cell_edge(9, density=2e4, thickness=40.0), 3)
    106.066
    """
    return float(np.sqrt(count * UM3_PER_MM3 / (density * thickness)))


def draw_population(key: jax.Array, spec: SampleSpec) -> Population:
    """Place grains in a cell at a reference thickness, as section 2.1.1 of Out et al. (2022) does.

    Parameters
    ----------
    key
        Random key of JAX.
    spec
        The cell at the reference thickness; at other thicknesses its grains move with their shares of the cell.

    Raises
    ------
    ValueError
        As `SampleSpec.place_grains`, above all for a density that cannot be packed.

    Examples
    --------
    >>> edge = cell_edge(9, density=2e4, thickness=40.0)
    >>> rock = draw_population(jax.random.key(1), SampleSpec(side=edge, thickness=40.0, density=2e4))
    >>> len(rock.grains), bool(np.allclose(rock.positions(40.0), rock.grains.position))
    (9, True)
    """
    grains = spec.place_grains(key)
    top, bottom = _ends(grains)
    position = np.asarray(grains.position)
    return Population(
        grains=grains,
        density=spec.density,
        clearance=spec.clearance,
        across=position[:, :2] / spec.side,
        depth=-top / (spec.thickness - np.maximum(spec.clearance, top - bottom)),
        rise=top - position[:, 2],
        height=top - bottom,
    )


def _ends(grains: Grains) -> tuple[Float[np.ndarray, " grain"], Float[np.ndarray, " grain"]]:
    """Return z of the top and of the bottom side of each grain."""
    start: Int[np.ndarray, " grain"] = np.searchsorted(grains.corner_grain, np.arange(len(grains)))
    z, middle = np.asarray(grains.corner_offset)[:, 2], np.asarray(grains.position)[:, 2]
    return middle + np.maximum.reduceat(z, start), middle + np.minimum.reduceat(z, start)
