"""Groups of options, each a dataclass: the map, the inversion, its windows and the results."""

import dataclasses
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Protocol, runtime_checkable

import jax
import numpy as np
from cyclopts import Group, Parameter
from jaxtyping import Bool

from mmtjax.cli.memory import bytes_of
from mmtjax.cli.run_config import OptionValue
from mmtjax.cli.terminal import OPTIONS, translate_errors
from mmtjax.errors import InputError
from mmtjax.estimators.bounded import BoundedLeastSquares
from mmtjax.estimators.least_squares import LeastSquares
from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.inversion.options import GreenForm, InversionOptions
from mmtjax.io.scans import read_scan
from mmtjax.io.selected_ids import read_selected_ids
from mmtjax.page import require_bokeh
from mmtjax.parallel.cluster import check_helpers
from mmtjax.registration.alignment import PARAMETERS
from mmtjax.scan.scan import Scan
from mmtjax.sources.grains import Grains

#: Seed of the bootstrap that `--bound` asks for: the same command gives the same radii.
_BOOTSTRAP_SEED = 0


@Parameter(name="*", group=Group("The map", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class MapInput:
    """Options of a command that reads a map of Bz.

    Parameters
    ----------
    scan
        File with the map of Bz: text or .npy matrix, QDMlab .mat, NetCDF.
    scan_format
        `text`, `npy`, `qdmlab`, `qdm` or `netcdf`, where the contents allow several formats.
    parameters
        JSON file that belongs to a matrix and gives its spacing, position and height.
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
        Distance by which a map of QDMlab was continued upward, µm, if it is not in the file name.
    variable
        Variable of a NetCDF file that holds Bz.
    mask
        .npy of booleans, [y, x], of the whole map.
    mask_true_is
        What True means in the mask, or without one in the variable `mask` of a NetCDF file.
    bounds
        domainbounds.txt: the part of the map to keep.
    bounds_frame
        Frame of the grains: that of the whole map, or the one that starts at the corner of the bounds.
    crop
        Keep the sensors within x0 x1 y0 y1, µm. Grains are kept; see --margin.
    bin
        Average over blocks of this many sensors along each axis.
    """

    scan: Path
    scan_format: str | None = None
    parameters: Path | None = None
    unit: str | None = None
    spacing: float | None = None
    height: float | None = None
    side: float | None = None
    origin: tuple[float, float] | None = None
    upward_continuation: float | None = None
    variable: str | None = None
    mask: Path | None = None
    mask_true_is: Literal["bad", "good"] | None = None
    bounds: Path | None = None
    bounds_frame: Literal["map", "crop"] | None = None
    crop: tuple[float, float, float, float] | None = None
    bin: int = 1

    @property
    def companion_files(self) -> list[Path]:
        """Files that are read together with the map."""
        return [file for file in (self.parameters, self.mask, self.bounds) if file is not None]

    def read(self) -> Scan:
        """Read the map, crop it and bin it; errors name the options of the command."""
        with translate_errors(OPTIONS):
            scan = read_scan(
                self.scan,
                format=self.scan_format,
                mask=self.mask,
                mask_true_is=self.mask_true_is,
                bounds=self.bounds,
                frame=self.bounds_frame,
                parameters=self.parameters,
                unit=self.unit,
                spacing=self.spacing,
                height=self.height,
                side=self.side,
                origin=self.origin,
                upward_continuation=self.upward_continuation,
                variable=self.variable,
            )
            if self.crop is not None:
                x_low, x_high, y_low, y_high = self.crop
                scan = scan.crop(x=(x_low, x_high), y=(y_low, y_high))
            return scan.bin(self.bin)


@Parameter(name="*", group=Group("The inversion", sort_key=3))
@dataclass(frozen=True, kw_only=True)
class SolveInput:
    """Options of a command that inverts a map.

    Parameters
    ----------
    noise
        Standard deviation of the noise of one sensor of the map as inverted, nT; or `residual`, to take it from the
        misfit.
    prior
        Standard deviation of a normal prior of every component of the magnetization, A/m; 480e3 is the saturation of
        magnetite.
    fit
        Fit the geometry first: `standoff`, `shift`, `rotation`, or several with commas between them. Parameters that
        the map does not determine stay as given. The prior of the fit is 480e3 if none is given.
    method
        Solver: normal equations (cholesky), QR (orthogonal), or normal equations where the condition number allows
        them and QR elsewhere (auto).
    level
        Probability that a confidence sphere contains the true magnetization.
    background
        Solve for a smooth background of the map beside the grains: a constant, a plane or a quadratic surface.
    bound
        Largest magnetization of a grain, A/m; 480e3 is the saturation of magnetite. Radii are then those of a bootstrap
        and take a few hundred solutions.
    green
        Form of the matrix: in memory as a whole (dense), recomputed by tiles of sensors (tiled), compressed, or divided
        over all devices (sharded); by default the fastest.
    tolerance
        Largest error of a coefficient of the field, as a share of the largest coefficient of its grain.
    memory_limit
        GiB that may be used by all local workers together, or by each worker of a cluster; by default the free memory.
    """

    noise: float | Literal["residual"] | None = None
    prior: float | None = None
    fit: str | None = None
    method: Literal["auto", "cholesky", "orthogonal"] = "auto"
    level: float = 0.95
    background: Literal["constant", "plane", "quadratic"] | None = None
    bound: float | None = None
    green: GreenForm = "auto"
    tolerance: float = DEFAULT_TOLERANCE
    memory_limit: float | None = None

    def check(self) -> None:
        """Raise ValueError for options that are not allowed."""
        self.options()
        for name in self.fitted_parameters:
            if name not in PARAMETERS:
                msg = f"--fit takes {', '.join(PARAMETERS)}, with commas between them; got {name!r}"
                raise InputError(msg)

    @property
    def fitted_parameters(self) -> tuple[str, ...]:
        """Names that ``--fit`` lists; none without it."""
        return () if self.fit is None else tuple(part.strip() for part in self.fit.split(","))

    def options(self) -> InversionOptions:
        """Return the options of the inversion as the library takes them; errors name those of the command."""
        with translate_errors(OPTIONS):
            bounded = None if self.bound is None else BoundedLeastSquares(self.bound, jax.random.key(_BOOTSTRAP_SEED))
            return InversionOptions(
                prior=self.prior,
                method=self.method,
                level=self.level,
                tolerance=self.tolerance,
                memory_limit=bytes_of(self.memory_limit),
                estimator=LeastSquares() if bounded is None else bounded,
                background=self.background,
                green=self.green,
            )


@Parameter(name="*", group=Group("Very large samples", sort_key=4))
@dataclass(frozen=True, kw_only=True)
class SubdomainInput:
    """Options of an inversion by overlapping windows.

    Parameters
    ----------
    subdomains
        Solve by overlapping windows, for samples too large to factor whole, and keep the work in this directory: the
        same command continues from it. It may be removed when the results are complete.
    core
        Edge of the inner part of a window, whose grains get their results from it, µm; 7 times the depth of the deepest
        grain by default.
    buffer
        Width of the frame around the core in which grains are unknown too, µm; 3.5 times that depth by default.
    draws
        Maps of noise that are solved in addition to the measured one, for the part of the radii that comes from grains
        outside a window; 16 by default.
    seed
        Seed of the maps of noise, 0 by default.
    workers
        Local processes, which share the cores; this process by default.
    scheduler
        Address of the scheduler of a Dask cluster whose workers see the directory, `tcp://host:8786`.
    """

    subdomains: Path | None = None
    core: float | None = None
    buffer: float | None = None
    draws: int | None = None
    seed: int | None = None
    workers: int | None = None
    scheduler: str | None = None

    def check(self) -> None:
        """Raise ValueError for options without ``--subdomains``, and for workers that are not allowed."""
        names = ("core", "buffer", "draws", "seed", "workers", "scheduler")
        given = [f"--{name}" for name in names if getattr(self, name) is not None]
        if self.subdomains is None and given:
            msg = f"{', '.join(given)} belong to --subdomains DIR, which is not given"
            raise InputError(msg)
        check_helpers(self.workers, self.scheduler)


@Parameter(name="*", group=Group("The results", sort_key=5))
@dataclass(frozen=True, kw_only=True)
class ResultInput:
    """Options of a command that writes the results of an inversion.

    Parameters
    ----------
    out
        Directory to make for the results. It appears when all of them are complete.
    limit
        Uncertainty ratio up to which a grain is trusted, as a fraction.
    overwrite
        Replace a directory of results; one that holds anything else is refused.
    no_figures
        Write no figures.
    page
        Write `page.html` too: one file with linked views of the results, for a browser. It needs no network.
    select
        CSV file with the ids of grains to report on, as the page saves it. All grains are solved for, because the
        field of those left out would be taken for that of the others; the table tells which are selected, and the sum
        of their moments is printed.
    verbose
        Print a longer summary: thresholds of the signal strength, counts at other limits.
    json
        Print one JSON object instead of the summary, for programs.
    """

    out: Path
    limit: float = 0.10
    overwrite: Annotated[bool, Parameter(show_default=False)] = False
    no_figures: Annotated[bool, Parameter(show_default=False)] = False
    page: Annotated[bool, Parameter(show_default=False)] = False
    select: Path | None = None
    verbose: Annotated[bool, Parameter(show_default=False)] = False
    json: Annotated[bool, Parameter(show_default=False)] = False

    def check(self) -> None:
        """Raise an error for a limit that is not positive and finite, and for a page without the library for it."""
        if self.page:
            require_bokeh()
        if not 0 < self.limit < math.inf:
            msg = f"--limit must be a positive uncertainty ratio as a fraction, e.g. 0.1; got {self.limit!r}"
            raise InputError(msg)

    def selected(self, grains: Grains) -> Bool[np.ndarray, " grain"] | None:
        """Return which grains the file of ``--select`` names, None without it; warn of ids that no grain has.

        Parameters
        ----------
        grains
            The grains that are solved for.

        Raises
        ------
        ValueError
            If no grain has one of the ids.
        """
        if self.select is None:
            return None
        ids = read_selected_ids(self.select)
        members = np.isin(grains.ids, ids)
        unknown = ids[~np.isin(ids, grains.ids)]
        if not members.any():
            known = ", ".join(map(str, np.asarray(grains.ids)[:3]))
            msg = (
                f"none of its {len(ids)} ids is that of a grain; the first is {ids[0]}, those of grains are {known}, …"
            )
            raise InputError(msg, where=str(self.select))
        if len(unknown):
            warnings.warn(
                f"{self.select}: {len(unknown)} of its {len(ids)} ids are not those of grains that are solved for, "
                f"the first is {unknown[0]}",
                stacklevel=2,
            )
        return members


@runtime_checkable
class OptionGroup(Protocol):
    """A dataclass whose fields are options."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field]]


def option_values(*groups: OptionGroup) -> dict[str, OptionValue]:
    """Return the options that have a value, by name, for the record of provenance."""
    values = {field.name: getattr(each, field.name) for each in groups for field in dataclasses.fields(each)}
    return {name: value for name, value in values.items() if value is not None}
