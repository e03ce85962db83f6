"""Named arrays in one file, with a hash of its contents; they are read from the disk only when they are used."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np

from mmtjax.errors import InputError, MissingFileError
from mmtjax.files import replace_when_complete

#: An array, or arrays that are stored one after another as one, so that they need not be in memory twice.
Parts: TypeAlias = np.ndarray | Sequence[np.ndarray]

#: Type and shape of each array, in the order of their contents.
_Table: TypeAlias = dict[str, tuple[str, tuple[int, ...]]]

#: What the first line of a file says that it is.
_FORMAT = "mmtjax arrays 1"

#: Alignment of arrays in a file, in bytes.
_ALIGNED = 64

#: Types of arrays that are stored: plain numbers and text, whose bytes mean the same to every program.
_TYPE = re.compile(r"\|[bui]1|<[iuf][248]|<U[0-9]{1,6}")

#: Largest first line, one more than the most dimensions of an array, and bytes that are hashed at once.
_LONGEST_LINE, _MOST_DIMENSIONS, _CHUNK = 2**16, 8, 2**22


def save_arrays(arrays: Mapping[str, Parts], path: Path, *, owner: str) -> None:
    """Write arrays to a file: a line of JSON that describes them and has their hash, then their contents.

    Parameters
    ----------
    arrays
        Arrays of numbers or text by name; the parts of one array differ in the first dimension only.
    path
        The file, which is complete or not there.
    owner
        Name of what the arrays belong to; only with it, they are read again.
    """
    parts = {name: _little_endian(values) for name, values in arrays.items()}
    table: _Table = {
        name: (own[0].dtype.str, (sum(len(part) for part in own), *own[0].shape[1:]) if own[0].ndim else ())
        for name, own in parts.items()
    }
    digest = _hash(owner, table, _contents(parts))
    head = {"format": _FORMAT, "owner": owner, "sha256": digest, "arrays": table}
    line = json.dumps(head).encode() + b"\n"
    with replace_when_complete(path) as partial, partial.open("wb") as file:
        file.write(line + bytes(-len(line) % _ALIGNED))
        for chunk in _contents(parts):
            file.write(chunk)


def load_arrays(path: Path, names: Iterable[str], *, owner: str) -> dict[str, np.ndarray]:
    """Return arrays from a file of `save_arrays`, read-only; they take no memory before they are used.

    The hash of the contents is checked when a process reads a file for the first time.

    Parameters
    ----------
    path
        The file.
    names
        Names of the arrays that it must have.
    owner
        As for `save_arrays`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, has another format, or belongs to something else.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "numbers.arrays"
    >>> save_arrays({"ones": np.ones(3), "rows": [np.zeros((1, 2)), np.ones((1, 2))]}, place, owner="example")
    >>> load_arrays(place, ["ones", "rows"], owner="example")["rows"].tolist()
    [[0.0, 0.0], [1.0, 1.0]]
    """
    try:
        status = path.stat()
    except FileNotFoundError as error:
        msg = "the file is missing"
        raise MissingFileError(msg, where=str(path), remedy=_REMEDY) from error
    table, start = _checked_head(path, owner, status.st_ino, status.st_size, status.st_mtime_ns)
    if sorted(table) != sorted(names):
        raise _damaged(path, f"it has the arrays {', '.join(table)}; {', '.join(names)} are due")
    contents = np.memmap(path, dtype=np.uint8, mode="r").data
    found = {}
    for name, (kind, shape) in table.items():
        found[name] = np.ndarray(shape, kind, contents, start)
        start += _padded(_size(kind, shape))
    return found


_REMEDY = "remove the directory to start again, or restore it from a copy"


@lru_cache(maxsize=2**16)
def _checked_head(path: Path, owner: str, *_: int) -> tuple[_Table, int]:
    """Return the table of a file and where its contents begin, after a check of its hash; cached for each state of it.

    Parameters
    ----------
    path, owner
        As for `load_arrays`.
    *_
        Numbers that change with the file.
    """
    with path.open("rb") as file:
        line = file.readline(_LONGEST_LINE)
        stored_owner, expected, table = _parsed_head(path, line)
        start = _padded(len(line))
        file.seek(start)
        size = sum(_padded(_size(*one)) for one in table.values())
        actual = os.fstat(file.fileno()).st_size - start
        if actual != size:
            raise _damaged(path, f"it has {actual} bytes of arrays; its first line announces {size}")
        digest = _hash(stored_owner, table, iter(lambda: file.read(_CHUNK), b""))
    if digest != expected:
        raise _damaged(path, "its contents do not have the hash that was stored with them")
    if stored_owner != owner:
        msg = "the file belongs to the work on another problem"
        raise InputError(msg, where=str(path), remedy=_REMEDY)
    return table, start


def _parsed_head(path: Path, line: bytes) -> tuple[str, str, _Table]:
    """Return owner, hash and table from the first line of a file, whose values may be of any type."""
    try:
        head = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "its first line is no description of arrays") from error
    if not isinstance(head, dict) or head.get("format") != _FORMAT:
        raise _damaged(path, f"its first line does not say {_FORMAT!r}")
    owner, digest, arrays = head.get("owner"), head.get("sha256"), head.get("arrays")
    if not (isinstance(owner, str) and isinstance(digest, str) and isinstance(arrays, dict)):
        raise _damaged(path, "its first line lacks owner, sha256 or arrays")
    table: _Table = {}
    for name, entry in arrays.items():
        match entry:
            case [str(kind), [*lengths]] if _TYPE.fullmatch(kind) and len(lengths) < _MOST_DIMENSIONS:
                table[name] = kind, tuple(length for length in lengths if type(length) is int and length >= 0)
        if name not in table or len(table[name][1]) != len(entry[1]):
            raise _damaged(path, f"its first line describes the array {name!r} by {str(entry)[:80]}")
    return owner, digest, table


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"the file is damaged: {why}", where=str(path), remedy=_REMEDY)


def _hash(owner: str, table: _Table, contents: Iterable[memoryview | bytes]) -> str:
    """Return the hash of arrays, which includes their description."""
    digest = hashlib.sha256(json.dumps([owner, table], sort_keys=True).encode())
    for chunk in contents:
        digest.update(chunk)
    return digest.hexdigest()


def _little_endian(values: Parts) -> list[np.ndarray]:
    """Return the parts of an array, in memory as they are stored."""
    parts = [values] if isinstance(values, np.ndarray) else values
    return [np.asarray(part, part.dtype.newbyteorder("<"), order="C") for part in parts]


def _contents(parts: Mapping[str, list[np.ndarray]]) -> Iterable[memoryview | bytes]:
    """Yield the contents of all arrays, each padded to the alignment."""
    for own in parts.values():
        size = 0
        for part in own:
            if part.size:
                yield part.reshape(-1).view(np.uint8).data
                size += part.nbytes
        yield bytes(-size % _ALIGNED)


def _size(kind: str, shape: tuple[int, ...]) -> int:
    """Return the bytes of an array."""
    count = 1
    for length in shape:
        count *= length
    return count * np.dtype(kind).itemsize


def _padded(size: int) -> int:
    return size + -size % _ALIGNED
