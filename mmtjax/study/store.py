"""The store of a study on disk: its layout, who may write to it, and cells that are complete or absent."""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import xarray

from mmtjax.errors import ExistingFileError, InputError, MissingFileError, located
from mmtjax.files import LOCK, lock_directory, read_json, real_path
from mmtjax.lazy import zarr
from mmtjax.sources.shape_library import ShapeLibrary
from mmtjax.study.cell import Cell, cell_of_path
from mmtjax.study.config import FREE, SYNTHETIC, StudyConfig
from mmtjax.study.stored_shapes import SHAPES, shapes_fingerprint, write_shapes
from mmtjax.study.zarr_groups import remove_partial_groups, write_group

#: What the attributes of a store say that it is.
_KIND = "mmtjax study"

_LOG, _ROOT = "log.jsonl", "zarr.json"

#: Attributes of the root with their types.
_ATTRIBUTES: Mapping[str, type] = {
    "version": str, "fingerprint": str, "config": dict, "shapes": str, "code": list, "provenance": dict
}  # fmt: skip

#: What to do with a store whose files are damaged.
_REMEDY = "restore the store from a copy, or give another name"

#: Parts of mmtjax on which no number of a study depends.
_UNUSED = ("cli", "design", "io", "page", "plot", "registration", "report", "subdomains")

#: Names of the groups from the root down.
_LEVELS = ("side", "thickness", "density", "repeat", "interval")


