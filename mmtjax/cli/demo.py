"""The command ``mmtjax demo``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from mmtjax.cli.invert import invert
from mmtjax.cli.terminal import OPTIONS, translate_errors
from mmtjax.io import demo_sample as sample
from mmtjax.io.output import output_directory
from mmtjax.plot.style import percent


def demo(*, out: Path, overwrite: Annotated[bool, Parameter(show_default=False)] = False) -> None:
    """Make a small sample, write it as files, invert these as `mmtjax invert` does, and compare with the truth.

    40 grains of 1 to 6 µm in a slice of 100 × 100 × 40 µm under a map of 1 µm with 20 nT of noise. It takes less than
    half a minute.

        mmtjax demo --out demo

    Parameters
    ----------
    out
        Directory to make: `scan.nc`, `cuboids.txt`, `truth.csv`, and `results/`, which `mmtjax invert` fills.
    overwrite
        Replace the directory, with all that is in it.
    """
    with translate_errors(OPTIONS), output_directory(out, overwrite=overwrite) as place:
        truth = sample.write_sample(place).truth
    screen = Console()
    command = f"mmtjax invert --scan {out / 'scan.nc'} --grains {out / 'cuboids.txt'} --noise {sample.NOISE:g}"
    screen.print(f"The sample is in {out}. Now:\n$ {command} --out {out / 'results'}", highlight=False, soft_wrap=True)
    solution = invert(scan=out / "scan.nc", grains=out / "cuboids.txt", noise=sample.NOISE, out=out / "results")
    held, count = sample.spheres_that_hold_the_truth(solution, truth)
    screen.print(
        f"The true magnetization lies in {held} of {count} confidence spheres, {percent(held / count)}; "
        f"{percent(solution.level)} are expected.",
        highlight=False,
    )
