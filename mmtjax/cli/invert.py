"""The command ``mmtjax invert``."""

import json
import warnings
from pathlib import Path

from mmtjax import plot
from mmtjax.cli.grain_inputs import GrainInput
from mmtjax.cli.inputs import MapInput, ResultInput, SolveInput, SubdomainInput, option_values
from mmtjax.cli.registration import fitted_geometry
from mmtjax.cli.run_config import write_run_config
from mmtjax.cli.screen import after_results, error_screen, say, screen
from mmtjax.cli.subdomains import invert_by_windows
from mmtjax.cli.terminal import OPTIONS, Stages, collect_warnings, translate_errors, with_option_names
from mmtjax.errors import InputError, MmtjaxError
from mmtjax.files import real_path
from mmtjax.inversion.invert import invert as invert_scan
from mmtjax.inversion.solution import Solution
from mmtjax.io.grain_file import grain_dataset
from mmtjax.io.output import output_directory, result_files
from mmtjax.io.provenance_record import provenance
from mmtjax.io.results import fill_results
from mmtjax.page import write_page
from mmtjax.progress import StageProgress
from mmtjax.report.plain_text import plain
from mmtjax.report.selection import selection_lines
from mmtjax.report.summary import details, for_programs, listing, summary
from mmtjax.scan.scan import Scan
from mmtjax.sources.grains import Grains

_DEFAULT_SOLVE = SolveInput()
_WITHOUT_SUBDOMAINS = SubdomainInput()


def invert(
    *,
    map_input: MapInput,
    grain_input: GrainInput,
    results: ResultInput,
    solve: SolveInput = _DEFAULT_SOLVE,
    subdomains: SubdomainInput = _WITHOUT_SUBDOMAINS,
) -> Solution:
    r"""Find the magnetization, confidence sphere and uncertainty ratio of every grain from a map of Bz.

    Lengths are µm, z points up and is 0 at the surface of the sample. The formats of files are recognized by their
    contents; where a file does not state a unit or a direction, the command stops and names the option. Results are
    `grains.csv` (one row per grain; with pyarrow, also `grains.parquet`), `maps.nc` (measured, forward, residual) and
    `figures/`.

    **A map in tesla with its JSON, grains with depths instead of heights, an instrument with a noise of 20 nT:**

        mmtjax invert --scan scan_tesla.txt --parameters scan_params.json \
          --grains cuboids.txt --grains-z down --noise 20 --out results

    **A bare matrix in µT, an export of Dragonfly, noise taken from the misfit:**

        mmtjax invert --scan Bz_muT.npy --spacing 1.2 --height 5 \
          --grains grain_loc.csv --surface zmax --min-voxels 10 \
          --noise residual --out results

    **With a height and an alignment that are not known well:**

        mmtjax invert --scan scan.nc --grains cuboids.txt --noise 20 \
          --fit standoff,shift --out results

    **A sample too large to factor whole, by overlapping windows, on two cores; the same command continues a run that
    was ended:**

        mmtjax invert --scan scan.nc --grains cuboids.txt --noise 20 \
          --subdomains work --workers 2 --out results

    **A map with a field of the instrument that varies slowly:**

        mmtjax invert --scan scan.nc --grains cuboids.txt --noise 20 \
          --background plane --out results

    **A part of a map, as a first try, with a prior that keeps deep grains physical:**

        mmtjax invert --scan scan.nc --crop 0 100 50 150 \
          --grains cuboids.txt --margin 30 \
          --noise 20 --prior 480e3 --out part

    **The options of an earlier run, one of them changed; a TOML file of your own may hold all options, too:**

        mmtjax invert results/invert.toml --level 0.99 --out again
    """
    files = [map_input.scan, grain_input.grains, *map_input.companion_files]
    files += [] if results.select is None else [results.select]
    stores = [] if subdomains.subdomains is None else [subdomains.subdomains]
    with translate_errors(OPTIONS):
        for checked in (results, solve, subdomains):
            checked.check()
        _check_windows(solve, subdomains)
    lines: dict[str, str] = {}
    chosen: dict[str, str] = {}
    output = output_directory(results.out, overwrite=results.overwrite, inputs=[*files, *stores])
    with collect_warnings() as messages, output as directory:
        with translate_errors(OPTIONS):
            options = option_values(map_input, grain_input, solve, subdomains, results)
            record = provenance(files, options)
        scan = map_input.read()
        grains = grain_input.read(scan)
        selected = results.selected(grains)
        with translate_errors(OPTIONS), Stages(error_screen()) as stages:
            if solve.fitted_parameters:
                scan, grains, lines, record["registration"] = fitted_geometry(scan, grains, solve, progress=stages)
            solution = _solve(scan, grains, solve, subdomains=subdomains, progress=stages)
            record["summary"] = rows = summary(solution, limit=results.limit)
            table = solution.table(results.limit)
            if selected is not None:
                table["selected"] = selected
                chosen = selection_lines(solution, selected, limit=results.limit)
            fill_results(
                directory,
                table=table,
                maps=solution.maps(),
                provenance=record,
                grains=grain_dataset(solution, limit=results.limit),
            )
            write_run_config(directory, options)
            if not results.no_figures:
                plot.save_figures(solution, directory / "figures", limit=results.limit, progress=stages)
            if results.page:
                _write_page(directory, name=real_path(results.out).name)
    for message in messages:
        say(with_option_names(message), kind="warning")
    with after_results(str(results.out)):
        parts = {"Geometry": lines, f"Selection of {results.select}": chosen}
        _print_summary(solution, results, rows=rows, parts=parts, messages=messages)
    return solution


