"""Describe a file: its kind, size, units and ranges, common mistakes, and the options that are needed to read it."""

from collections.abc import Callable, Hashable

import numpy as np
from jaxtyping import Float, Num

from mmtjax.errors import InputError
from mmtjax.io.domainbounds import read_domainbounds
from mmtjax.io.dragonfly import read_dragonfly_table
from mmtjax.io.labels import checked_labels, load_labels, voxel_text
from mmtjax.io.mask import meaning_of_true
from mmtjax.io.matrix import load_matrix, unit_in_name
from mmtjax.io.multipole_moments import read_moments
from mmtjax.io.netcdf_file import load_dataset
from mmtjax.io.npy import load_npy
from mmtjax.io.parameters import sensor_grid_from_json
from mmtjax.io.qdm import load_qdm
from mmtjax.io.qdmlab import continuation_in_name, load_mat, one_number
from mmtjax.io.recognize import recognize
from mmtjax.io.results import read_results
from mmtjax.io.text import AnyPath, read_json, read_numbers
from mmtjax.lazy import xarray
from mmtjax.scan.grid import SensorGrid


def describe(path: AnyPath) -> dict[str, str]:
    """Describe a file for a reader who does not know its format.

    Returns
    -------
    dict
        ``file``, ``kind``, ``contents`` (numbers of grains or pixels, and ranges with units), ``notes`` (common
        mistakes) and ``reading`` (the function and the options that it needs); ``also`` names other kinds that the file
        may be.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is of no known kind, empty or cut short.
    """
    kinds = recognize(path)
    if not kinds:
        msg = (
            f"{path} is of no known kind; known are grains ({', '.join(_GRAINS)}), maps ({', '.join(_MAPS)}) and "
            f"{', '.join(kind for kind in _DESCRIBERS if kind not in _GRAINS and kind not in _MAPS)}"
        )
        raise InputError(msg)
    described = {"file": str(path)} | _DESCRIBERS[kinds[0]](path)
    return described | ({"also": " or ".join(kinds[1:])} if len(kinds) > 1 else {})


def _cuboids(path: AnyPath) -> dict[str, str]:
    values = read_numbers(path, columns=7, names="x y z dx dy dz id").values
    return {
        "kind": "grains as cuboids",
        "contents": f"{len(np.unique(values[:, 6]))} grains of {len(values)} cuboids, {_box(values[:, :3], 'µm')}; "
        f"lengths {_range(values[:, 3:6], 'µm')}",
        "notes": "the file does not say whether z is a height or a depth, or whether lengths are half or whole edges",
        "reading": "read_grains(path, z='up'|'down', lengths='half'|'full', unit='um')",
    }


def _voxels(path: AnyPath) -> dict[str, str]:
    values = read_numbers(path, columns=4, names="index x y z").values
    return {
        "kind": "grains as voxels",
        "contents": f"{len(np.unique(values[:, 0]))} grains of {len(values)} voxels, {_box(values[:, 1:], 'voxels')}",
        "notes": "the file does not hold the scale, the origin, or the direction of z",
        "reading": "read_grains(path, spacing=µm, origin=(x, y, z) µm, z='up'|'down')",
    }


def _stack(path: AnyPath) -> dict[str, str]:
    stack = load_labels(path)
    labels = stack.values
    scale = (
        "the file does not hold the scale,"
        if stack.scale is None
        else f"a voxel is {voxel_text(stack.scale)}, says the file; it does not hold"
    )
    try:
        problem, count = "", len(np.setdiff1d(checked_labels(stack, None, path=path), 0))
    except InputError as error:
        problem, count = f"; {str(error).removeprefix(f'{path}: ')}", len(np.setdiff1d(labels, 0))
    return {
        "kind": "grains as a labelled stack",
        "contents": f"[z, y, x] = {labels.shape}, {labels.dtype}, {count} {'labels' if problem else 'grains'}",
        "notes": f"{scale} the origin, or the order of the slices{problem}",
        "reading": "read_grains(path, spacing=µm, origin=(x, y, z) µm, z='up'|'down')",
    }


def _dragonfly(path: AnyPath) -> dict[str, str]:
    table = read_dragonfly_table(path)
    small = int(np.sum(table.voxels < 10))
    return {
        "kind": "grains, Dragonfly export",
        "contents": f"{len(table.ids)} grains, {small} of fewer than 10 voxels, {_box(table.position, 'µm')}; volumes "
        f"{_range(table.volume, 'µm³')}",
        "notes": "in mm, with a byte-order mark; the file holds neither the direction of z nor the surface; the boxes "
        "Min/Max Location are twice too large",
        "reading": "read_grains(path, surface='zmax'|'zmin'|z in µm, min_voxels=10, x=(low, high), y=(low, high), "
        "origin=(x, y))",
    }


