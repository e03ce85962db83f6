"""Text files with changed bytes: tables of grains, maps, moments, windows, and JSON."""

import functools
import json

import numpy as np
import pytest

from mmtjax.io import describe, read_domainbounds, read_grains, read_moments, read_scan, sensor_grid_from_json
from tests.fuzz.mutation import failures

HEADINGS = (
    "Time Step;Label Index;Name (NA);Voxel count;Volume (mm³);"
    "Center Of Mass X (mm);Center Of Mass Y (mm);Center Of Mass Z (mm)\n"
)
METADICT = {
    "Scan height Hz": 2e-6,
    "Scan area x-dimension Sx": 4.8e-6,
    "Scan area y-dimension Sy": 3.6e-6,
    "Scan x-step Sdx": 1.2e-6,
    "Scan y-step Sdy": 1.2e-6,
    "Sensor origin x": 0.0,
    "Sensor origin y": 1e-6,
}
DCI = {
    "Sensor center domain LL-x-y": [0.0, 0.0],
    "Sensor center domain UR-x-y": [3e-6, 2e-6],
    "Scan spacing": 1e-6,
    "Scan delta-x": 5e-7,
    "Scan delta-y": 5e-7,
    "Scan area": 1e-12,
    "Scan height": 2e-6,
}
MAP = "\n".join(" ".join(f"{value:.3f}" for value in row) for row in np.arange(12.0).reshape(3, 4) - 5)

#: What a file holds, and the readers beside `describe`.
SEEDS = {
    "cuboids.txt": (
        "0 0 -5 1 1 1 7\n2 0 -5 1 1 1 7\n9 9 -8 1 2 1 3\n",
        functools.partial(read_grains, format="cuboids"),
    ),
    "cuboids.csv": ("x,y,z,dx,dy,dz,id\n0,0,-5,1,1,1,7\n3,0,-5,1,1,1,8\n", read_grains),
    "voxels.txt": (
        "ind x y z\n2 0 0 0\n2 1 0 0\n1 5 5 1\n",
        functools.partial(read_grains, format="voxels", spacing=1, origin=(0, 0, -9)),
    ),
    "grain_loc.csv": (
        HEADINGS + "0;4;;12.0;8e-9;0.010;0.020;0.110\n0;9;;20.0;1e-9;0.030;0.040;0.140\n",
        functools.partial(read_grains, format="dragonfly", surface="zmax"),
    ),
    "position_grains.txt": (
        "1e-5 2e-5 -1e-5 1e-18 4\n2e-5 1e-5 -2e-5 1e-18 5\n",
        functools.partial(read_grains, format="positions"),
    ),
    "stable_moments.txt": ("1e-14 2e-14 3e-14 8e-18 4\n1e-14 2e-14 3e-14 8e-18 5\n", read_moments),
    "map_nT.txt": (MAP, functools.partial(read_scan, format="text", unit="nT", spacing=1, height=2)),
    "map_nT.csv": (MAP.replace(" ", ";"), functools.partial(read_scan, format="text", unit="nT", spacing=1, height=2)),
    "domainbounds.txt": ("10\n20\n5\n6\n", read_domainbounds),
    "MetaDict.json": (json.dumps(METADICT), sensor_grid_from_json),
    "scan.json": (json.dumps(DCI), sensor_grid_from_json),
}


def fuzz(tmp_path, name, *, count, seed):
    text, read = SEEDS[name]
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    readers = {"describe": describe, "read": read}
    for each in readers.values():
        each(file)
    return failures(file, readers, count=count, seed=seed)


@pytest.mark.parametrize("name", SEEDS)
def test_changed_bytes_of_text_files(tmp_path, name):
    assert fuzz(tmp_path, name, count=60, seed=1) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_many_changed_bytes_of_text_files(tmp_path, name):
    assert fuzz(tmp_path, name, count=300, seed=2) == []
