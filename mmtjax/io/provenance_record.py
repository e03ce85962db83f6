"""Record how a result was made: versions, options, and checksums of the input files."""

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePath

import jax
import numpy as np

from mmtjax.io.text import AnyPath, JsonValue, require_file

_PACKAGES = ("mmtjax", "jax", "jaxlib", "numpy", "scipy")


def provenance(inputs: Iterable[AnyPath] = (), options: Mapping[str, object] | None = None) -> dict[str, JsonValue]:
    """Return a record of how a result is made, of values that JSON can hold.

    Parameters
    ----------
    inputs
        The files that the result is computed from.
    options
        The options of the user, of any type; paths become text and arrays become lists.

    Returns
    -------
    dict
        ``versions`` of the packages, ``python``, ``platform``, ``backend`` (``cpu``, ``gpu`` or ``tpu``) and
        ``precision`` in which JAX computes, ``time`` (UTC, ISO 8601), ``options``, and ``inputs``: for each file its
        ``path`` as given, ``bytes`` and ``sha256``.

    Raises
    ------
    FileNotFoundError
        If an input does not exist.

    Examples
    --------
    >>> record = provenance(options={"noise": 20.0})
    >>> record["options"], sorted(record)
    ({'noise': 20.0}, ['backend', 'inputs', 'options', 'platform', 'precision', 'python', 'time', 'versions'])
    """
    return {
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "backend": jax.default_backend(),
        "precision": jax.dtypes.canonicalize_dtype(np.float64).name,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": json.loads(json.dumps(dict(options or {}), default=_plain)),
        "inputs": [_input_record(path) for path in inputs],
    }


def recorded_inputs(record: Mapping[str, JsonValue]) -> list[str]:
    """Return the paths of the input files in a record of `provenance`."""
    inputs = record.get("inputs")
    return [str(entry["path"]) for entry in inputs] if isinstance(inputs, list) else []


def write_provenance(directory: AnyPath, record: Mapping[str, JsonValue]) -> None:
    """Write a record as ``provenance.json`` into an existing directory."""
    text = json.dumps(dict(record), indent=1, ensure_ascii=False)
    (Path(directory) / "provenance.json").write_text(text + "\n", encoding="utf-8")


def _plain(value: object) -> JsonValue:
    """Return a value that JSON can hold for one that it cannot."""
    if isinstance(value, PurePath):
        return str(value)
    return np.asarray(value).tolist() if hasattr(value, "__array__") else repr(value)


def _input_record(path: AnyPath) -> dict[str, JsonValue]:
    """Return the path, size and checksum of a file."""
    file = require_file(path)
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"path": str(path), "bytes": file.stat().st_size, "sha256": digest}
