"""Read grains as voxels, from a text file of their coordinates or from a labelled stack of images."""

import equinox as eqx
import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.io.depth import sign_of_z
from mmtjax.io.labels import checked_labels, load_labels, warn_of_metadata
from mmtjax.io.plausible import check_spacing
from mmtjax.io.text import AnyPath, read_numbers, whole_numbers, with_lines
from mmtjax.precision import ArrayLike, float64_array
from mmtjax.sources.grains import Grains

_NEEDED_OPTIONS = (
    "a voxel file holds neither its scale nor its origin. Pass spacing=, the edge of a voxel in µm, and "
    "origin=(x, y, z), the centre of the voxel with the indices 0, 0, 0 in µm"
)


def read_voxels(
    path: AnyPath, *, spacing: ArrayLike | None = None, origin: ArrayLike | None = None, z: str | None = None
) -> Grains:
    """Read grains from a text file of voxels, with four columns: grain id and whole coordinates x, y, z.

    Parameters
    ----------
    path
        The file, with or without a line of headings.
    spacing
        Edge of a voxel, µm: one number, or three in the order x, y, z.
    origin
        Centre (x, y, z) of the voxel (0, 0, 0), µm; z up, the surface of the sample at z = 0.
    z
        ``"up"`` if the third coordinate rises with height, ``"down"`` if with depth. Needed where, read as a height, it
        puts voxels above the surface.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        Without `spacing` and `origin`; for a line that does not have four whole numbers, a voxel that is listed twice,
        grains above the surface without the option `z`, and a spacing that only a wrong unit gives.
    """
    edge, start = _edge_and_origin(spacing, origin, path=path)
    table = read_numbers(path, columns=4, names="index x y z")
    ids = whole_numbers(table, 0, path=path, name="grain id")
    voxels = np.column_stack(
        [
            whole_numbers(table, column, path=path, name=f"coordinate {axis}")
            for column, axis in enumerate("xyz", start=1)
        ]
    )
    _, first, count = np.unique(voxels, axis=0, return_index=True, return_counts=True)
    if np.any(count > 1):
        row = first[np.argmax(count)]
        msg = (
            f"{path}, line {table.lines[row]}: the voxel {voxels[row].tolist()} is listed {count.max()} times; keep one"
        )
        raise InputError(msg)
    sign = sign_of_z(start[2] + edge[2] * voxels[:, 2], z=z, path=path)
    centre = start + edge * [1, 1, sign] * voxels
    half = np.broadcast_to(edge / 2, centre.shape)
    try:
        return Grains.from_cuboids(np.column_stack([centre, half, ids]), allow_overlap=True)
    except InputError as error:
        raise InputError(with_lines(str(error), table.lines), where=str(path)) from error


def read_stack(
    path: AnyPath,
    *,
    spacing: ArrayLike | None = None,
    origin: ArrayLike | None = None,
    z: str | None = None,
    labels: str | None = None,
) -> Grains:
    """Read grains from a labelled stack of images, ``.npy`` or ``.tif``, such as a segmentation of microCT.

    Parameters
    ----------
    path
        Whole numbers [z, y, x]; 0 is background, positive values are grain ids. Row 0 of a slice has the lowest y.
        Pages of a TIFF file that are series of their own are taken as slices, in their order.
    spacing
        Edge of a voxel, µm: one number, or three in the order x, y, z.
    origin
        Centre (x, y, z) of the voxel [0, 0, 0], µm; z up, the surface of the sample at z = 0.
    z
        ``"up"`` if later slices lie higher, ``"down"`` if they lie deeper. Needed where, read upwards, the stack has
        grains above the surface.
    labels
        ``"ids"`` if the values are grain ids, ``"mask"`` if there is one value beside 0 and every piece of it, of
        voxels that touch by their faces, is a grain. Needed where one value is in several pieces, or may be the
        background.

    Warns
    -----
    UserWarning
        If the file holds the edges of a voxel and they are not those of `spacing`, or calls its slices channels.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        Without `spacing` and `origin`; for a file that is cut short, is not three-dimensional or not of whole numbers,
        or holds no grain; for a picture in colours, a background that is not 0, and a mask without the option `labels`;
        for grains above the surface without the option `z`, and a spacing that only a wrong unit gives.
    """
    edge, start = _edge_and_origin(spacing, origin, path=path)
    stack = load_labels(path)
    ids = checked_labels(stack, labels, path=path)
    warn_of_metadata(stack, edge, path=path)
    slices = np.flatnonzero(ids.any(axis=(1, 2)))
    if sign_of_z(start[2] + edge[2] * slices, z=z, path=path) > 0:
        return Grains.from_voxels(ids, spacing=edge, origin=start)
    return _mirrored(Grains.from_voxels(ids, spacing=edge, origin=start * [1, 1, -1]))


def _edge_and_origin(
    spacing: ArrayLike | None, origin: ArrayLike | None, *, path: AnyPath
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Return the edges of a voxel and the centre of the voxel [0, 0, 0], both (x, y, z) in µm."""
    if spacing is None and origin is not None:
        msg = f"{path}: a voxel file does not hold its scale. Pass spacing=, the edge of a voxel in µm"
        raise InputError(msg)
    if spacing is None or origin is None:
        msg = f"{path}: {_NEEDED_OPTIONS}; got spacing={spacing!r}, origin={origin!r}"
        raise InputError(msg)
    edge = np.asarray(float64_array(spacing, name="spacing"))
    start = np.asarray(float64_array(origin, name="origin"))
    if edge.shape not in ((), (3,)) or start.shape != (3,):
        msg = f"{path}: {_NEEDED_OPTIONS}; got spacing={spacing!r}, origin={origin!r}"
        raise InputError(msg)
    check_spacing(edge, path=path)
    return np.broadcast_to(edge, (3,)), start


def _mirrored(grains: Grains) -> Grains:
    """Return the grains mirrored in z = 0.

    Corners change the sign of their weights, because a boundary is then crossed in the other direction.
    """
    flip = np.array([1.0, 1.0, -1.0])
    return eqx.tree_at(
        lambda g: (g.position, g.corner_offset, g.corner_weight),
        grains,
        (grains.position * flip, grains.corner_offset * flip, -grains.corner_weight),
    )
