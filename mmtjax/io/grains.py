"""Grains from a file of any format known here."""

from mmtjax.io.cuboids import read_cuboids
from mmtjax.io.dispatch import call_reader, choose_format
from mmtjax.io.dragonfly import read_dragonfly
from mmtjax.io.positions import read_positions
from mmtjax.io.recognize import recognize
from mmtjax.io.text import AnyPath
from mmtjax.io.voxels import read_stack, read_voxels
from mmtjax.sources.grains import Grains

_READERS = {
    "cuboids": read_cuboids,
    "voxels": read_voxels,
    "stack": read_stack,
    "dragonfly": read_dragonfly,
    "positions": read_positions,
}


def read_grains(path: AnyPath, *, format: str | None = None, **options: object) -> Grains:
    """Grains from a file, whose format is told by its contents.

    Parameters
    ----------
    path
        The file.
    format
        ``"cuboids"`` (`read_cuboids`), ``"voxels"`` (`read_voxels`), ``"stack"`` (`read_stack`), ``"dragonfly"``
        (`read_dragonfly`) or ``"positions"`` (`read_positions`); by default the one that the file looks like.
    options
        Those of the reader of the format. None stands for an option not given.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file looks like none or several of the formats, for an option that the format does not have, and as the
        reader of the format does.
    """
    # Every table of numbers may be a map too, but one of grains that is taken for a map does no harm here.
    candidates = () if format is not None else tuple(kind for kind in recognize(path) if kind != "text")
    chosen = choose_format(path, tuple(_READERS), format=format, candidates=candidates, what="grains")
    return call_reader(_READERS[chosen], path, options, format=chosen)
