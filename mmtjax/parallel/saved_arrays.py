"""Objects of many arrays on the disk, whose arrays are read as they are used."""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path

import equinox as eqx
import numpy as np

from mmtjax.files import replace_when_complete

#: Arrays begin at multiples of so many bytes.
_ALIGNED = 64


def save_arrays(value: object, path: Path) -> None:
    """Write an object: its structure, and the contents of its arrays in one file beside it."""
    buffers: list[pickle.PickleBuffer] = []
    structure = io.BytesIO()
    _Pickler(structure, protocol=5, buffer_callback=buffers.append).dump(value)
    sizes = [buffer.raw().nbytes for buffer in buffers]
    with replace_when_complete(_contents(path)) as partial, partial.open("wb") as file:
        for buffer, size in zip(buffers, sizes, strict=True):
            file.write(buffer.raw())
            file.write(bytes(-size % _ALIGNED))
    with replace_when_complete(path) as partial:
        partial.write_bytes(pickle.dumps((sizes, structure.getvalue())))


def load_arrays(path: Path) -> object:
    """Read an object that `save_arrays` wrote; its arrays may not be written to.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "arrays"
    >>> save_arrays({"ones": np.ones(3), "twos": [np.full(2, 2.0)]}, place)
    >>> load_arrays(place)
    {'ones': array([1., 1., 1.]), 'twos': [array([2., 2.])]}
    """
    sizes, structure = pickle.loads(path.read_bytes())
    ends = np.cumsum([size + -size % _ALIGNED for size in sizes]).tolist()
    contents = memoryview(np.memmap(_contents(path), dtype=np.uint8, mode="r")) if sum(sizes) else memoryview(b"")
    starts = [0, *ends[:-1]]
    buffers = [contents[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    return pickle.loads(structure, buffers=buffers)


class _Pickler(pickle.Pickler):
    """Modules are rebuilt field by field: unpickled as usual, Equinox takes them for unfinished and never lets go."""

    def reducer_override(self, value: object) -> object:
        if not isinstance(value, eqx.Module):
            return NotImplemented
        return _module, (type(value), vars(value))


def _module(kind: type[eqx.Module], fields: Mapping[str, object]) -> eqx.Module:
    made = object.__new__(kind)
    for name, content in fields.items():
        object.__setattr__(made, name, content)
    return made


def _contents(path: Path) -> Path:
    return path.with_name(path.name + ".contents")
