"""A small study as a process of its own, which a test may kill; made-up results, and workers that fail."""

import dataclasses
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
import xarray

from mmtjax.sources.shape_library import ShapeLibrary
from mmtjax.study import Cell, Geometry, StudyConfig, run
from mmtjax.study.batch import Batch
from mmtjax.study.run import StudyProgress, run_study

SMALL = StudyConfig(
    name="small",
    seed=7,
    side=(40,),
    thickness=(30,),
    density=(1.25e5,),
    interval=(1, 2),
    noise=(5, 20),
    repeats=3,
)

#: The same with enough cells to be killed over.
LONGER = dataclasses.replace(SMALL, repeats=30)


def made_up(cell: Cell, *, noise: Sequence[float] = (5, 20), grains: int = 7, failure: str = "") -> xarray.Dataset:
    """Return results as they are stored, of random numbers that depend on the cell."""
    rng = np.random.default_rng([int(cell.side), cell.repeat, int(cell.interval)])
    shapes = {
        "position": (("grain", "axis"), (grains, 3)),
        "volume": (("grain",), (grains,)),
        "diameter": (("grain",), (grains,)),
        "signal_strength_ratio": (("grain",), (grains,)),
        "magnetization_true": (("grain", "component"), (grains, 3)),
        "magnetization": (("noise", "grain", "component"), (len(noise), grains, 3)),
        "confidence_radius": (("noise", "grain"), (len(noise), grains)),
        "uncertainty_ratio": (("noise", "grain"), (len(noise), grains)),
        "reduced_chi_square": (("noise",), (len(noise),)),
        "condition": ((), ()),
    }
    return xarray.Dataset(
        {name: (dims, rng.normal(size=shape), {"units": "1"}) for name, (dims, shape) in shapes.items()},
        {"noise": ("noise", np.array(noise, float), {"units": "nT"})},
        attrs={**cell._asdict(), "method": "cholesky", "failure": failure},
    )


def files_of(store: Path) -> dict[str, bytes]:
    """Return the files of all cells and groups, without the root and the log, which contain times."""
    return {str(file.relative_to(store)): file.read_bytes() for file in store.glob("side=*/**/*") if file.is_file()}


def run_made_up(
    config: StudyConfig, geometry: Geometry, intervals: Sequence[float], *, library: ShapeLibrary | None = None
) -> Iterator[tuple[float, xarray.Dataset]]:
    """Replace `run_geometry`: take a moment, and return made-up results."""
    for interval in intervals:
        time.sleep(0.03)
        yield interval, made_up(Cell(*geometry, interval), noise=config.noise)


def work_made_up(config: StudyConfig, batch: Batch, library: ShapeLibrary | None, version: str) -> list[object]:
    """Replace the work of a worker; the second repeat takes long enough for a test to kill it."""
    if os.environ["NPROC"] != "1":
        raise RuntimeError("a worker has more than one thread")
    time.sleep(0.5 if batch.geometries[0].repeat == 1 else 0.0)
    run.run_geometry = run_made_up
    return run._work(config, batch, library, version)


def work_noted(config: StudyConfig, batch: Batch, library: ShapeLibrary | None, version: str) -> list[object]:
    """Replace the work of a worker, and write its times to a file in the directory that the study is named after."""
    [geometry], intervals = batch
    start = time.time()
    time.sleep(0.3)
    run.run_geometry = run_made_up
    results = run._work(config, batch, library, version)
    Path(config.name, str(geometry).replace("/", ",")).write_text(f"{geometry.thickness} {start} {time.time()}")
    return results


def die(*_: object) -> None:
    """Replace the work of a worker by its end, as if it lacked memory."""
    os._exit(1)


def report(progress: StudyProgress) -> None:
    """Print the number of complete cells."""
    print(progress.done, flush=True)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    if sys.argv[2] == "made up":
        run.run_geometry = run_made_up
    run_study(LONGER, sys.argv[1], workers=int(sys.argv[3]), progress=report)
