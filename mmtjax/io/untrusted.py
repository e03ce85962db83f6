"""Read files whose damage can crash or hang the library that reads them, in a process of their own with limits."""

import json
import multiprocessing.spawn
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmtjax.errors import InputError, MemoryLimitError, SetupError
from mmtjax.inversion.memory import available_memory
from mmtjax.io import child_reader
from mmtjax.io.text import AnyPath, JsonValue, require_file

#: Computing time that reading may take: in seconds, and in seconds per MB of the file, which may be compressed.
_SECONDS, _SECONDS_PER_MEGABYTE = 5, 3

#: Time that passes until a process that waits, and does not compute, is ended: a multiple of its computing time.
_PATIENCE = 6

#: Bytes that Python and the libraries map into memory before they read anything.
_LEAST_MEMORY = 2**30

#: Longest text of an error of a library that is quoted.
_LONGEST_TEXT = 200


class FileContent(NamedTuple):
    """Arrays of a file by name, and what else is known of them; see the readers in `mmtjax.io.child_reader`."""

    arrays: dict[str, np.ndarray]
    facts: dict[str, JsonValue]

    def facts_of(self, name: str) -> dict[str, JsonValue]:
        """Return a fact that consists of several, by name."""
        facts = self.facts[name]
        return facts if isinstance(facts, dict) else {}


class _Reply(NamedTuple):
    """What the process has written, or None where it ended before."""

    content: FileContent | None
    problem: dict[str, JsonValue]


def read_untrusted(path: AnyPath, *, reader: str, kind: str) -> FileContent:
    """Read a file in a process of its own, which is ended where it takes too much time or memory.

    Parameters
    ----------
    path
        The file.
    reader
        Name of a function in ``child_reader.READERS``.
    kind
        What the file should be, for the errors.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the library cannot read the file, crashes, or does not end within its time: 5 s of computing and 3 s more
        for every MB.
    MemoryError
        If reading takes more than half of the memory of the machine.
    RuntimeError
        If no process can be started.
    """
    file = require_file(path)
    seconds = int(_SECONDS + _SECONDS_PER_MEGABYTE * file.stat().st_size / 2**20)
    memory = max(_LEAST_MEMORY, available_memory() // 2)
    request = {
        "reader": reader,
        "path": str(file.absolute()),
        "seconds": seconds,
        "memory": memory,
    }
    with _child(request, file=file) as (process, stream):
        ended = threading.Event()
        timer = threading.Timer(_PATIENCE * seconds, lambda: (ended.set(), process.kill()))
        timer.start()
        try:
            reply = _reply(stream)
            code = process.wait()
        finally:
            timer.cancel()
    if reply.content is not None:
        return reply.content
    if ended.is_set() or code == -getattr(signal, "SIGXCPU", signal.SIGTERM):
        msg = f"reading it as {kind} did not end within {seconds} s of computing, as happens with a damaged file"
        raise InputError(msg, where=str(file), remedy="copy or save it anew")
    if "refused" in reply.problem:
        msg = f"{file} {reply.problem['refused']}"
        raise InputError(msg)
    if "memory" in reply.problem:
        msg = f"reading it as {kind} takes more than {memory / 2**30:.1f} GiB of memory, half of this machine's"
        raise MemoryLimitError(msg, where=str(file), remedy="is it damaged? If not, save a smaller part of it")
    text = str(reply.problem.get("error") or f"the library that reads it {_end(code)}").splitlines()[0]
    msg = f"{file} does not read as {kind} ({text[:_LONGEST_TEXT]}); was its copy cut short?"
    raise InputError(msg)


@contextmanager
def _child(request: dict[str, JsonValue], *, file: Path) -> Iterator[tuple[subprocess.Popen[bytes], BufferedReader]]:
    """Context in which a process reads the file of `request`; yields the process and the stream that it writes to."""
    # A new interpreter, and not a process of `multiprocessing`, which would import the user's script once more. It is
    # isolated, so that neither the environment nor the working directory chooses what it runs.
    python = os.fsdecode(multiprocessing.spawn.get_executable() or "")
    folders = [str(Path(folder).absolute()) for folder in sys.path if folder]
    script = (
        f"import runpy, sys; sys.path[:] = {folders!r}; runpy.run_path({child_reader.__file__!r}, None, '__main__')"
    )
    command = [python, "-I", "-S", "-c", script, json.dumps(request)]
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | one_thread,
        )
    except OSError as error:
        msg = f"Python, {python!r}, does not start to read {file} ({error})"
        raise SetupError(msg, remedy="name the interpreter with multiprocessing.set_executable") from error
    with process:
        if not isinstance(process.stdout, BufferedReader):
            msg = f"the process that reads {file} has no standard output"
            raise SetupError(msg)
        try:
            yield process, process.stdout
        finally:
            process.kill()


def _reply(stream: BufferedReader) -> _Reply:
    """Return what the process writes to `stream`."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return _Reply(None, {})
    head = json.loads(line)
    if "arrays" not in head:
        return _Reply(None, head)
    arrays = {}
    for name, kind, shape in head["arrays"]:
        array = np.empty(shape, np.dtype(kind))
        if array.nbytes and stream.readinto(array.reshape(-1).view(np.uint8).data) < array.nbytes:
            return _Reply(None, {})
        arrays[name] = array
    return _Reply(FileContent(arrays, head["facts"]), {})


def _end(code: int) -> str:
    """Return in words how a process ended."""
    if code < 0:
        return f"crashed, with {signal.Signals(-code).name}"
    return f"ended with code {code}"
