"""Moments that the group's programs have written, and how they are joined to grains."""

import numpy as np
import pytest

from mmtjax import Grains
from mmtjax.io import read_grains, read_moments


def test_moments_of_a_text_file(write):
    table = read_moments(write("stable_moments.txt", "1e-14 2e-14 3e-14 8e-18 4\n"))
    assert table.attrs["units"] == {"mx": "A m²", "my": "A m²", "mz": "A m²", "volume": "µm³"}
    assert table.loc[0].to_dict() == pytest.approx({"id": 4, "mx": 1e-14, "my": 2e-14, "mz": 3e-14, "volume": 8.0})


@pytest.mark.parametrize(("columns", "last"), [(3, "mz"), (8, "quadrupole_5"), (15, "octupole_7")])
def test_moments_of_an_archive(tmp_path, columns, last):
    moments = np.arange(2.0 * columns).reshape(2, columns) * 1e-15
    np.savez(tmp_path / "m.npz", inv_multipole_moments=moments, identifier=[5.0, 3.0], moments_std=moments / 10)
    table = read_moments(tmp_path / "m.npz")
    assert table["id"].tolist() == [5, 3]
    np.testing.assert_array_equal(table[last], moments[:, -1])
    np.testing.assert_array_equal(table[f"{last}_std"], moments[:, -1] / 10)
    assert table.attrs["units"]["mx_std"] == "A m²"


def test_moments_joined_to_grains(tmp_path, write):
    grains = Grains.from_volumes([[0, 0, -4], [9, 0, -4], [0, 9, -4]], [8.0, 8, 8], ids=[3, 4, 5])
    np.savez(tmp_path / "m.npz", inv_multipole_moments=[[1.0, 0, 0], [2.0, 0, 0]], identifier=[5, 3])
    table = read_moments(tmp_path / "m.npz", grains=grains)
    assert table["id"].tolist() == [3, 4, 5]
    np.testing.assert_array_equal(table["mx"], [2, np.nan, 1])
    assert table.attrs["units"]["mx"] == "A m²"
    np.savez(tmp_path / "n.npz", inv_multipole_moments=np.eye(3))
    assert read_moments(tmp_path / "n.npz", grains=grains)["id"].tolist() == [3, 4, 5]
    with pytest.raises(ValueError, match="no ids for its 3 rows, and no grains were given; pass grains="):
        read_moments(tmp_path / "n.npz")
    with pytest.raises(ValueError, match="1 of 1 ids, the first 9, belong to none of the 3 grains"):
        read_moments(write("stable_moments.txt", "1e-14 2e-14 3e-14 8e-18 9\n"), grains=grains)


def test_refused_moments(tmp_path, write):
    line = "1e-14 2e-14 3e-14 8e-18 4\n"
    with pytest.raises(ValueError, match="the grain id 4 occurs more than once"):
        read_moments(write("stable_moments.txt", line + line))
    np.savez(tmp_path / "a.npz", other=np.eye(3))
    with pytest.raises(ValueError, match="has no array 'inv_multipole_moments'; it has other"):
        read_moments(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", inv_multipole_moments=np.eye(4))
    with pytest.raises(ValueError, match=r"shape \(4, 4\); expected \(grain, 3\)"):
        read_moments(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", inv_multipole_moments=np.eye(3), identifier=[1, 2])
    with pytest.raises(ValueError, match="2 identifiers, .* for 3 rows"):
        read_moments(tmp_path / "c.npz")
    (tmp_path / "d.npz").write_bytes((tmp_path / "c.npz").read_bytes()[:-60])
    with pytest.raises(ValueError, match="cut short"):
        read_moments(tmp_path / "d.npz")
    with pytest.raises(ValueError, match="looks like 'moments', not like grains"):
        read_grains(write("stable_moments.txt", line))


def test_moments_of_the_basalt(data):
    folder = data / "basalt-af" / "NRM"
    grains = read_grains(folder / "position_grains.txt")
    every, stable = (
        read_moments(folder / name, grains=grains) for name in ("InvMagQuad_dipoles.npz", "stable_moments.txt")
    )
    kept = stable["mx"].notna()
    assert (len(every), kept.sum()) == (4347, 923)
    np.testing.assert_array_equal(stable.loc[kept, ["mx", "my", "mz"]], every.loc[kept, ["mx", "my", "mz"]])
    np.testing.assert_allclose(stable.loc[kept, "volume"], grains.volume[kept])
