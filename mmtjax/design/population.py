"""Samples of grains whose places follow the thickness of the sample, with the same random numbers throughout."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.sources.grains import Grains
from mmtjax.sources.placement import place_grains
from mmtjax.sources.shape_library import ShapeLibrary
from mmtjax.units import UM3_PER_MM3

Scalar = float | Float[Array, ""]


class Population(eqx.Module):
    """A cell of rock with a constant number of grains, as wide as its thickness and the density ask for.

    A thicker sample of the same density holds more grains below each µm². Here the cell becomes narrower instead: its
    edge is ``√(count / (density · thickness))``, and grains keep their places relative to it, in width and in depth. So
    places are smooth functions of the thickness, and what is expected per grain or per area is, too.

    Attributes
    ----------
    grains
        The grains at the reference thickness.
    density
        Grains per mm³.
    clearance
        Height above the bottom that the top side of every grain reaches, µm.
    across
        Centroids x, y as shares of the edge of the cell.
    depth
        Depth of the top side as a share of what is open to it.
    rise
        From the centroid to the top side, µm.
    height
        Of the bounding box, µm.
    """

    grains: Grains
    density: float
    clearance: float
    across: Float[np.ndarray, "grain 2"]
    depth: Float[np.ndarray, " grain"]
    rise: Float[np.ndarray, " grain"]
    height: Float[np.ndarray, " grain"]

    def edge(self, thickness: Scalar) -> Scalar:
        """Edge of the cell at a thickness, µm."""
        return jnp.sqrt(len(self.grains) * UM3_PER_MM3 / (self.density * thickness))

    def positions(self, thickness: Scalar) -> Float[Array, "grain 3"]:
        """Centroids at a thickness, µm."""
        top = self.depth * (thickness - np.maximum(self.clearance, self.height))
        return jnp.column_stack([self.across * self.edge(thickness), -top - self.rise])

    def at(self, position: Float[np.ndarray, "grain 3"]) -> Grains:
        """The grains with their centroids elsewhere."""
        return dataclasses.replace(self.grains, position=position)


def draw_population(
    key: jax.Array,
    library: ShapeLibrary,
    *,
    count: int,
    density: float,
    thickness: float,
    clearance: float = 10.0,
) -> Population:
    """Place grains in a cell at a reference thickness, as section 2.1.1 of Out et al. (2022) does.

    Parameters
    ----------
    key
        Random key of JAX.
    library
        Shapes of grains.
    count
        Number of grains.
    density
        Grains per mm³.
    thickness
        Reference thickness, µm; at others the same grains move to where their shares of the cell are.
    clearance
        As for `place_grains`.

    Raises
    ------
    ValueError
        As `place_grains`, above all for a density that cannot be packed.

    Examples
    --------
    >>> from mmtjax.sources.shape_library import synthetic_library
    >>> rock = draw_population(jax.random.key(1), synthetic_library(), count=9, density=2e4, thickness=40.0)
    >>> round(float(rock.edge(40.0)), 3), bool(np.allclose(rock.positions(40.0), rock.grains.position))
    (106.066, True)
    """
    edge = float(np.sqrt(count * UM3_PER_MM3 / (density * thickness)))
    grains = place_grains(key, library, side=edge, thickness=thickness, density=density, clearance=clearance)
    top, bottom = _ends(grains)
    position = np.asarray(grains.position)
    return Population(
        grains=grains,
        density=density,
        clearance=clearance,
        across=position[:, :2] / edge,
        depth=-top / (thickness - np.maximum(clearance, top - bottom)),
        rise=top - position[:, 2],
        height=top - bottom,
    )


def _ends(grains: Grains) -> tuple[Float[np.ndarray, " grain"], Float[np.ndarray, " grain"]]:
    """z of the top and of the bottom side of each grain."""
    start: Int[np.ndarray, " grain"] = np.searchsorted(grains.corner_grain, np.arange(len(grains)))
    z, middle = np.asarray(grains.corner_offset)[:, 2], np.asarray(grains.position)[:, 2]
    return middle + np.maximum.reduceat(z, start), middle + np.minimum.reduceat(z, start)
