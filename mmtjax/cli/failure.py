"""What the command says about an error that ends it: our own, one of the system, one of memory, or a bug."""

import errno
import os
import tempfile
import traceback

from mmtjax.cli.terminal import with_option_names
from mmtjax.errors import MmtjaxError, SetupError
from mmtjax.platform import require_device

#: What to do about errors of the system, by their numbers.
_REMEDIES = {
    errno.EACCES: "you may not read or write there; check its permissions",
    errno.EDQUOT: "make room, or give another place",
    errno.EFBIG: "make room, or give another place",
    errno.EISDIR: "it is a directory; give the name of a file",
    errno.ELOOP: "it is a link that leads to itself; give the file that is meant",
    errno.EMFILE: "close other files, or raise the limit by `ulimit -n`",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOSPC: "make room, or give another place",
    errno.ENOTDIR: "a part of this path is a file, not a directory",
    errno.EPERM: "the system does not allow it; check its permissions",
    errno.EROFS: "the place cannot be written to; give another one",
}

#: How errors of compiled libraries begin that say that memory ran out.
_OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"


def describe_failure(error: Exception) -> str:
    """Return what is printed about an error: what is wrong, where, and what to do.

    Parameters
    ----------
    error
        What ended the command. If it is none that is raised on purpose, the traceback is written to a file.

    Examples
    --------
    >>> describe_failure(OSError(errno.ENOSPC, "No space left on device", "results"))
    'results: No space left on device; make room, or give another place'
    >>> describe_failure(MemoryError("Unable to allocate 75 GiB"))
    'memory ran out (Unable to allocate 75 GiB); compute less at once, or use a computer with more memory'
    """
    if isinstance(error, MmtjaxError):
        return with_option_names(str(error))
    if isinstance(error, OSError):
        return _of_system(error)
    try:
        # Errors of JAX about a platform that is not there are of many kinds, and come from wherever it is used first.
        require_device()
    except SetupError as cause:
        return str(cause)
    if isinstance(error, MemoryError) or str(error).startswith(_OUT_OF_MEMORY):
        cause = f" ({str(error).splitlines()[0]})" if str(error) else ""
        return f"memory ran out{cause}; compute less at once, or use a computer with more memory"
    return _of_bug(error)


def _of_system(error: OSError) -> str:
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    where = " and ".join(names)
    what = error.strerror or str(error) or type(error).__name__
    return str(MmtjaxError(what, where=where or None, remedy=_REMEDIES.get(error.errno or 0)))


def _of_bug(error: Exception) -> str:
    """Return a message about an error that should not occur, with the file that has its traceback."""
    text = "".join(traceback.format_exception(error))
    kind = traceback.format_exception_only(error)[-1].strip()
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="mmtjax-bug-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(text)
    except OSError:
        return f"this is a bug in mmtjax; please report it with these lines:\n{text}"
    return f"this is a bug in mmtjax: {kind}; please report it with the file {file.name}, which has the traceback"