def _positions(path: AnyPath) -> dict[str, str]:
    values = read_numbers(path, columns=5, names="x y z volume id").values
    return {
        "kind": "grains as positions and volumes",
        "contents": f"{len(values)} grains, {_box(values[:, :3], 'm')}; volumes {_range(values[:, 3], 'm³')}",
        "notes": "in m and m³; positions are relative to the corner of a crop, not to that of the map",
        "reading": "read_grains(path)",
    }


def _moments(path: AnyPath) -> dict[str, str]:
    table = read_moments(path)
    size = np.linalg.norm(table[["mx", "my", "mz"]].to_numpy(), axis=1)
    return {
        "kind": "moments of grains",
        "contents": f"{len(table)} grains, columns {', '.join(table.columns)}; dipole moments {_range(size, 'A m²')}",
        "notes": "z is up; the rows are a selection of the grains, join them by id",
        "reading": "read_moments(path, grains=)",
    }


def _matrix(path: AnyPath) -> dict[str, str]:
    field, unit = load_matrix(path), unit_in_name(path)
    return {
        "kind": "map, a bare matrix",
        "contents": f"[y, x] = {field.shape}, {int(np.isnan(field).sum())} pixels NaN; values "
        f"{_range(field, unit or 'of unknown unit')}",
        "notes": "the file does not hold unit, spacing or height; row 0 is taken to be the lowest y",
        "reading": "read_scan(path, parameters=JSON file) or read_scan(path, "
        f"{'' if unit else 'unit=, '}spacing=µm, height=µm)",
    }


def _qdmlab(path: AnyPath) -> dict[str, str]:
    content, continuation = load_mat(path), continuation_in_name(path)
    from_name = "no upward continuation in the name" if continuation is None else f"continued by {continuation:g} µm"
    bz, lengths = content.variables["Bz"], {name: one_number(content, name) for name in ("step", "h")}
    numbers = _range(bz, "if in T, as QDMlab writes it") if bz.dtype.kind in "fiu" else f"of {bz.dtype}, not numbers"
    described = [
        f"{name} {'is not one number' if length is None else _length_from_metres(length)}"
        for name, length in lengths.items()
        if name in content.variables
    ]
    return {
        "kind": "map of QDMlab",
        "contents": f"Bz [y, x] = {bz.shape}, {numbers}; " + ", ".join([from_name, *described]),
        "notes": "h grows with every upward continuation of a list and is not used",
        "reading": f"read_scan(path, height=µm{'' if continuation is not None else ', upward_continuation=µm'})",
    }


def _qdm(path: AnyPath) -> dict[str, str]:
    content = load_qdm(path)
    spacing = "missing" if content.spacing is None else f"{content.spacing:g} µm"
    missing = ["height=µm", *(["spacing=µm"] if content.spacing is None else [])]
    return {
        "kind": "map of qdmpy-core",
        "contents": f"Bz [y, x] = {content.bz.shape}, {_range(content.bz, content.unit or 'of unknown unit')}; spacing "
        f"{spacing}",
        "notes": "the file does not hold the height; row 0 is taken to be the lowest y",
        "reading": f"read_scan(path, {', '.join([*missing, *(['unit='] if content.unit is None else [])])})",
    }


def _netcdf(path: AnyPath) -> dict[str, str]:
    dataset = load_dataset(path)
    height = dataset.attrs.get("sensor_height")
    height_text = "missing" if height is None else f"{height} {dataset.attrs.get('sensor_units', 'µm')}"
    variables = [f"{name} {tuple(dataset[name].shape)}, {_units(dataset, name)}" for name in dataset.data_vars]
    return {
        "kind": "maps in NetCDF",
        "contents": f"{'; '.join(variables) or 'no variables'}; height {height_text}",
        "notes": "units are taken from the attributes 'units'",
        "reading": f"read_scan(path{', height=µm' if height is None else ''})",
    }


def _b111(path: AnyPath) -> dict[str, str]:
    return {
        "kind": "maps of B111, QDMlab",
        "contents": ", ".join(f"{name} {value.shape}" for name, value in load_mat(path).variables.items()),
        "notes": "the field along one axis of the diamond, in gauss, not Bz",
        "reading": "make Bz from it in QDMlab (QDMdataprocessing) and read the Bz_uc*.mat",
    }


