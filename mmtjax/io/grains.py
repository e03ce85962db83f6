"""Read grains from a file of any known format."""

from mmtjax.io.cuboids import read_cuboids
from mmtjax.io.dispatch import ReaderOption, call_reader, choose_format
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


def read_grains(path: AnyPath, *, format: str | None = None, **options: ReaderOption) -> Grains:
    """Read grains from a file, whose format is recognized by its contents.

    Parameters
    ----------
    path
        The file.
    format
        ``"cuboids"`` (`read_cuboids`), ``"voxels"`` (`read_voxels`), ``"stack"`` (`read_stack`), ``"dragonfly"``
        (`read_dragonfly`) or ``"positions"`` (`read_positions`); by default the one that the file looks like.
    **options
        Options of the reader of the format. None stands for an option that is not given.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file looks like none or several of the formats, for an option that the format does not have, and where
        the reader of the format raises it.
    """
    # Every table of numbers may also be a map, but here the user has said that the file holds grains.
    candidates = () if format is not None else tuple(kind for kind in recognize(path) if kind != "text")
    chosen = choose_format(path, tuple(_READERS), format=format, candidates=candidates, what="grains")
    return call_reader(_READERS[chosen], path, options, format=chosen)
