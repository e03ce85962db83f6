"""The command ``mmtjax simulate``."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from mmtjax.cli.grain_inputs import ShapeInput
from mmtjax.cli.inputs import option_values
from mmtjax.cli.memory import bytes_of
from mmtjax.cli.screen import after_results, error_screen, screen
from mmtjax.cli.terminal import OPTIONS, Stages, translate_errors
from mmtjax.io.output import output_directory
from mmtjax.io.provenance_record import provenance
from mmtjax.io.samples import fill_sample
from mmtjax.precision import random_key
from mmtjax.report.plain_text import plain
from mmtjax.simulation import SampleSpec
from mmtjax.simulation import simulate as make_sample

_SAMPLE = Parameter(group=Group("The sample", sort_key=1))
_MAP = Parameter(group=Group("The map", sort_key=3))
_FILES = Parameter(group=Group("The files", sort_key=4))
_LIMITS = Parameter(group=Group("Limits", sort_key=5))


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulateOptions:
    """Options of ``mmtjax simulate``.

    Parameters
    ----------
    out
        Directory to make: `map.nc`, `grains.txt`, `truth.csv`, `provenance.json`. It appears when all are complete.
    side
        Edge of the square surface of the sample, a whole number of µm.
    thickness
        Thickness of the sample, µm.
    density
        Grains per mm³.
    clearance
        Least height of the top side of every grain above the bottom of the sample, µm.
    directions
        Whether the angle of the magnetization from z is uniform, as the paper prints it, or no direction is favoured.
    seed
        Seed of the random numbers; the same seed gives the same sample.
    noise
        Standard deviation of the noise of a sensor, nT; 0 for none.
    spacing
        Sampling interval, a whole number n of µm: every n-th sensor of the map of 1 µm.
    height
        z of the scanning plane above the surface of the sample, µm.
    memory_limit
        GiB that the sample may be estimated to take, by default the memory that is free.
    time_limit
        Hours that it may be estimated to take.
    overwrite
        Replace a directory of results; one that holds anything else is refused.
    """

    out: Annotated[Path, _FILES]
    side: Annotated[float, _SAMPLE] = 200.0
    thickness: Annotated[float, _SAMPLE] = 50.0
    density: Annotated[float, _SAMPLE] = 2.5e4
    clearance: Annotated[float, _SAMPLE] = 10.0
    directions: Annotated[Literal["printed", "isotropic"], _SAMPLE] = "printed"
    seed: Annotated[int, _SAMPLE] = 0
    noise: Annotated[float, _MAP] = 5.0
    spacing: Annotated[float, _MAP] = 1.0
    height: Annotated[float, _MAP] = 0.0
    memory_limit: Annotated[float | None, _LIMITS] = None
    time_limit: Annotated[float, _LIMITS] = 24.0
    overwrite: Annotated[bool, Parameter(group=_FILES.group, show_default=False)] = False


def simulate(*, options: SimulateOptions, shapes: ShapeInput | None = None) -> None:
    r"""Make up a sample and the map that a scan of it gives, as Out et al. (2022), and write both as files.

    Ragged grains of 1 to 20 µm at random places, magnetized as natural grains are, under a map of sensors of 1 µm with
    noise. It shows what a scan would resolve before it is made.

    **A sample of the paper, and its inversion:**

        mmtjax simulate --out sample --side 200 --thickness 50 \
          --density 25e3 --noise 20 --spacing 2
        mmtjax invert --scan sample/map.nc --grains sample/grains.txt --out results
    """
    out, noise, shapes = options.out, options.noise, shapes or ShapeInput()
    with output_directory(out, overwrite=options.overwrite, inputs=shapes.files) as place:
        record = provenance(shapes.files, option_values(options, shapes))
        library = shapes.library()
        with translate_errors(OPTIONS), Stages(error_screen()) as stages:
            spec = SampleSpec(
                side=options.side,
                thickness=options.thickness,
                density=options.density,
                clearance=options.clearance,
                directions=options.directions,
                height=options.height,
                library=library,
            )
            key = random_key(options.seed)
            sample = make_sample(
                key,
                spec,
                noise=noise,
                spacing=options.spacing,
                memory_limit=bytes_of(options.memory_limit),
                time_limit=options.time_limit,
                progress=stages,
            )
            fill_sample(place, sample, provenance=record)
    rows, columns = sample.scan.grid.shape
    inversion = f"mmtjax invert --scan {out / 'map.nc'} --grains {out / 'grains.txt'}"
    inversion += ("" if noise else " --noise NT") + f" --out {out.with_name(out.name + '-results')}"
    with after_results(str(out)):
        made = f"{len(sample.grains)} grains under a map of {columns} × {rows} sensors are in {out}."
        screen().print(plain(f"{made} To invert it:\n$ {inversion}"), soft_wrap=True)
