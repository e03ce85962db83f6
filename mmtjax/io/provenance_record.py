"""Where a result comes from: versions, options, and the fingerprints of the input files."""

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePath

import jax
import numpy as np

from mmtjax.io.text import AnyPath, require_file

_PACKAGES = ("mmtjax", "jax", "jaxlib", "numpy", "scipy")


def provenance(inputs: Iterable[AnyPath] = (), options: Mapping[str, object] | None = None) -> dict[str, object]:
    """Record of how a result is made, of plain values that JSON can hold.

    Parameters
    ----------
    inputs
        The files that the result is made of.
    options
        What the user asked for; paths and arrays become text and lists.

    Returns
    -------
    dict
        ``versions`` of the packages, ``python``, ``platform``, ``backend`` (``cpu``, ``gpu`` or ``tpu``) and
        ``precision`` in which JAX computes, ``time`` (UTC, ISO 8601), ``options``, and ``inputs``: for each file its
        ``path`` as given, ``bytes`` and ``sha256``.

    Raises
    ------
    FileNotFoundError
        If an input is not there.

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
        "inputs": [_fingerprint(path) for path in inputs],
    }


def write_provenance(directory: AnyPath, record: Mapping[str, object]) -> None:
    """Write a record as ``provenance.json`` into a directory that is there."""
    text = json.dumps(dict(record), indent=1, ensure_ascii=False)
    (Path(directory) / "provenance.json").write_text(text + "\n", encoding="utf-8")


def _plain(value: object) -> object:
    if isinstance(value, PurePath):
        return str(value)
    return np.asarray(value).tolist() if hasattr(value, "__array__") else repr(value)


def _fingerprint(path: AnyPath) -> dict[str, object]:
    place = require_file(path)
    with place.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"path": str(path), "bytes": place.stat().st_size, "sha256": digest}
