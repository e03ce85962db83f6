"""Change the bytes of files at random, and read what comes out: results or errors of mmtjax, within their time."""

import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmtjax.errors import MmtjaxError

Reader = Callable[[Path], object]

#: Seconds that one file may take; the machine that runs the tests may be busy.
LONGEST = 120.0

#: Values that are limits of types of numbers, or have a meaning in several formats.
_TELLING = (0, 1, 2, 7, 0x20, 0x2C, 0x3B, 0x7F, 0x80, 0xFE, 0xFF)


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Return `content` with one to three changes: of bytes, of numbers, of blocks that go, come or are doubled."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(len(changed))) if changed else 0
        length = int(rng.integers(1, 16))
        kind = rng.integers(8)
        if kind <= 2 and changed:
            changed[place] = int(rng.choice(_TELLING)) if kind else changed[place] ^ (1 << int(rng.integers(8)))
        elif kind == 3:
            changed[place : place + 4] = int(rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1])).to_bytes(4, "little")
        elif kind == 4:
            del changed[place : place + length]
        elif kind == 5:
            changed[place:place] = changed[place : place + length]
        elif kind == 6:
            changed[place:place] = rng.bytes(length)
        else:
            del changed[place:]
    return bytes(changed)


def failures(file: Path, readers: dict[str, Reader], *, count: int, seed: int) -> list[str]:
    """Read `count` mutations of a file by each reader, and return what was neither a result nor an error of mmtjax.

    The file is written anew for each mutation, and restored.
    """
    rng, content, found = np.random.default_rng(seed), file.read_bytes(), []
    for number in range(count):
        file.write_bytes(mutated(content, rng))
        for name, read in readers.items():
            begin = time.monotonic()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    read(file)
            except MmtjaxError:
                pass
            except Exception as error:  # any: this is what the test looks for
                found.append(f"{file.name}, mutation {number} of seed {seed}, {name}: {type(error).__name__}: {error}")
            if (took := time.monotonic() - begin) > LONGEST:
                found.append(f"{file.name}, mutation {number} of seed {seed}, {name}: took {took:.0f} s")
    file.write_bytes(content)
    return found