def _print_summary(
    solution: Solution,
    results: ResultInput,
    *,
    rows: dict[str, str],
    parts: dict[str, dict[str, str]],
    messages: list[str],
) -> None:
    """Print what is in the results, as text or as JSON; `rows` are the summary, `parts` further lists."""
    files = result_files(results.out)
    if results.json:
        content = for_programs(solution, limit=results.limit) | {
            **{title.partition(" ")[0].lower(): lines for title, lines in parts.items()},
            "warnings": [with_option_names(message) for message in messages],
            "directory": str(results.out),
            "files": files,
        }
        # JSON by `print` of rich would be wrapped at the width of the terminal.
        screen().print(plain(json.dumps(content, ensure_ascii=False)), soft_wrap=True)
        return
    screen().print(listing(rows))
    for title, lines in parts.items():
        if lines:
            screen().print(listing(lines, title=title))
    if results.verbose:
        screen().print(listing(details(solution, limit=results.limit), title="Details"))
    screen().print(plain(f"Results in {results.out}: {', '.join(files)}"), soft_wrap=True)


def _write_page(directory: Path, *, name: str) -> None:
    """Write the page of the results; where that fails, warn, for they must not be lost with it."""
    try:
        write_page(directory / "page.html", directory, name=name)
    except MmtjaxError as error:
        warnings.warn(f"the page was not written: {error}", stacklevel=2)


def _check_windows(solve: SolveInput, subdomains: SubdomainInput) -> None:
    """Raise ValueError for options of the inversion that windows do not have."""
    if subdomains.subdomains is None:
        return
    if solve.bound is not None:
        msg = "--bound is not solved by windows; leave out --subdomains or --bound"
        raise InputError(msg)
    if solve.green != "auto":
        msg = "--green is not used by windows; leave out --subdomains or --green"
        raise InputError(msg)


def _solve(
    scan: Scan, grains: Grains, solve: SolveInput, *, subdomains: SubdomainInput, progress: StageProgress
) -> Solution:
    """Invert the map as a whole, or by windows where ``--subdomains`` is given."""
    if subdomains.subdomains is not None:
        return invert_by_windows(scan, grains, solve, subdomains=subdomains, progress=progress)
    return invert_scan(
        scan,
        grains,
        solve.noise,
        options=solve.options(),
        progress=progress,
    )
