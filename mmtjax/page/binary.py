"""Binary part of a page: arrays, compressed and as text, with a directory of their names, types and places."""

import base64
import zlib
from typing import TypedDict

import numpy as np

#: Largest array elements of the types of JavaScript are 8 bytes, at places that are multiples of their size.
_ALIGNMENT = 8

#: Names of typed arrays of JavaScript by types of NumPy.
_TYPES = {
    "float64": "Float64Array",
    "float32": "Float32Array",
    "uint32": "Uint32Array",
    "uint16": "Uint16Array",
    "uint8": "Uint8Array",
}


class ArrayPlace(TypedDict):
    """Where an array lies among the bytes, and of which type it is."""

    type: str
    offset: int
    length: int
    shape: list[int]


class BinaryPart:
    """Arrays for a page, which grow by `add` and are written by `text`."""

    def __init__(self) -> None:
        self.places: dict[str, ArrayPlace] = {}
        self.parts: list[bytes] = []
        self.length = 0

    def add(self, name: str, values: np.ndarray) -> None:
        """Add an array of a type that JavaScript has.

        Parameters
        ----------
        name
            Name by which the page asks for it.
        values
            The array, in C order.
        """
        content = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()
        self.places[name] = ArrayPlace(
            type=_TYPES[values.dtype.name], offset=self.length, length=values.size, shape=list(values.shape)
        )
        padded = content + bytes(-len(content) % _ALIGNMENT)
        self.parts.append(padded)
        self.length += len(padded)

    def text(self) -> str:
        """Return all arrays as base64 of a zlib stream."""
        return base64.b64encode(zlib.compress(b"".join(self.parts), level=9)).decode("ascii")


def byte_planes(values: np.ndarray) -> np.ndarray:
    """Return whole numbers as four planes of bytes, which compress well where the numbers are small.

    The sign is in the lowest bit (zigzag), so that small negative numbers have empty upper planes too.

    Examples
    --------
    >>> byte_planes(np.array([0, -1, 1, 300])).tolist()
    [[0, 1, 2, 88], [0, 0, 0, 2], [0, 0, 0, 0], [0, 0, 0, 0]]
    """
    whole = np.asarray(values, np.int64).ravel()
    folded = np.where(whole < 0, -2 * whole - 1, 2 * whole).astype("<u4")
    return folded.view(np.uint8).reshape(-1, 4).T.copy()
