"""What a page shows: numbers of every grain, covariances, maps and shapes, gathered from a directory of results."""

import json
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError, located
from mmtjax.io.results import Results
from mmtjax.io.text import JsonValue
from mmtjax.lazy import pandas, xarray
from mmtjax.page.binary import BinaryPart
from mmtjax.page.map_arrays import add_maps
from mmtjax.page.shapes import GrainShapes, shapes_of_volumes, stored_shapes
from mmtjax.selection import LIMIT
from mmtjax.selection import widening as widening_of
from mmtjax.units import MAGNETITE_SATURATION

#: Columns of the table that a page needs, with their units; it works out the others from them.
_COLUMNS = {
    **dict.fromkeys(("x", "y", "z", "depth"), "µm"),
    "volume": "µm³",
    **dict.fromkeys(("mx", "my", "mz", "sd_mx", "sd_my", "sd_mz", "confidence_radius"), "A/m"),
    "uncertainty_ratio": "1",
    "signal_strength_ratio": "µm⁻¹",
}

#: Of these, the ones that the page gets with all digits, for thresholds and sums are computed from them.
_EXACT = ("x", "y", "volume", "mx", "my", "mz", "uncertainty_ratio", "signal_strength_ratio")

#: Of these, the ones that it only shows.
_SHOWN = ("z", "depth", "confidence_radius")

#: Factor by which ratios are widened from which on a page says so.
NOTABLE_WIDENING = 1.01

#: Steps between the ends of the frame in which places are stored.
_PLACES = 2**16 - 1


class PageContent(NamedTuple):
    """Content of a page.

    Attributes
    ----------
    grains
        Number of grains.
    widening
        Factor by which ratios are widened: √χ² where that exceeds one.
    facts
        What is not an array, of values that JSON can hold.
    arrays
        The arrays.
    """

    grains: int
    widening: float
    facts: dict[str, JsonValue]
    arrays: BinaryPart


def page_content(results: Results, grains: "xarray.Dataset | None", *, name: str) -> PageContent:
    """Return the content of the page of results.

    Parameters
    ----------
    results
        As `mmtjax.io.read_results` returns them.
    grains
        As `mmtjax.io.read_grain_dataset` returns it.
    name
        Name of the results, for headings and errors.

    Raises
    ------
    ValueError
        If the results are not those of an inversion for grains.
    """
    part = BinaryPart()
    numbers = _numbers(results.table, where=name)
    diagnosis = _diagnosis(grains, results.provenance)
    excess = diagnosis["reduced_chi_square"]
    widening = float(widening_of(excess)) if isinstance(excess, float) else 1.0
    for columns, kind in ((_EXACT, np.float64), (_SHOWN, np.float32)):
        for column in columns:
            part.add(column, numbers[column].astype(kind))
    covariances = _add_covariances(part, grains, numbers, where=f"{name}/grains.nc")
    shapes = _shapes(grains, numbers, where=f"{name}/grains.nc")
    frame = _add_shapes(part, shapes)
    maps = add_maps(part, results.maps, where=f"{name}/maps.nc")
    facts: dict[str, JsonValue] = {
        "name": name,
        "ids": [str(one) for one in results.table["id"]],
        "count": len(results.table),
        "trusted": len(_true_rows(results.table, "trusted")),
        "saturation": MAGNETITE_SATURATION,
        "widening": widening,
        "notable_widening": NOTABLE_WIDENING,
        "covariances": covariances,
        "frame": list(frame),
        "shapes_note": shapes.note,
        "maps": {key: list(value) if isinstance(value, tuple) else value for key, value in maps._asdict().items()},
        "summary": _summary(results.provenance),
        "made": _made(results.provenance),
        "selected": _true_rows(results.table, "selected") if "selected" in results.table.columns else None,
        **diagnosis,
    }
    return PageContent(len(results.table), widening, facts, part)


def _numbers(table: "pandas.DataFrame", *, where: str) -> dict[str, Float[np.ndarray, " grain"]]:
    """Return the columns of the table that a page needs."""
    missing = [column for column in ("id", *_COLUMNS, "trusted") if column not in table.columns]
    if missing or not len(table):
        what = f"there are no columns {', '.join(missing)}" if missing else "there are no grains"
        msg = f"{what} in its table; a page shows the results of an inversion for grains"
        raise InputError(msg, where=where)
    try:
        numbers = {column: np.asarray(table[column], np.float64) for column in _COLUMNS}
    except (ValueError, TypeError) as error:
        msg = f"a column of its table that must hold numbers does not ({error})"
        raise InputError(msg, where=where) from error
    units = table.attrs.get("units", {})
    for column, unit in _COLUMNS.items():
        if units.get(column, unit) != unit:
            msg = f"the column {column} of its table has the unit {units[column]!r}, not {unit}"
            raise InputError(msg, where=where)
    for column in ("x", "y", "z", "volume"):
        if not np.all(np.isfinite(numbers[column])) or (column == "volume" and np.any(numbers[column] <= 0)):
            msg = f"the column {column} of its table holds values that are no places or volumes of grains"
            raise InputError(msg, where=where)
    return numbers


def _true_rows(table: "pandas.DataFrame", column: str) -> list[JsonValue]:
    """Return the rows in which a column is true."""
    values = table[column].tolist()
    return [row for row, value in enumerate(values) if isinstance(value, (bool, int, float)) and value == 1]


