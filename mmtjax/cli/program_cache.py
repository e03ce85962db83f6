"""Keep compiled programs on disk, so that the next run of a command need not compile them again."""

import contextlib
import errno
import hashlib
import os
import platform
from pathlib import Path

import platformdirs

from mmtjax.errors import InputError
from mmtjax.lazy import jax

#: Environment variable with another place for the programs, or one of the words below.
VARIABLE = "MMTJAX_CACHE"

_OFF = ("off", "0", "no", "false")

#: Bytes that all programs may take; those that were not used for longest are removed first.
_MOST_BYTES = 2**30


def keep_compiled_programs() -> None:
    """Let JAX store what it compiles in the cache directory of the user, and read it from there.

    Does nothing if JAX has been told a directory already, or if no directory can be written.

    Raises
    ------
    ValueError
        If the environment variable ``MMTJAX_CACHE`` names a place that is not a directory that can be written.
    """
    # JAX adds its options to `jax.config` at run time.
    if jax.config.jax_compilation_cache_dir is not None:  # pyright: ignore[reportAttributeAccessIssue]
        return
    named = os.environ.get(VARIABLE, "").strip()
    if named.lower() in _OFF:
        return
    place = (Path(named) if named else platformdirs.user_cache_path("mmtjax")) / _version()
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
    except OSError as error:
        if named:
            msg = f"{VARIABLE}={named}: compiled programs cannot be kept there ({error.strerror or error})"
            raise InputError(msg, remedy=f"name a directory that you may write to, or type {VARIABLE}=off") from error
        return
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_compilation_cache_max_size", _MOST_BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _version() -> str:
    """Return a name for what compiled programs depend on: the version of JAX and the instructions of the processor.

    Computers of a cluster share the home directory, and those with an older processor cannot run all programs.
    """
    processor = f"{platform.machine()} {platform.processor()}"
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        processor += "".join(sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))}))
    return f"jax-{jax.__version__}-{hashlib.sha256(processor.encode()).hexdigest()[:12]}"
