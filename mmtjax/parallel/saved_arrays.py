"""Objects of many arrays in files, whose arrays are read from the disk only when they are used."""

import io
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NotImplementedType

import equinox as eqx
import numpy as np

from mmtjax.files import replace_when_complete

#: A function and its arguments, which rebuild a module.
_Reduced = tuple[Callable[..., eqx.Module], tuple[type[eqx.Module], Mapping[str, object]]]

#: Alignment of arrays in a file, in bytes.
_ALIGNED = 64


def save_arrays(value: object, path: Path) -> None:
    """Write an object to two files: one for its structure, and one next to it for the contents of its arrays.

    Parameters
    ----------
    value
        An object that pickle supports; its arrays of NumPy are stored without a copy.
    path
        The first file; the second one has the same name with ``.contents`` appended.
    """
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
    """Return an object from the files of `save_arrays`; its arrays are read-only.

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
    contents = np.memmap(_contents(path), dtype=np.uint8, mode="r").data if sum(sizes) else memoryview(b"")
    starts = [0, *ends[:-1]]
    buffers = [contents[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    return pickle.loads(structure, buffers=buffers)


class _Pickler(pickle.Pickler):
    """A pickler that stores modules of Equinox as their fields.

    If they are unpickled in the usual way, Equinox regards them as incomplete and never frees their memory.
    """

    def reducer_override(self, value: object, /) -> _Reduced | NotImplementedType:
        """Return how to rebuild a module; other objects are pickled in the usual way."""
        if not isinstance(value, eqx.Module):
            return NotImplemented
        return _module, (type(value), vars(value))


def _module(kind: type[eqx.Module], fields: Mapping[str, object]) -> eqx.Module:
    """Return a module with these fields, without a call of its ``__init__``."""
    made = object.__new__(kind)
    for name, content in fields.items():
        object.__setattr__(made, name, content)
    return made


def _contents(path: Path) -> Path:
    """Return the file of the contents of arrays."""
    return path.with_name(path.name + ".contents")
