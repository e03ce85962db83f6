"""Tables of a study against counts by hand, and against laws that made-up grains follow."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas
import pytest
import xarray

from mmtjax.io.tables import read_table, write_table
from mmtjax.study.cell import Cell
from mmtjax.study.config import StudyConfig
from mmtjax.study.convergence import convergence_table, mean_changes
from mmtjax.study.pool import Pool, pooled_samples, sample_values
from mmtjax.study.ratio_table import order_statistic, ratio_table
from mmtjax.study.read import open_study
from mmtjax.study.report_tables import study_tables
from mmtjax.study.scaling import noise_table, scan_table
from mmtjax.study.store import write_cell, writing
from mmtjax.study.strengths import distribution_table, share_above, threshold_table
from tests.study_samples import INTERVALS, NOISES, made_up_pools, made_up_samples


@pytest.fixture(scope="module")
def pools() -> dict[float, Pool]:
    return made_up_pools(side=200.0, thickness=50.0, density=25000.0)


def test_order_statistics_keep_infinite_values_in_order() -> None:
    values = np.array([5.0, np.inf, 1.0, 2.0, np.inf, 3.0, 4.0])
    assert [order_statistic(values, share) for share in (0.1, 0.25, 0.5, 0.75)] == [1.0, 2.0, 4.0, np.inf]


def test_ratios_are_those_of_the_sorted_grains(pools: dict[float, Pool]) -> None:
    table = ratio_table(pools[2.0])
    assert table["noise"].tolist() == list(NOISES)
    for row, ratios in zip(table.itertuples(), pools[2.0].uncertainty_ratio, strict=True):
        ordered = sorted(ratios)
        count = len(ordered)
        assert (row.repeats, row.grains, row.unknown) == (3, count, 0)
        assert (row.minimum, row.maximum) == (ordered[0], ordered[-1])
        for share, value in ((0.25, row.first_quartile), (0.5, row.median), (0.75, row.third_quartile)):
            assert sum(ratio <= value for ratio in ordered) >= share * count
            assert sum(ratio < value for ratio in ordered) < share * count
        for limit, share in ((0.01, row.within_1), (0.10, row.within_10), (1.0, row.within_100)):
            assert share == sum(ratio <= limit for ratio in ordered) / count


def test_grains_of_failed_inversions_are_not_resolved(pools: dict[float, Pool]) -> None:
    lost = pools[1.0].repeat == 1
    infinite = {
        name: np.where(lost, np.inf, getattr(pools[1.0], name)) for name in ("confidence_radius", "uncertainty_ratio")
    }
    table = ratio_table(dataclasses.replace(pools[1.0], **infinite))
    assert (table["unknown"] == lost.sum()).all()
    assert np.isinf(table["maximum"]).all()
    assert (table["within_100"] <= 2 / 3).all()


def test_thresholds_are_the_smallest_that_are_pure_enough(pools: dict[float, Pool]) -> None:
    pool = pools[5.0]
    table = threshold_table(pool)
    assert len(table) == len(NOISES) * 8
    for row in table.itertuples():
        ratio = pool.uncertainty_ratio[NOISES.index(row.noise)]
        pure = [
            strength
            for strength in pool.signal_strength_ratio
            if np.mean(ratio[pool.signal_strength_ratio >= strength] <= row.limit) >= row.purity
        ]
        assert row.ssr == (min(pure) if pure else np.inf)
        chosen = pool.signal_strength_ratio >= row.ssr
        assert row.selected == chosen.sum()
        assert row.violators == np.sum(ratio[chosen] > row.limit)
        assert (row.resolved, row.total) == (np.sum(ratio <= row.limit), ratio.size)


def test_the_distribution_counts_grains() -> None:
    strengths = 10 ** np.random.default_rng(3).normal(-3, 1, 4000)
    table = distribution_table({75.0: strengths[:1000], 50.0: strengths})
    assert sorted(set(table["thickness"])) == [50.0, 75.0]
    assert table[table["thickness"] == 50]["share"].iloc[[0, -1]].tolist() == [1.0, 0.0]
    for ssr in (1e-5, 9.8e-4, 3.4e-3, 0.1):
        assert share_above(table, thickness=50.0, ssr=ssr) == pytest.approx(np.mean(strengths >= ssr), abs=2e-3)
    assert share_above(table, thickness=50.0, ssr=1e-9) == 1.0
    assert share_above(table, thickness=50.0, ssr=1e4) == 0.0
    with pytest.raises(ValueError, match=r"no thickness of 60 µm; it has \[50.0, 75.0\]"):
        share_above(table, thickness=60.0, ssr=1e-3)


def tiny(ratio: list[float], repeat: list[int]) -> Pool:
    """One noise level, SSR falling from 1 by tenths."""
    count = len(ratio)
    return Pool(
        side=200.0,
        thickness=50.0,
        density=1e4,
        interval=1.0,
        noise=np.array([5.0]),
        repeat=np.array(repeat),
        depth=np.full(count, 10.0),
        volume=np.ones(count),
        signal_strength_ratio=10.0 ** -np.arange(count),
        crowded_signal_strength=10.0 ** -np.arange(count),
        confidence_radius=np.array([ratio]),
        uncertainty_ratio=np.array([ratio]),
    )


def test_convergence_is_what_each_repeat_changes() -> None:
    # Repeats 2, 5 and 7 are there; medians 0.02, 0.03, 0.03; the threshold falls to 1e-1, 1e-1, 1e-4.
    table = convergence_table(tiny([0.02, 0.01, 0.5, 0.03, 0.09, 0.04], [2, 2, 2, 5, 7, 7]))
    assert table["repeats"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(table["median"], [0.02, 0.02, 0.03])
    np.testing.assert_allclose(table["median_change"], [np.nan, 0.0, 0.5])
    np.testing.assert_allclose(table["ssr"], [0.1, 0.1, 0.1])
    later = convergence_table(tiny([0.5, 0.02, 0.02, 0.02], [0, 1, 2, 3]))
    assert np.isinf(later["ssr"]).all()
    assert later["ssr_change"].isna().all()
    moving = convergence_table(tiny([0.02, 0.02, 0.02, 0.02], [0, 0, 1, 1]))
    np.testing.assert_allclose(moving["ssr_change"], [np.nan, 2.0])


def test_mean_changes_are_means_over_models() -> None:
    table = pandas.DataFrame(
        {
            "density": [1e3, 1e3, 1e4, 1e4],
            "repeats": [1, 2, 1, 2],
            "median_change": [np.nan, 0.2, np.nan, 0.4],
            "ssr_change": [np.nan, 0.1, np.nan, np.nan],
        }
    )
    overall = mean_changes(table)
    assert overall["repeats"].tolist() == [2]
    np.testing.assert_allclose(overall[["median_change", "ssr_change"]], [[0.3, 0.1]])
    assert mean_changes(table, "density")["median_change"].tolist() == [0.2, 0.4]


def test_the_scaling_with_noise_is_measured_grain_by_grain(pools: dict[float, Pool]) -> None:
    exact = noise_table(pools[1.0])
    assert exact["noise"].tolist() == [20.0, 50.0, 100.0]
    assert exact["radius_deviation"].max() < 1e-12
    np.testing.assert_allclose(exact[["ratio_low", "ratio_median", "ratio_high", "median_factor"]], 1, rtol=1e-12)
    radius = pools[1.0].confidence_radius.copy()
    radius[2, 7] *= 0.9
    ratio = pools[1.0].uncertainty_ratio.copy()
    ratio[3] *= 2
    off = noise_table(dataclasses.replace(pools[1.0], confidence_radius=radius, uncertainty_ratio=ratio))
    np.testing.assert_allclose(off["radius_deviation"], [0, 0.1, 0], atol=1e-12)
    np.testing.assert_allclose(off["median_factor"], [1, 1, 2])


def test_coarse_scans_are_compared_at_equal_readings(pools: dict[float, Pool]) -> None:
    """Made-up radii grow as the interval, which is what independent readings do."""
    table = scan_table(pools)
    assert sorted(set(table["interval"])) == [2.0, 4.0, 5.0]
    np.testing.assert_allclose(table[["minimum", "median", "maximum", "within_5"]], 1, rtol=1e-12)
    shallow = pools[2.0].depth <= 5
    radius = pools[2.0].confidence_radius * np.where(shallow, 3.0, 1.0)
    missed = scan_table(pools | {2.0: dataclasses.replace(pools[2.0], confidence_radius=radius)})
    rows = missed[missed["interval"] == 2].set_index(["depth_from", "depth_to"])
    assert rows.loc[(0, 5), "median"] == pytest.approx(3)
    assert rows.loc[(0, 5), "grains"] == shallow.sum()
    assert rows.loc[(5, 10), "within_5"] == 1
    assert rows.loc[(0, np.inf), "within_5"] == pytest.approx(1 - shallow.mean())


def test_coarse_scans_need_the_same_grains(pools: dict[float, Pool]) -> None:
    fewer = scan_table(pools | {2.0: pools[2.0].select(pools[2.0].repeat != 0)})
    whole = fewer[(fewer["depth_to"] == np.inf) & (fewer["depth_from"] == 0)]
    assert whole.set_index("interval")["grains"].to_dict() == {2.0: 100, 4.0: 150, 5.0: 150}
    other = dataclasses.replace(pools[2.0], signal_strength_ratio=pools[2.0].signal_strength_ratio[::-1])
    with pytest.raises(ValueError, match="grains at 2 µm are not those at 1 µm"):
        scan_table(pools | {2.0: other})


def test_every_table_has_units_and_survives_a_file(tmp_path: Path) -> None:
    tables = study_tables(made_up_samples(repeats=2))
    assert len(tables.ratios) == len(tables.thresholds) / 8 == 2 * 2 * 4 * len(INTERVALS) * len(NOISES)
    for name, table in tables._asdict().items():
        without = [column for column in table.select_dtypes("float") if column not in table.attrs["units"]]
        assert not set(without) - {"reached"}, name
        back = read_table(write_table(tmp_path / f"{name}.csv", table, comment="made up\nby hand"))
        assert back.attrs == table.attrs
        pandas.testing.assert_frame_equal(back, table, rtol=1e-5, check_dtype=False)


def test_no_samples_is_an_error() -> None:
    with pytest.raises(ValueError, match="no finished cells"):
        study_tables([])


def test_a_file_without_a_table_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "empty.csv"
    file.write_text("# nothing\n")
    with pytest.raises(ValueError, match="holds no table"):
        read_table(file)


CONFIG = StudyConfig(
    name="small",
    seed=1,
    side=(200.0,),
    thickness=(50.0,),
    density=(2.5e3, 5e3),
    interval=(1.0, 2.0),
    noise=(5.0, 20.0),
    repeats=3,
)


def cell_data(cell: Cell, *, failure: str = "") -> xarray.Dataset:
    """Return five grains whose volumes depend on the cell."""
    number = 100 * cell.repeat + cell.density + np.arange(5.0)
    ratio = np.stack([number, 4 * number]) * cell.interval
    if failure:
        ratio = ratio * np.nan
    return xarray.Dataset(
        {
            "position": (("grain", "axis"), np.column_stack([number, number, -number])),
            "volume": ("grain", number),
            "signal_strength_ratio": ("grain", 1 / number),
            "confidence_radius": (("noise", "grain"), 10 * ratio),
            "uncertainty_ratio": (("noise", "grain"), ratio),
        },
        {"noise": ("noise", np.array(CONFIG.noise))},
        attrs={"failure": failure},
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of which the last repeat of the denser sample is missing at 2 µm, and one inversion failed."""
    with writing(tmp_path / "study.zarr", CONFIG) as place:
        for cell in CONFIG.cells():
            if (cell.density, cell.interval, cell.repeat) != (5e3, 2, 2):
                failed = (cell.density, cell.interval, cell.repeat) == (2.5e3, 1, 1)
                write_cell(place, cell, cell_data(cell, failure="too few sensors" if failed else ""))
    return tmp_path / "study.zarr"


