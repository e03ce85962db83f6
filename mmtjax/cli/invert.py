"""The command ``mmtjax invert``."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from cyclopts import Group, Parameter
from rich.console import Console

from mmtjax.cli.memory import bytes_of
from mmtjax.cli.registration import chosen_fit, fitted_geometry
from mmtjax.cli.subdomains import chosen_division, solved_by_windows
from mmtjax.cli.terminal import GRAIN_OPTIONS, OPTIONS, Stages, collect_warnings, translate_errors, with_option_names
from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.inversion.invert import invert as invert_scan
from mmtjax.inversion.solution import Solution
from mmtjax.io.grains import read_grains
from mmtjax.io.output import output_directory
from mmtjax.io.provenance_record import provenance
from mmtjax.io.results import fill_results
from mmtjax.io.scans import read_scan
from mmtjax.plot.save import save_figures
from mmtjax.report.summary import listing, summary_table
from mmtjax.scan.scan import Scan
from mmtjax.sources.grains import Grains

_MAP = Group("The map", sort_key=1)
_GRAINS = Group("The grains", sort_key=2)
_SOLVE = Group("The inversion", sort_key=3)
_LARGE = Group("Very large samples", sort_key=4)
_RESULTS = Group("The results", sort_key=5)

_IN_MAP = Parameter(group=_MAP)
_IN_GRAINS = Parameter(group=_GRAINS)
_IN_SOLVE = Parameter(group=_SOLVE)
_IN_RESULTS = Parameter(group=_RESULTS)
_IN_LARGE = Parameter(group=_LARGE)


def invert(
    *,
    scan: Annotated[Path, _IN_MAP],
    grains: Annotated[Path, _IN_GRAINS],
    out: Annotated[Path, _IN_RESULTS],
    noise: Annotated[float | Literal["residual"] | None, _IN_SOLVE] = None,
    scan_format: Annotated[str | None, _IN_MAP] = None,
    parameters: Annotated[Path | None, _IN_MAP] = None,
    unit: Annotated[str | None, _IN_MAP] = None,
    spacing: Annotated[float | None, _IN_MAP] = None,
    height: Annotated[float | None, _IN_MAP] = None,
    side: Annotated[float | None, _IN_MAP] = None,
    origin: Annotated[tuple[float, float] | None, _IN_MAP] = None,
    upward_continuation: Annotated[float | None, _IN_MAP] = None,
    variable: Annotated[str | None, _IN_MAP] = None,
    mask: Annotated[Path | None, _IN_MAP] = None,
    mask_true_is: Annotated[Literal["bad", "good"] | None, _IN_MAP] = None,
    bounds: Annotated[Path | None, _IN_MAP] = None,
    bounds_frame: Annotated[Literal["map", "crop"] | None, _IN_MAP] = None,
    crop: Annotated[tuple[float, float, float, float] | None, _IN_MAP] = None,
    bin: Annotated[int, _IN_MAP] = 1,
    grains_format: Annotated[str | None, _IN_GRAINS] = None,
    grains_z: Annotated[Literal["up", "down"] | None, _IN_GRAINS] = None,
    grains_unit: Annotated[str | None, _IN_GRAINS] = None,
    lengths: Annotated[Literal["half", "full"] | None, _IN_GRAINS] = None,
    allow_overlap: Annotated[bool, Parameter(group=_GRAINS, show_default=False)] = False,
    surface: Annotated[float | Literal["zmax", "zmin"] | None, _IN_GRAINS] = None,
    min_voxels: Annotated[int | None, _IN_GRAINS] = None,
    voxel_spacing: Annotated[float | None, _IN_GRAINS] = None,
    voxel_origin: Annotated[tuple[float, float, float] | None, _IN_GRAINS] = None,
    margin: Annotated[float | None, _IN_GRAINS] = None,
    prior: Annotated[float | None, _IN_SOLVE] = None,
    fit: Annotated[str | None, _IN_SOLVE] = None,
    method: Annotated[Literal["auto", "cholesky", "orthogonal"], _IN_SOLVE] = "auto",
    level: Annotated[float, _IN_SOLVE] = 0.95,
    tolerance: Annotated[float, _IN_SOLVE] = DEFAULT_TOLERANCE,
    memory_limit: Annotated[float | None, _IN_SOLVE] = None,
    subdomains: Annotated[Path | None, _IN_LARGE] = None,
    core: Annotated[float | None, _IN_LARGE] = None,
    buffer: Annotated[float | None, _IN_LARGE] = None,
    draws: Annotated[int | None, _IN_LARGE] = None,
    seed: Annotated[int | None, _IN_LARGE] = None,
    workers: Annotated[int | None, _IN_LARGE] = None,
    scheduler: Annotated[str | None, _IN_LARGE] = None,
    limit: Annotated[float, _IN_RESULTS] = 0.10,
    overwrite: Annotated[bool, Parameter(group=_RESULTS, show_default=False)] = False,
    no_figures: Annotated[bool, Parameter(group=_RESULTS, show_default=False)] = False,
) -> Solution:
    """Magnetization, confidence sphere and uncertainty ratio of every grain, from a map of Bz.

    Lengths are µm, z points up and is 0 at the surface of the sample. The formats of files are told by their contents;
    where a file does not tell a unit or a direction, the command stops and names the option. Results are `grains.csv`
    and `grains.parquet` (one row per grain), `maps.nc` (measured, forward, residual) and `figures/`.

    **A map in tesla with its JSON, grains with depths instead of heights, an instrument good for 20 nT:**

        mmtjax invert --scan scan_tesla.txt --parameters scan_params.json \\
          --grains cuboids.txt --grains-z down --noise 20 --out results

    **A bare matrix in µT, an export of Dragonfly, noise taken from the misfit:**

        mmtjax invert --scan Bz_muT.npy --spacing 1.2 --height 5 \\
          --grains grain_loc.csv --surface zmax --min-voxels 10 \\
          --noise residual --out results

    **With a height and an alignment that are not known well:**

        mmtjax invert --scan scan.nc --grains cuboids.txt --noise 20 \\
          --fit standoff,shift --out results

    **A sample too large to factor whole, by overlapping windows, on two cores; a run that was ended goes on:**

        mmtjax invert --scan scan.nc --grains cuboids.txt --noise 20 \\
          --subdomains work --workers 2 --out results

    **A part of a map, as a first try, with a prior that keeps deep grains physical:**

        mmtjax invert --scan scan.nc --crop 0 100 50 150 \\
          --grains cuboids.txt --margin 30 \\
          --noise 20 --prior 480e3 --out part

    Parameters
    ----------
    scan
        File with the map of Bz: text or .npy matrix, QDMlab .mat, NetCDF.
    grains
        File with the grains: cuboids, voxels, labelled stack (.tif, .npy), Dragonfly export, positions and volumes.
    out
        Directory to make for the results. It appears when all of them are complete.
    noise
        Standard deviation of the noise of one sensor of the map as inverted, nT; or `residual`, to take it from the
        misfit.
    scan_format
        `text`, `npy`, `qdmlab` or `netcdf`, where the contents leave a choice.
    parameters
        JSON file that belongs to a matrix and tells spacing, place and height.
    unit
        Unit of the field in the file: T, mT, uT, nT, gauss.
    spacing
        Sampling interval, µm.
    height
        z of the scanning plane above the surface of the sample, µm.
    side
        Edge of a sensor, µm; the spacing by default.
    origin
        x and y of the centre of the sensor [0, 0], µm.
    upward_continuation
        Distance by which a map of QDMlab was continued upward, µm, if its name does not tell.
    variable
        Variable of a NetCDF file that holds Bz.
    mask
        .npy of booleans, [y, x], of the whole map.
    mask_true_is
        What True means in the mask.
    bounds
        domainbounds.txt: the part of the map to keep.
    bounds_frame
        Frame that the grains are in: that of the whole map, or from the corner of the bounds.
    crop
        Keep the sensors within x0 x1 y0 y1, µm. Grains are kept; see --margin.
    bin
        Take means over blocks of so many sensors along each axis.
    grains_format
        `cuboids`, `voxels`, `stack`, `dragonfly` or `positions`, where the contents leave a choice.
    grains_z
        Whether z of the file is a height (up) or a depth (down).
    grains_unit
        Unit of the lengths of cuboids (µm by default) or positions (m by default).
    lengths
        Whether a file of cuboids holds half-lengths, the default, or whole edges.
    allow_overlap
        Accept cuboids that share volume.
    surface
        Where the surface of the sample lies in a Dragonfly export: at the largest z, the smallest, or a z in µm.
    min_voxels
        Leave out grains of fewer voxels (Dragonfly).
    voxel_spacing
        Edge of a voxel, µm.
    voxel_origin
        x, y, z of the centre of the voxel [0, 0, 0], µm.
    margin
        Leave out grains whose centre lies farther than this beside the map, µm. All are kept by default.
    prior
        Standard deviation of a normal prior of every component of the magnetization, A/m; 480e3 is the saturation of
        magnetite.
    fit
        Fit the geometry first: `standoff`, `shift`, `rotation`, or several with commas between them. What the map does
        not determine stays as given. The prior is 480e3 for the fit if none is given.
    method
        How to solve: normal equations, QR, or the first where its condition allows it.
    level
        Probability that a confidence sphere holds the truth.
    tolerance
        Error of a coefficient of the field as a share of the largest of its grain, at most.
    memory_limit
        GiB that may be used, by all local workers together, or by each worker of a cluster; what is free by default.
    subdomains
        Solve by overlapping windows, for samples too large to factor whole, and keep the work in this directory: the
        same command goes on with it. It may be removed when the results are there.
    core
        Edge of the part of a window that it answers for, µm; 7 times the depth of the deepest grain by default.
    buffer
        Width of the frame about it in which grains are unknown too, µm; 3.5 times by default.
    draws
        Maps of noise that are solved beside the measured one, for the part of the radii that windows cannot know; 16
        by default.
    seed
        Seed of these maps, 0 by default.
    workers
        Local processes, which share the cores; this process by default.
    scheduler
        Address of the scheduler of a Dask cluster whose workers see the directory, `tcp://host:8786`.
    limit
        Uncertainty ratio up to which a grain is trusted, as a fraction.
    overwrite
        Replace the directory of results, with all that is in it.
    no_figures
        Write no figures.
    """
    asked = {name: value for name, value in locals().items() if value is not None}
    inputs = [file for file in (scan, grains, parameters, mask, bounds) if file is not None]
    voice, screen = Console(stderr=True), Console()
    with translate_errors(OPTIONS):
        _check_limit(limit)
        limit_bytes = bytes_of(memory_limit)
        wanted = chosen_fit(fit)
        division = chosen_division(
            subdomains,
            core=core,
            buffer=buffer,
            draws=draws,
            seed=seed,
            workers=workers,
            scheduler=scheduler,
        )
    with collect_warnings() as concerns, output_directory(out, overwrite=overwrite, inputs=inputs) as place:
        with translate_errors(OPTIONS):
            record = provenance(inputs, asked)
            measured = read_scan(
                scan,
                format=scan_format,
                mask=mask,
                mask_true_is=mask_true_is,
                bounds=bounds,
                frame=bounds_frame,
                parameters=parameters,
                unit=unit,
                spacing=spacing,
                height=height,
                side=side,
                origin=origin,
                upward_continuation=upward_continuation,
                variable=variable,
            )
            measured = measured if crop is None else measured.crop(x=crop[:2], y=crop[2:])
            measured = measured.bin(bin)
        with translate_errors(GRAIN_OPTIONS):
            sources = read_grains(
                grains,
                format=grains_format,
                z=grains_z,
                unit=grains_unit,
                lengths=lengths,
                allow_overlap=allow_overlap or None,
                surface=surface,
                min_voxels=min_voxels,
                spacing=voxel_spacing,
                origin=voxel_origin,
            )
        sources = sources if margin is None else _within(sources, measured, margin=margin)
        with translate_errors(OPTIONS), Stages(voice) as stages:
            if wanted:
                geometry = fitted_geometry(
                    measured,
                    sources,
                    noise,
                    fit=wanted,
                    prior=prior,
                    level=level,
                    tolerance=tolerance,
                    memory_limit=limit_bytes,
                    progress=stages,
                )
                measured, sources = geometry.scan, geometry.grains
                record["registration"] = geometry.record
            options = {
                "prior": prior,
                "method": method,
                "level": level,
                "tolerance": tolerance,
                "memory_limit": limit_bytes,
                "progress": stages,
            }
            if division is None:
                solution = invert_scan(measured, sources, noise, **options)
            else:
                solution = solved_by_windows(division, measured, sources, noise, **options)
            fill_results(place, table=solution.table(limit), maps=solution.maps(), provenance=record)
            if not no_figures:
                save_figures(solution, place / "figures", limit=limit, progress=stages)
    if wanted:
        screen.print(listing(geometry.lines, title="Geometry"))
    screen.print(summary_table(solution, limit=limit))
    for concern in concerns:
        voice.print("[bold yellow]warning:[/]", with_option_names(concern), highlight=False, soft_wrap=True)
    files = sorted(str(file.relative_to(out)) for file in out.rglob("*") if file.is_file())
    screen.print(f"Results in {out}: {', '.join(files)}", highlight=False, markup=False, soft_wrap=True)
    return solution


def _check_limit(limit: float) -> None:
    if not (np.isfinite(limit) and limit > 0):
        raise ValueError(f"--limit must be a positive uncertainty ratio as a fraction, e.g. 0.1; got {limit!r}")


def _within(grains: Grains, scan: Scan, *, margin: float) -> Grains:
    """Grains whose centres lie over the map or within `margin` µm beside it."""
    place, keep = np.asarray(grains.position), np.ones(len(grains), bool)
    for axis, centres in enumerate((np.asarray(scan.grid.x), np.asarray(scan.grid.y))):
        keep &= (place[:, axis] >= centres[0] - margin) & (place[:, axis] <= centres[-1] + margin)
    if not keep.any():
        low, high = place.min(axis=0), place.max(axis=0)
        raise ValueError(
            f"--margin {margin:g}: none of the {len(grains)} grains lies so near to the map; they lie in x {low[0]:g} "
            f"to {high[0]:g}, y {low[1]:g} to {high[1]:g} µm, the map in x {scan.grid.x[0]:g} to {scan.grid.x[-1]:g}, "
            f"y {scan.grid.y[0]:g} to {scan.grid.y[-1]:g} µm"
        )
    return grains.select(keep)
