"""Consoles of the commands: they print text as it is, to any terminal, and survive a reader that stops reading."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Literal, TextIO, cast

from rich.console import Console

from mmtjax.errors import OutputError
from mmtjax.report.plain_text import plain

#: What is written for characters of the package's own words where a terminal cannot show them.
_ASCII = str.maketrans(
    {
        "µ": "u", "μ": "u", "×": "x", "χ": "chi", "σ": "sigma", "±": "+-", "−": "-", "–": "-", "≤": "<=", "≥": ">=",
        "≠": "!=", "√": "sqrt", "·": "*", "°": " deg", "…": "...", "•": "*", "²": "^2", "³": "^3", "⁴": "^4", "⁵": "^5",
        "⁻": "^-", "¹": "1", "─": "-", "━": "-",
    }
)  # fmt: skip


class OutputStream(io.TextIOBase):
    """Standard output or standard error as consoles write to it.

    Characters that its encoding does not have are written in ASCII. When the reader of a pipe stops reading, the rest
    is dropped. Other failures raise an `OutputError` on standard output; on standard error, which has progress and
    warnings, they must not end a computation, so the rest is dropped.

    Parameters
    ----------
    name
        Which of the two streams of this process.
    """

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self.title = {"stdout": "standard output", "stderr": "standard error"}[name]
        self.required = name == "stdout"
        # None in a process without the stream.
        self.stream: TextIO | None = getattr(sys, name)

    @property
    def encoding(self) -> str:
        """Encoding of the stream."""
        return getattr(self.stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self.stream is not None and self.stream.isatty()

    def fileno(self) -> int:
        """Return the number of the stream in the system."""
        if self.stream is None:
            msg = f"there is no {self.title}"
            raise io.UnsupportedOperation(msg)
        return self.stream.fileno()

    def write(self, text: str) -> int:
        """Write text."""
        with self._dropping_failures():
            if self.stream is not None:
                self.stream.write(encodable(text, self.encoding))
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        with self._dropping_failures():
            if self.stream is not None:
                self.stream.flush()

    @contextlib.contextmanager
    def _dropping_failures(self) -> Iterator[None]:
        """Context in which a failure of the stream drops all further output, and is raised where it matters."""
        try:
            yield
        except OSError as error:
            self._drop()
            if self.required and error.errno != errno.EPIPE:
                raise OutputError(str(error.strerror or error), where=self.title) from error

    def _drop(self) -> None:
        """Let the rest go nowhere, also the part that Python still holds and would write at its end."""
        stream, self.stream = self.stream, None
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if stream is not None:
                os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def encodable(text: str, encoding: str) -> str:
    r"""Return text that an encoding has: units and signs in ASCII, other characters that it lacks as escapes.

    Examples
    --------
    >>> encodable("reduced χ² of Bz in µT: 1 ± 0.5 [grün.txt]", "ascii")
    'reduced chi^2 of Bz in uT: 1 +- 0.5 [gr\\xfcn.txt]'
    >>> encodable("5 µm", "latin-1")
    '5 µm'
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
    return text


def screen() -> Console:
    """Return a console for standard output on which text is no markup."""
    return _console("stdout")


def error_screen() -> Console:
    """Return a console for standard error on which text is no markup."""
    return _console("stderr")


def _console(name: Literal["stdout", "stderr"]) -> Console:
    # Console annotates its file as `typing.IO`, which the classes of `io` are not for type checkers.
    return Console(file=cast(TextIO, OutputStream(name)), markup=False, emoji=False, highlight=False)


def say(message: str, *, kind: Literal["error", "warning"]) -> None:
    """Print an error or a warning to standard error, on one line that is not wrapped."""
    style = {"error": "bold red", "warning": "bold yellow"}[kind]
    error_screen().print(plain(f"{kind}:", style=style), plain(message), soft_wrap=True)


@contextlib.contextmanager
def after_results(results: str) -> Iterator[None]:
    """Context for what is printed when results are complete on disk: if it cannot be printed, that is a warning only.

    Parameters
    ----------
    results
        Where the results are.
    """
    try:
        yield
    except OSError as error:
        say(f"the results in {results} are complete, but not all about them could be printed: {error}", kind="warning")