def _mask(path: AnyPath) -> dict[str, str]:
    array = load_npy(path)
    try:
        meaning = f"the name says that True is {meaning_of_true(path, None)}"
    except ValueError:
        meaning = "the name does not say what True means"
    return {
        "kind": "mask",
        "contents": f"[y, x] = {array.shape}, True in {array.sum() / max(array.size, 1):.2%}",
        "notes": f"programs differ in the meaning of True; {meaning}",
        "reading": "read_scan(map, mask=path, mask_true_is='bad'|'good')",
    }


def _domainbounds(path: AnyPath) -> dict[str, str]:
    bounds = read_domainbounds(path)
    return {
        "kind": "window of a map",
        "contents": f"from y = {bounds.y_start:g} µm, x = {bounds.x_start:g} µm over {bounds.y_pixels} and "
        f"{bounds.x_pixels} pixels",
        "notes": "y comes first; starts in µm, sizes in pixels, the last pixel included",
        "reading": "read_scan(map, bounds=path, frame='map'|'crop')",
    }


def _parameters(path: AnyPath) -> dict[str, str]:
    grid = sensor_grid_from_json(path)
    particles = read_json(path).get("Number of particles")
    return {
        "kind": "sensors of a map, JSON",
        "contents": _grid(grid) + ("" if particles is None else f"; made with {particles} grains"),
        "notes": "in m; delta and 'Sensor dimensions' are half-lengths; a negative height means that z points down",
        "reading": "read_scan(map, parameters=path), sensor_grid_from_json(path)",
    }


def _results(path: AnyPath) -> dict[str, str]:
    table, maps, record = read_results(path)
    versions = record.get("versions")
    version = versions.get("mmtjax") if isinstance(versions, dict) else None
    units = table.attrs["units"]
    columns = [f"{name} ({units[name]})" if name in units else str(name) for name in table.columns]
    return {
        "kind": "results of mmtjax",
        "contents": f"{len(table)} grains: {', '.join(columns)}; maps {', '.join(map(str, maps.data_vars))}",
        "notes": f"made {record.get('time')} by version {version}",
        "reading": "read_results(path)",
    }


#: A spacing or height of this size, m, is in another unit.
_LONGEST_IN_METRES = 1e-3

_Describer = Callable[[AnyPath], dict[str, str]]

_GRAINS: dict[str, _Describer] = {
    "cuboids": _cuboids,
    "voxels": _voxels,
    "stack": _stack,
    "dragonfly": _dragonfly,
    "positions": _positions,
}
_MAPS: dict[str, _Describer] = {"text": _matrix, "npy": _matrix, "qdmlab": _qdmlab, "qdm": _qdm, "netcdf": _netcdf}
_DESCRIBERS: dict[str, _Describer] = {
    **_GRAINS,
    **_MAPS,
    "moments": _moments,
    "multipoles": _moments,
    "b111": _b111,
    "mask": _mask,
    "domainbounds": _domainbounds,
    "dci-parameters": _parameters,
    "metadict": _parameters,
    "results": _results,
}


def _range(values: Num[np.ndarray, "..."], unit: str) -> str:
    """Return the range of the finite values as text."""
    finite = np.asarray(values)[np.isfinite(values)]
    return f"{finite.min():.4g} to {finite.max():.4g} {unit}" if finite.size else f"none finite, {unit}"


def _length_from_metres(length: float) -> str:
    """Return a length in m as text in µm, or the number alone where it cannot be in m."""
    return f"{length * 1e6:g} µm" if abs(length) < _LONGEST_IN_METRES else f"= {length:g}, not in m"


def _box(positions: Float[np.ndarray, "position 3"], unit: str) -> str:
    """Return the ranges of x, y and z as text."""
    return ", ".join(f"{axis} {_range(positions[:, column], unit)}" for column, axis in enumerate("xyz"))


def _units(dataset: "xarray.Dataset", name: Hashable) -> str:
    """Return the unit of a variable, from its attributes or those of the file."""
    return str(dataset[name].attrs.get("units") or dataset.attrs.get("units") or "unit missing")


def _grid(grid: SensorGrid) -> str:
    """Return shape, ranges, side and height of a grid as text."""
    x, y, side = np.asarray(grid.x), np.asarray(grid.y), np.asarray(grid.side)
    return (
        f"[y, x] = {grid.shape}, x {x[0]:g} to {x[-1]:g} µm, y {y[0]:g} to {y[-1]:g} µm, "
        f"side {side[0]:g} × {side[1]:g} µm, height {float(grid.height):g} µm"
    )