@contextlib.contextmanager
def writing(
    store: str | Path,
    config: StudyConfig,
    *,
    library: ShapeLibrary | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Iterator[Path]:
    """Context in which this process, and no other, may add cells to a store; the store is made if it does not exist.

    Unfinished parts of killed runs are removed. The configuration may differ from that of the store in its name, in the
    number of repeats, and in the place of the file of shapes.

    Parameters
    ----------
    store
        Directory of the store.
    config
        The study to be computed.
    library
        Shapes of the grains, which a new store keeps; None for the synthetic ones.
    provenance
        Record of this run, of values that JSON has; it goes to the attributes of a new store and to the log.

    Yields
    ------
    pathlib.Path
        The directory.

    Raises
    ------
    ValueError
        If the store belongs to another configuration, other shapes or another version of mmtjax.
    FileExistsError
        If something else has that name.
    BlockingIOError
        If another process writes to the store.
    OSError
        If the root or the log cannot be written, as on a full disk.
    """
    place, shapes = real_path(store), shapes_fingerprint(library)
    if place.exists() and not (place / _ROOT).exists() and not _is_fresh(place):
        msg = f"{store} exists and is no store of a study; give another name"
        raise ExistingFileError(msg)
    if (place / _ROOT).exists():
        _check_same(config, attributes_of(place), shapes=shapes, store=store)
    place.mkdir(parents=True, exist_ok=True)
    with lock_directory(place):
        _remove_leftovers(place)
        _write_root(place, config, shapes=shapes, provenance=dict(provenance or {}))
        with _naming_part("the shapes of the grains", place):
            write_shapes(place, library)
        add_to_log(place, {"event": "start", "time": _now(), "provenance": dict(provenance or {})})
        yield place


def record_code(store: Path) -> None:
    """Record that the code of this process adds cells to a store, and warn if other code of the same version did."""
    attributes, here = attributes_of(store), code_fingerprint()
    states = [*attributes["code"], here]
    if here in attributes["code"]:
        return
    _write_attributes(store, attributes | {"code": states})
    if len(states) > 1:
        add_to_log(store, {"event": "code", "time": _now(), "code": here, "states": len(states)})
        warnings.warn(
            f"the source of mmtjax has changed since cells of {store} were computed: it will hold cells of "
            f"{len(states)} states of the code, which may differ beyond the last digits; for a study of one state give "
            "another name",
            stacklevel=2,
        )


@cache
def code_fingerprint() -> str:
    """Return a hash of the source on which the numbers of a study depend."""
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        name = file.relative_to(package)
        if name.parts[0] not in _UNUSED:
            digest.update(name.as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def write_cell(store: Path, cell: Cell, dataset: xarray.Dataset) -> None:
    """Add a cell, which gets its name once all of it is on the disk.

    Raises
    ------
    OSError
        If it cannot be written, as on a full disk; nothing of it remains then.
    """
    with _naming_part(f"{cell.description},", store):
        for parent in reversed(PurePosixPath(str(cell)).parents[:-1]):
            if not (store / parent / _ROOT).exists():
                zarr.create_group(store / parent, zarr_format=3, overwrite=False)
        write_group(store / str(cell), dataset)


def complete_cells(store: str | Path) -> list[Cell]:
    """Return the cells in a store, in ascending order of their values."""
    place = Path(store)
    pattern = "/".join(f"{name}=*" for name in _LEVELS)
    with located(str(place), remedy=_REMEDY):
        return sorted(cell_of_path(PurePosixPath(found.relative_to(place))) for found in place.glob(pattern))


def attributes_of(store: str | Path) -> dict[str, Any]:
    """Return the attributes of the root of a store.

    Raises
    ------
    FileNotFoundError
        If there is no store.
    ValueError
        If it is not a store of a study.
    """
    root = Path(store) / _ROOT
    if not root.is_file():
        msg = f"{store} holds no study; `mmtjax study run CONFIG --out {store}` makes one"
        raise MissingFileError(msg)
    attributes = read_json(root, remedy=_REMEDY).get("attributes", {})
    if not isinstance(attributes, dict) or attributes.get("kind") != _KIND:
        msg = f"{store} is a Zarr store, but not one of a study; give another name"
        raise InputError(msg)
    # Stores made before the state of the code was recorded have cells of an unknown state, and no provenance.
    attributes = {"code": ["unknown"], "shapes": SYNTHETIC, "provenance": {}} | attributes
    for name, kind in _ATTRIBUTES.items():
        if not isinstance(attributes.get(name), kind):
            found = f"it is {str(attributes[name])[:80]!r}" if name in attributes else "it is missing"
            msg = f"the description of the study has no valid {name!r}: {found}"
            raise InputError(msg, where=str(root), remedy=_REMEDY)
    return attributes


def stored_config(store: str | Path) -> StudyConfig:
    """Return the configuration of a store.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no store, or it is not a store of a study.
    """
    return _config_of(attributes_of(store), store)


def _config_of(attributes: Mapping[str, Any], store: str | Path) -> StudyConfig:
    """Return the configuration in the attributes of a store."""
    try:
        return StudyConfig.from_dict(attributes["config"])
    except InputError as error:
        msg = f"config: {error}"
        raise InputError(msg, where=str(Path(store) / _ROOT), remedy=_REMEDY) from error


def add_to_log(store: Path, entry: Mapping[str, Any]) -> None:
    """Append one line to the log of a store.

    Raises
    ------
    OSError
        If it cannot be written, as on a full disk.
    """
    line = json.dumps(entry) + "\n"
    with _naming_part("a line of the log", store), (store / _LOG).open("ab+") as log:
        # A run that was killed may have left half a line.
        if log.tell() and _last_byte(log) != b"\n":
            line = "\n" + line
        log.write(line.encode())


def log_of(store: str | Path) -> list[dict[str, Any]]:
    """Return the entries of the log of a store: the start of every run, and the seconds that every cell took."""
    log = Path(store) / _LOG
    entries = []
    for line in log.read_bytes().splitlines() if log.exists() else ():
        # A killed run leaves half a line; no number of the study depends on the log.
        with contextlib.suppress(ValueError, RecursionError):
            if isinstance(entry := json.loads(line), dict):
                entries.append(entry)
    return entries


@contextlib.contextmanager
def _naming_part(part: str, store: Path) -> Iterator[None]:
    """Context in which errors of the system say which part of a store could not be written."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno, f"{error.strerror or error}; {part} could not be written to {store}; make room and start again"
        ) from error


def _last_byte(log: BinaryIO) -> bytes:
    log.seek(-1, os.SEEK_END)
    return log.read(1)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _is_fresh(place: Path) -> bool:
    """Return whether a directory is empty, or holds only what a run leaves that is killed at its very start."""
    return place.is_dir() and all(
        entry.name in (LOCK, _LOG) or entry.match("zarr.*.partial") for entry in place.iterdir()
    )


def _check_same(config: StudyConfig, attributes: Mapping[str, Any], *, shapes: str, store: str | Path) -> None:
    """Raise a ValueError unless a store is of this version, configuration and shapes."""
    version = importlib.metadata.version("mmtjax")
    if attributes["version"] != version:
        msg = (
            f"{store} was computed by mmtjax {attributes['version']}, this is {version}: cells of two versions may not "
            "be mixed; give another name, or use that version"
        )
        raise InputError(msg)
    stored, given = _config_of(attributes, store).to_dict(), config.to_dict()
    if attributes["fingerprint"] != config.fingerprint:
        for name in given:
            if name not in FREE and stored.get(name) != given[name]:
                msg = (
                    f"{store} holds a study with {name} = {stored.get(name)}, this one has {given[name]}; give another "
                    "name, or the configuration of the store"
                )
                raise InputError(msg)
    if attributes.get("shapes", SYNTHETIC) != shapes:
        msg = (
            f"{store} holds samples of other grains than this study: their library is {stored['library']!r}, this one "
            f"is {config.library!r} (the name may differ; the shapes and their order may not); give another name, or "
            "the shapes of the store"
        )
        raise InputError(msg)


def _write_root(place: Path, config: StudyConfig, *, shapes: str, provenance: dict[str, Any]) -> None:
    """Write the attributes of a store, which keeps the larger number of repeats and its own provenance."""
    attributes = {
        "kind": _KIND,
        "version": importlib.metadata.version("mmtjax"),
        "fingerprint": config.fingerprint,
        "config": config.to_dict(),
        "shapes": shapes,
        "code": [],
        "provenance": provenance,
    }
    if (place / _ROOT).exists():
        stored = attributes_of(place)
        repeats = max(_config_of(stored, place).repeats, config.repeats)
        attributes["config"] = dataclasses.replace(config, repeats=repeats).to_dict()
        attributes |= {name: stored[name] for name in ("code", "provenance")}
        if attributes == stored:
            return
    _write_attributes(place, attributes)


def _write_attributes(place: Path, attributes: Mapping[str, Any]) -> None:
    text = json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}, indent=2)
    partial = place / f"zarr.{os.getpid()}.partial"
    with _naming_part("its description", place):
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(place / _ROOT)
        finally:
            partial.unlink(missing_ok=True)


def _remove_leftovers(place: Path) -> None:
    """Remove the unfinished parts of killed runs."""
    for depth in range(len(_LEVELS)):
        groups = "/".join([*(f"{name}=*" for name in _LEVELS[:depth]), ""])
        for leftover in place.glob(f"{groups}zarr.*.partial"):
            leftover.unlink(missing_ok=True)
    for pattern in ("/".join(f"{name}=*" for name in _LEVELS), SHAPES):
        remove_partial_groups(place, pattern)
