"""Write a simulated sample as files that `mmtjax invert` reads."""

import json
from collections.abc import Mapping
from pathlib import Path

from mmtjax.io.cuboids import write_cuboids
from mmtjax.io.provenance_record import write_provenance
from mmtjax.io.tables import write_table
from mmtjax.io.text import AnyPath, JsonValue
from mmtjax.simulation import Simulation

_MAP, _GRAINS, _TRUTH = "map.nc", "grains.txt", "truth.csv"


def fill_sample(directory: AnyPath, simulation: Simulation, *, provenance: Mapping[str, JsonValue]) -> None:
    """Write a simulated sample into an existing directory, for example one of `output_directory`.

    Parameters
    ----------
    directory
        The directory, for ``map.nc`` (Bz with noise in nT, its standard deviation, x and y in µm), ``grains.txt``
        (cuboids), ``truth.csv`` (`Simulation.table`) and ``provenance.json``.
    simulation
        The sample, as `mmtjax.simulate` returns it.
    provenance
        As `mmtjax.io.provenance` returns it.
    """
    folder = Path(directory)
    record = json.dumps(dict(provenance), indent=1, ensure_ascii=False)
    maps = simulation.scan.to_xarray()
    maps["bz"].attrs["long_name"] = "Bz of a simulated sample, mean over a sensor, with noise"
    maps.assign_attrs(provenance=record).to_netcdf(folder / _MAP, engine="h5netcdf")
    write_cuboids(folder / _GRAINS, simulation.grains)
    write_table(folder / _TRUTH, simulation.table(), comment="true magnetizations of a simulated sample; z is up")
    write_provenance(folder, provenance)