def _diagnosis(grains: "xarray.Dataset | None", record: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return what the results say about the inversion; None for what they do not."""
    attributes = {} if grains is None else grains.attrs
    options = record.get("options")
    given = options.get("limit") if isinstance(options, dict) else None

    def number(key: str) -> float | None:
        value = attributes.get(key)
        return float(value) if isinstance(value, (int, float, np.number)) and np.isfinite(float(value)) else None

    explained = number("is_explained")
    return {
        "limit": number("limit") or (float(given) if isinstance(given, (int, float)) and given > 0 else LIMIT),
        "level": number("level") or 0.95,
        "reduced_chi_square": number("reduced_chi_square"),
        "is_explained": explained is None or explained != 0,
        "residual_share": number("residual_share"),
        "condition": number("condition"),
        "noise": number("noise_nT"),
        "warnings": _texts(attributes.get("warnings")),
    }


def _texts(value: JsonValue) -> JsonValue:
    """Return a list of texts from its JSON; none where it is damaged."""
    try:
        found = json.loads(value) if isinstance(value, str) else []
    except (ValueError, RecursionError):
        return []
    return [str(one) for one in found] if isinstance(found, list) else []


def _summary(record: Mapping[str, JsonValue]) -> JsonValue:
    """Return the summary that the command printed: names and texts, the verdict first; None if there is none."""
    summary = record.get("summary")
    if not isinstance(summary, dict) or "verdict" not in summary:
        return None
    return {str(name): str(text) for name, text in summary.items()}


def _made(record: Mapping[str, JsonValue]) -> JsonValue:
    """Return how the results were made, for the foot of the page: names and texts."""
    options, versions = record.get("options"), record.get("versions")
    lines: dict[str, JsonValue] = {}
    if "time" in record:
        lines["time"] = str(record["time"])
    if isinstance(versions, dict) and "mmtjax" in versions:
        lines["mmtjax"] = str(versions["mmtjax"])
    if isinstance(options, dict):
        lines |= {str(key): str(value) for key, value in options.items()}
    return lines


def _add_covariances(
    part: BinaryPart, grains: "xarray.Dataset | None", numbers: Mapping[str, np.ndarray], *, where: str
) -> JsonValue:
    """Add the covariances that the results hold, and return which they are."""
    count = len(numbers["x"])
    if grains is None:
        own = np.zeros((count, 3, 3))
        for axis, name in enumerate(("sd_mx", "sd_my", "sd_mz")):
            own[:, axis, axis] = numbers[name] ** 2
        part.add("covariance", _upper(own).astype(np.float32))
        return "deviations"
    own = _stored(grains, "covariance", (count, 3, 3), where=where)
    part.add("covariance", _upper(own).astype(np.float32))
    if "joint_covariance" in grains:
        joint = _stored(grains, "joint_covariance", (3 * count, 3 * count), where=where)
        part.add("joint_covariance", joint[np.triu_indices(3 * count)].astype(np.float32))
        return "joint"
    if "sum_covariance" not in grains:
        return "separate"
    nodes = {}
    for name in ("ssr_threshold", "ratio_threshold"):
        nodes[name] = _stored(grains, name, (-1,), where=where)
        part.add(name, nodes[name])
    shape = (2, len(nodes["ssr_threshold"]), len(nodes["ratio_threshold"]), 3, 3)
    part.add("sum_covariance", _upper(_stored(grains, "sum_covariance", shape, where=where)))
    return "thresholds"


def _stored(stored: "xarray.Dataset", name: str, shape: tuple[int, ...], *, where: str) -> np.ndarray:
    """Return an array of ``grains.nc``, of a given shape."""
    try:
        return np.asarray(stored[name], np.float64).reshape(shape)
    except (KeyError, ValueError, TypeError) as error:
        msg = f"its variable {name} is not of the shape {shape} ({error})"
        raise InputError(msg, where=where, remedy="invert again") from error


def _upper(matrices: Float[np.ndarray, "... 3 3"]) -> Float[np.ndarray, "..."]:
    """Return xx, xy, xz, yy, yz, zz of symmetric matrices."""
    rows, columns = np.triu_indices(3)
    return matrices[..., rows, columns].reshape(-1, 6)


def _shapes(grains: "xarray.Dataset | None", numbers: Mapping[str, np.ndarray], *, where: str) -> GrainShapes:
    """Return the shapes that results hold, or cubes."""
    with located(where):
        if grains is None:
            position = np.column_stack([numbers[axis] for axis in ("x", "y", "z")])
            return shapes_of_volumes(position, numbers["volume"])
        return stored_shapes(grains, count=len(numbers["x"]))


def _add_shapes(part: BinaryPart, shapes: GrainShapes) -> tuple[float, ...]:
    """Add the shapes as whole numbers of a frame, and return its corner x, y, z and its edge, µm."""
    low, high = (shapes.centre + sign * shapes.half_length for sign in (-1, 1))
    corner = low.min(axis=0)
    edge = float((high - corner).max())

    def whole(values: np.ndarray, start: np.ndarray) -> np.ndarray:
        return np.round((values - start) / edge * _PLACES).clip(0, _PLACES).astype(np.uint16)

    part.add("boxes", np.column_stack([whole(low, corner), whole(high, corner)]))
    part.add("box_owner", shapes.owner.astype(np.uint32))
    part.add("segments", whole(shapes.segments, corner[[0, 1, 0, 1]]))
    part.add("segment_owner", shapes.segment_owner.astype(np.uint32))
    return *corner.tolist(), edge
