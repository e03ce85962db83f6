"""Damaged files that crash, hang or fill the memory of the libraries that read them: the caller gets an answer."""

import ast
import io
import multiprocessing
import os
import resource
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
import xarray

from mmtjax.errors import InputError, MemoryLimitError, SetupError
from mmtjax.io import child_reader, describe, read_scan, untrusted
from mmtjax.io.netcdf_file import load_dataset
from mmtjax.io.npy import load_npy, load_npz
from mmtjax.io.untrusted import read_untrusted

FIELD = np.arange(12.0).reshape(3, 4)


@pytest.fixture
def mat(tmp_path):
    file = tmp_path / "Bz_uc0.mat"
    scipy.io.savemat(file, {"Bz": FIELD, "step": 4.7e-6})
    return file


@pytest.fixture
def reader(monkeypatch, tmp_path):
    """Put a script in the place of the one that reads files, and return what reading then raises."""

    def read(script, kind=InputError):
        file = tmp_path / "reader.py"
        file.write_text(f"import sys\n{script}\n")
        monkeypatch.setattr(child_reader, "__file__", str(file))
        (tmp_path / "a.nc").write_bytes(b"CDF")
        with pytest.raises(kind) as caught:
            read_untrusted(tmp_path / "a.nc", reader="netcdf", kind="NetCDF")
        assert str(tmp_path / "a.nc") in str(caught.value)
        return str(caught.value)

    return read


def test_one_byte_that_ends_scipy_by_a_signal(mat):
    content = bytearray(mat.read_bytes())
    content[176] = 0  # the type in the tag of the data of Bz
    mat.write_bytes(content)
    for reads in (describe, read_scan):
        with pytest.raises(InputError, match=r"Bz_uc0.mat does not read as a MAT file \(the library .* SIGSEGV\)"):
            reads(mat)


def test_a_library_without_end_is_ended_after_its_computing_time(reader, monkeypatch):
    monkeypatch.setattr(untrusted, "_SECONDS", 1)
    begin = time.monotonic()
    text = reader(
        "import json, resource\nseconds = json.loads(sys.argv[1])['seconds']\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))\nwhile True: pass"
    )
    assert "did not end within 1 s of computing" in text
    assert time.monotonic() - begin < 60


def test_a_library_that_waits_is_ended_too(reader, monkeypatch):
    monkeypatch.setattr(untrusted, "_SECONDS", 1)
    monkeypatch.setattr(untrusted, "_PATIENCE", 2)
    assert "did not end within" in reader("import time; time.sleep(600)")


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("sys.exit(3)", "ended with code 3"),
        ("print('half a line', end='')", "ended with code 0"),
        ('print(\'{"arrays": [["a", "<f8", [1000]]], "facts": {}}\'); print(\'short\')', "ended with code 0"),
        ("import os; os.kill(os.getpid(), 9)", "crashed, with SIGKILL"),
    ],
)
def test_a_process_that_does_not_finish_its_answer(reader, script, text):
    assert f"does not read as NetCDF (the library that reads it {text})" in reader(script)


def test_memory_is_limited(tmp_path, monkeypatch):
    # Deflated zeros: a few MB that take 8 GiB.
    with h5py.File(tmp_path / "bomb.nc", "w") as file:
        file.create_dataset("bz", (2**15, 2**15), np.float64, chunks=(2**10, 2**10), compression="gzip", fillvalue=0.5)
    monkeypatch.setattr(untrusted, "available_memory", lambda: 2**20)
    with pytest.raises(MemoryLimitError, match=r"bomb.nc: reading it as NetCDF takes more than 1.0 GiB of memory"):
        read_scan(tmp_path / "bomb.nc")


def test_without_an_interpreter(mat, monkeypatch):
    monkeypatch.setattr(multiprocessing.spawn, "get_executable", lambda: "/nowhere/python")
    with pytest.raises(SetupError, match=r"'/nowhere/python', does not start .* multiprocessing.set_executable"):
        read_scan(mat)


def test_the_process_imports_nothing_of_the_package_and_is_quick(mat):
    tree = ast.parse(Path(child_reader.__file__).read_text(encoding="utf-8"))
    names = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert names
    assert not [name for name in names if "mmtjax" in name or "jax" in name]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    read_untrusted(mat, reader="mat", kind="a MAT file")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # 0.15 s to 0.35 s; other work on the machine makes computing slower as well.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_a_script_without_guard_and_a_hostile_folder(mat, tmp_path):
    (tmp_path / "scipy.py").write_text("raise SystemExit('the working directory is not a place to import from')")
    (tmp_path / "code").mkdir()
    script = tmp_path / "code" / "script.py"
    script.write_text(f"from mmtjax.io.qdmlab import load_mat\nprint(load_mat({str(mat)!r}).listed)\n")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout == "Bz, step\n"


