"""End a command by SIGTERM or SIGHUP as by Ctrl-C, so that nothing incomplete is left."""

import contextlib
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

#: Batch systems end jobs by SIGTERM; closed terminals and connections by SIGHUP.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))

#: What shells add to the number of a signal in the exit status of a process that it has ended.
_BY_SIGNAL = 128

#: What is printed when a command is interrupted.
INTERRUPTED = "interrupted; incomplete results are not written"


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Context in which signals end the process at once, with their usual exit status, for the time of imports.

    Nothing has to be cleaned up then, and a `KeyboardInterrupt` may be lost in a library that catches everything.
    """

    def end(number: int, _: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            os.write(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2, f"{INTERRUPTED}\n".encode())
        os._exit(_BY_SIGNAL + number)

    with _handled((signal.SIGINT, *_SIGNALS), end):
        yield


@contextlib.contextmanager
def _handled(numbers: Sequence[int], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Context in which signals call a handler, but for those that are ignored; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        # Python delivers signals to the main thread only.
        yield
        return
    before = {one: signal.getsignal(one) for one in numbers}
    try:
        for one, usual in before.items():
            if usual is not signal.SIG_IGN:
                signal.signal(one, handler)
        yield
    finally:
        for one, usual in before.items():
            signal.signal(one, usual)


def interrupted_by_signals(command: Callable[[Sequence[str] | None], int]) -> Callable[..., int]:
    """Return a command that SIGTERM and SIGHUP interrupt by a `KeyboardInterrupt`, as SIGINT does.

    Its exit status is then 128 and the number of the signal. Further ones are ignored while the command cleans up.
    Signals that the caller ignores, as ``nohup`` does with SIGHUP, stay ignored.

    Parameters
    ----------
    command
        Function of arguments that returns an exit status.
    """

    @functools.wraps(command)
    def interruptible(arguments: Sequence[str] | None = None) -> int:
        received: list[int] = []

        def interrupt(number: int, _: FrameType | None) -> None:
            if not received:
                received.append(number)
                raise KeyboardInterrupt

        try:
            with _handled(_SIGNALS, interrupt):
                status = command(arguments)
        except KeyboardInterrupt:
            status = _BY_SIGNAL + signal.SIGINT
        return _BY_SIGNAL + received[0] if received and status else status

    return interruptible
