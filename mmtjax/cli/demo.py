"""The command ``mmtjax demo``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from mmtjax.cli.grain_inputs import GrainInput
from mmtjax.cli.inputs import MapInput, ResultInput, SolveInput
from mmtjax.cli.invert import invert
from mmtjax.cli.screen import after_results, screen
from mmtjax.cli.terminal import OPTIONS, translate_errors
from mmtjax.io import demo_sample as sample
from mmtjax.io.output import output_directory
from mmtjax.lazy import is_installed
from mmtjax.report.plain_text import plain
from mmtjax.units import percent


def demo(*, out: Path, overwrite: Annotated[bool, Parameter(show_default=False)] = False) -> None:
    """Make a small sample, write it as files, invert them as `mmtjax invert` does, and compare with the truth.

    The sample has 40 grains of 1 to 6 µm in a slice of 100 × 100 × 40 µm, below a map with a sampling interval of 1 µm
    and 20 nT of noise. It takes less than half a minute.

        mmtjax demo --out demo

    Parameters
    ----------
    out
        Directory to make, with `scan.nc`, `cuboids.txt`, `truth.csv`, and `results/`, which `mmtjax invert` writes;
        `results/page.html`, for a browser, shows all of them.
    overwrite
        Replace a directory of results; one that holds anything else is refused.
    """
    with translate_errors(OPTIONS), output_directory(out, overwrite=overwrite) as directory:
        truth = sample.write_sample(directory).truth
    command = f"mmtjax invert --scan {out / 'scan.nc'} --grains {out / 'cuboids.txt'} --noise {sample.NOISE:g}"
    command += " --page" if is_installed("bokeh") else ""
    with after_results(str(out)):
        screen().print(plain(f"The sample is in {out}. Now:\n$ {command} --out {out / 'results'}"), soft_wrap=True)
    solution = invert(
        map_input=MapInput(scan=out / "scan.nc"),
        grain_input=GrainInput(grains=out / "cuboids.txt"),
        solve=SolveInput(noise=sample.NOISE),
        results=ResultInput(out=out / "results", page=is_installed("bokeh")),
    )
    inside, count = sample.count_spheres_with_truth(solution, truth)
    with after_results(str(out)):
        screen().print(
            f"The true magnetization lies in {inside} of {count} confidence spheres, {percent(inside / count)}; "
            f"{percent(solution.level)} are expected."
        )