def test_arrays_of_every_kind_arrive_as_they_are(tmp_path):
    arrays = {
        "big_endian": FIELD.astype(">f4"),
        "empty": np.zeros((0, 3)),
        "complex_numbers": FIELD + 1j,
        "columns_first": np.asfortranarray(FIELD),
        "text": np.array(["abc", "de"]),
        "no_text": np.array([""]),
        "flags": FIELD > 3,
    }
    with (tmp_path / "content").open("wb") as stream:
        child_reader.write_content(child_reader.Content(arrays, {"a": [1, "µ"]}), stream)
    with (tmp_path / "content").open("rb") as stream:
        content = untrusted._reply(stream).content
    assert content.facts == {"a": [1, "µ"]}
    for name, array in arrays.items():
        assert content.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(content.arrays[name], array)


def test_netcdf_is_decoded_as_xarray_decodes_it(tmp_path):
    packed = {"scale_factor": np.float32(0.5), "add_offset": np.float32(3), "_FillValue": np.int16(-1)}
    dataset = xarray.Dataset(
        {
            "bz": (("y", "x"), FIELD, {"units": "nT"}),
            "packed": (("y", "x"), FIELD),
            "when": ("t", np.array(["2020-01-01", "2020-01-03"], "datetime64[ns]")),
            "names": ("t", np.array(["a", "bcd"], object)),
            "flag": ((), True),
        },
        coords={"x": [1.0, 2, 3, 4], "y": np.array([1, 2, 3], np.int16)},
        attrs={"sensor_height": 5.0, "axis": [0.0, 0.8, 0.6], "title": "µT"},
    )
    dataset["packed"].encoding |= packed | {"dtype": np.int16}
    dataset["packed"][0, 0] = np.nan
    dataset.to_netcdf(tmp_path / "4.nc", engine="h5netcdf")
    dataset.to_netcdf(tmp_path / "3.nc", engine="scipy")
    for name, engine in (("4.nc", "h5netcdf"), ("3.nc", "scipy")):
        from_xarray = xarray.load_dataset(tmp_path / name, engine=engine)
        mine = load_dataset(tmp_path / name)
        xarray.testing.assert_identical(mine, from_xarray)
        for variable in from_xarray.variables:
            assert mine[variable].dtype.kind == from_xarray[variable].dtype.kind


def test_npy_files_that_are_none(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([1, "a"], object), allow_pickle=True)
    np.save(tmp_path / "texts.npy", np.array(["a"]))
    (tmp_path / "garbage.npy").write_bytes(b"some text of another program")
    good = io.BytesIO()
    np.save(good, FIELD)
    header = good.getvalue()
    (tmp_path / "token.npy").write_bytes(header.replace(b"(3, 4), }", b"(3, 4, }}"))
    huge = b"(3, 10000000000000000000), }"
    (tmp_path / "huge.npy").write_bytes(header.replace(b"(3, 4), }".ljust(len(huge)), huge))
    for name, text in {
        "objects.npy": "Python objects, which are not read, because reading them runs code",
        "texts.npy": "holds values of type <U1 where numbers are expected",
        "garbage.npy": "is not a .npy file: it begins with b'some t'",
        "token.npy": "does not read as a .npy array",
        "huge.npy": "does not read as a .npy array",
    }.items():
        with pytest.raises(InputError, match=text) as caught:
            load_npy(tmp_path / name)
        assert "allow_pickle" not in str(caught.value)


def test_npz_files_that_are_none(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", a=FIELD)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    for place in (6, content.index(b"PK\x01\x02") + 8):
        content[place] |= 0x41  # encrypted
    (tmp_path / "encrypted.npz").write_bytes(content)
    np.savez(tmp_path / "objects.npz", a=np.array([1, "a"], object))
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("encrypted.npz", "objects.npz", "text.npz"):
        with pytest.raises(InputError, match=name):
            load_npz(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("readme", "not an array")
    assert list(load_npz(tmp_path / "a.npz")) == ["a"]
    monkeypatch.setattr("mmtjax.io.npy.available_memory", lambda: 100)
    with pytest.raises(MemoryLimitError, match="more than half of the memory"):
        load_npz(tmp_path / "a.npz")


def test_tiff_without_rows(tmp_path):
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.ones((2, 3, 4), np.uint8), photometric="minisblack", compression="zlib")
    content = file.read_bytes()
    rows = content.index(b"\x16\x01")
    file.write_bytes(content[: rows + 8] + bytes(4) + content[rows + 12 :])
    with pytest.raises(InputError, match=r"a.tif does not read as a TIFF image"):
        describe(file)


@pytest.mark.parametrize(
    "name",
    ["segv_input.mat", "hang.nc", "fz_00_a.npy", "fz_03_a.npz", "fz_05_a.tif", "fz_06_z.tif", "fz_07_n3.nc"],
)
def test_files_that_broke_the_readers(data, name):
    file = data.parent / "cases" / name
    if not file.exists():
        pytest.skip(f"no test data: {file} does not exist")
    with pytest.raises(InputError, match=name):
        describe(file)
