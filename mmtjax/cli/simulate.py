"""The command ``mmtjax simulate``."""

from pathlib import Path
from typing import Annotated, Literal

import jax
from cyclopts import Group, Parameter
from rich.console import Console

from mmtjax.cli.library import shape_library
from mmtjax.cli.terminal import OPTIONS, Stages, translate_errors
from mmtjax.io.output import output_directory
from mmtjax.io.provenance_record import provenance
from mmtjax.io.samples import fill_sample
from mmtjax.simulation import simulate as make_sample

_IN_SAMPLE = Parameter(group=Group("The sample", sort_key=1))
_IN_MAP = Parameter(group=Group("The map", sort_key=2))
_IN_RESULTS = Parameter(group=Group("The files", sort_key=3))


def simulate(
    *,
    out: Annotated[Path, _IN_RESULTS],
    side: Annotated[float, _IN_SAMPLE] = 200.0,
    thickness: Annotated[float, _IN_SAMPLE] = 50.0,
    density: Annotated[float, _IN_SAMPLE] = 2.5e4,
    clearance: Annotated[float, _IN_SAMPLE] = 10.0,
    directions: Annotated[Literal["printed", "isotropic"], _IN_SAMPLE] = "printed",
    grains: Annotated[Path | None, _IN_SAMPLE] = None,
    grains_z: Annotated[Literal["up", "down"] | None, _IN_SAMPLE] = None,
    voxel_spacing: Annotated[float | None, _IN_SAMPLE] = None,
    seed: Annotated[int, _IN_SAMPLE] = 0,
    noise: Annotated[float, _IN_MAP] = 5.0,
    spacing: Annotated[float, _IN_MAP] = 1.0,
    height: Annotated[float, _IN_MAP] = 0.0,
    overwrite: Annotated[bool, Parameter(group=_IN_RESULTS.group, show_default=False)] = False,
) -> None:
    """Make up a sample and the map that a scan of it gives, as Out et al. (2022), and write both as files.

    Ragged grains of 1 to 20 µm at random places, magnetized as natural grains are, under a map of sensors of 1 µm with
    noise. It is the way to learn what a scan would resolve before it is made.

    **A sample of the paper, and what an inversion makes of it:**

        mmtjax simulate --out sample --side 200 --thickness 50 \\
          --density 25e3 --noise 20 --spacing 2
        mmtjax invert --scan sample/map.nc --grains sample/grains.txt --out results

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
        Height above the bottom that the top side of every grain reaches, µm.
    directions
        Whether the angle of the magnetization from z is uniform, as the paper prints it, or no direction is favoured.
    grains
        File with grains whose shapes to draw from, of any format that `mmtjax invert` reads: those of your microCT.
        Synthetic shapes by default.
    grains_z
        Whether z of that file is a height (up) or a depth (down).
    voxel_spacing
        Edge of a voxel of that file, µm.
    seed
        Number that the random numbers come from; the same one gives the same sample.
    noise
        Standard deviation of the noise of a sensor, nT; 0 for none.
    spacing
        Sampling interval, a whole number of µm: every so many sensors of the map of 1 µm.
    height
        z of the scanning plane above the surface of the sample, µm.
    overwrite
        Replace the directory, with all that is in it.
    """
    asked = {name: value for name, value in locals().items() if value is not None}
    inputs = [] if grains is None else [grains]
    with output_directory(out, overwrite=overwrite, inputs=inputs) as place:
        record = provenance(inputs, asked)
        library = shape_library(grains, z=grains_z, voxel_spacing=voxel_spacing)
        with translate_errors(OPTIONS), Stages(Console(stderr=True)) as stages:
            sample = make_sample(
                jax.random.key(seed),
                side=side,
                thickness=thickness,
                density=density,
                noise=noise,
                spacing=spacing,
                height=height,
                library=library,
                directions=directions,
                clearance=clearance,
                progress=stages,
            )
            fill_sample(place, sample, provenance=record)
    rows, columns = sample.scan.grid.shape
    told = f" --scan {out / 'map.nc'} --grains {out / 'grains.txt'}" + ("" if noise else " --noise NT")
    Console().print(
        f"{len(sample.grains)} grains under a map of {columns} × {rows} sensors are in {out}. What an inversion makes "
        f"of them:\n$ mmtjax invert{told} --out {out.with_name(out.name + '-results')}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