def test_pools_hold_what_the_store_holds(store: Path) -> None:
    study = open_study(store)
    assert sample_values(study) == [(200, 50, 2500), (200, 50, 5000)]
    sparse, dense = pooled_samples(study)
    assert dense[1.0].repeat.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert dense[2.0].repeat.tolist() == [0] * 5 + [1] * 5
    expected = np.concatenate([5000 + 100 * repeat + np.arange(5.0) for repeat in range(3)])
    np.testing.assert_array_equal(dense[1.0].volume, expected)
    np.testing.assert_array_equal(dense[1.0].depth, expected)
    np.testing.assert_array_equal(dense[1.0].uncertainty_ratio, [expected, 4 * expected])
    np.testing.assert_array_equal(dense[2.0].confidence_radius, 20 * np.array([expected, 4 * expected])[:, :10])
    lost = sparse[1.0].repeat == 1
    assert np.isinf(sparse[1.0].uncertainty_ratio[:, lost]).all()
    assert np.isfinite(sparse[1.0].uncertainty_ratio[:, ~lost]).all()


def test_tables_of_an_incomplete_store_tell_their_repeats(store: Path) -> None:
    study = open_study(store)
    reported = []
    tables = study_tables(pooled_samples(study), progress=lambda *values: reported.append(values), total=2)
    repeats = tables.ratios.groupby(["density", "interval"])["repeats"].first()
    assert repeats.to_dict() == {(2500, 1): 3, (2500, 2): 3, (5000, 1): 3, (5000, 2): 2}
    assert tables.ratios.groupby(["density", "interval"])["unknown"].first().to_dict()[(2500, 1)] == 5
    assert tables.distribution["grains"].unique().tolist() == [30]
    assert reported == [("tables", 1, 2), ("tables", 2, 2)]
