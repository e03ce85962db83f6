"""The SSR threshold of a user's case: against models of a known threshold, analytic laws, and a small study."""

import math
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray
from scipy.optimize import brentq
from scipy.stats import norm

from mmtjax import cli, ssr_threshold
from mmtjax.io.output import LIST_OF_FILES
from mmtjax.io.tables import read_table
from mmtjax.sources.grains import Grains
from mmtjax.sources.shape_library import ShapeLibrary
from mmtjax.study import (
    NotCovered,
    StudyConfig,
    ThresholdCase,
    find_threshold,
    interpolate_threshold,
    open_study,
    run_study,
    threshold,
)
from mmtjax.study.cell import Cell, geometry_key
from mmtjax.study.pool import pooled
from mmtjax.study.resampling import resampled_thresholds, sample_counts, sampling_error
from mmtjax.study.store import write_cell, writing
from mmtjax.study.strengths import threshold_table
from mmtjax.study.threshold import ModelGrains

CASE = {"side": 200.0, "thickness": 50.0, "density": 1e4, "interval": 1.0, "noise": 5.0}


def law_model(edge: float, *, grains: int = 400, spread: float = 0.0) -> Callable[[jax.Array], ModelGrains]:
    """A model of strengths uniform in the logarithm over 1e-5 to 1, resolved at and above an edge and not below.

    The edge, in decades, scatters normally from sample to sample.
    """

    def model(key: jax.Array) -> ModelGrains:
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        decades = rng.uniform(-5.0, 0.0, grains)
        shifted = edge + spread * rng.normal()
        return ModelGrains(10**decades, np.where(decades >= shifted, 0.01, 10.0))

    return model


def true_decades(edge: float, spread: float, purity: float) -> float:
    """Threshold of `law_model` with endless samples: where the mean of min(t, edge) over t is the purity.

    Both are counted in decades below 1, and the mean is that of a normal variable cut off at t.
    """

    def excess(below: float) -> float:
        z = (below + edge) / spread
        cut = below * norm.sf(z) - edge * norm.cdf(z) - spread * norm.pdf(z)
        return cut / below - purity

    return -brentq(excess, 0.1, 5.0)


@pytest.mark.parametrize("purity", [0.99, 0.9])
def test_a_known_threshold_is_found_within_its_error(purity: float) -> None:
    true = true_decades(-3.0, 0.3, purity)
    deviations = []
    for seed in range(20):
        model = law_model(-3.0, spread=0.3)
        answer = find_threshold(
            jax.random.key(seed), **CASE, purities=(purity,), purity=purity, minimum=10, model=model
        )
        row = answer.table.iloc[0]
        assert answer.converged
        assert row["violators"] <= (1 - purity) * row["selected"] + 1e-9
        assert row["sampling_error"] < 0.25
        deviations.append((math.log10(row["ssr"]) - true) / row["sampling_error"])
    within = np.abs(deviations)
    assert np.mean(within <= 2) >= 0.8
    # An error that is far too large would hold all.
    assert np.mean(within <= 0.5) <= 0.7


@pytest.mark.parametrize("samples", [5, 20])
def test_the_sampling_error_is_the_scatter_of_answers(samples: int) -> None:
    errors, found = [], []
    for seed in range(40):
        answer = find_threshold(
            jax.random.key(seed),
            **CASE,
            purities=(0.9,),
            minimum=samples,
            maximum=samples,
            model=law_model(-2.0, spread=0.2, grains=200),
        )
        errors.append(answer.table["sampling_error"][0])
        found.append(math.log10(answer.table["ssr"][0]))
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(found, ddof=1), rel=0.35)


def test_models_are_run_until_the_threshold_is_stable_and_no_longer() -> None:
    calls, reported = [], []

    def jumping(key: jax.Array) -> ModelGrains:
        """Five samples, each resolved a decade less far than the one before; then many of the last kind."""
        calls.append(key)
        edge = -4.0 + min(len(calls), 5) * 0.7
        decades = np.linspace(-5, 0, 500)
        return ModelGrains(10**decades, np.where(decades >= edge, 0.01, 10.0))

    answer = find_threshold(
        jax.random.key(0), **CASE, model=jumping, progress=lambda *words: reported.append(words), maximum=40
    )
    table = answer.convergence
    assert answer.models == len(calls) == len(table)
    assert reported == [("models", number, 40) for number in range(1, len(calls) + 1)]
    assert answer.converged
    assert answer.models >= 7
    assert (table["ssr_change"].iloc[-3:] < 0.25).all()
    assert table["ssr_change"].iloc[1:5].max() >= 0.25
    assert len({jax.random.key_data(key).tobytes() for key in calls}) == len(calls)
    tight = find_threshold(jax.random.key(0), **CASE, model=law_model(-3.0, spread=0.5), stable=0.02, maximum=7)
    assert (tight.models, tight.converged) == (7, False)
    assert "NOT stable to 0.02 decades" in tight.how


def test_the_table_is_that_of_all_grains() -> None:
    model = law_model(-3.0, spread=0.2)
    answer = find_threshold(jax.random.key(3), **CASE, model=model, purities=(0.999, 0.9))
    parts = [model(jax.random.fold_in(jax.random.key(3), number)) for number in range(answer.models)]
    strength, ratio = (np.concatenate([part[number] for part in parts]) for number in range(2))
    for row in answer.table.itertuples():
        expected = ssr_threshold(strength, ratio, 0.1, row.purity)
        assert (row.ssr, row.selected, row.violators, row.recovered) == (
            expected.value,
            expected.selected,
            expected.violators,
            expected.recovered,
        )
        assert row.selected_share == expected.selected / expected.total


def test_other_statistics_stand_beside_the_ssr() -> None:
    def model(key: jax.Array) -> ModelGrains:
        plain = law_model(-3.0, spread=0.2)(key)
        # The one orders grains as the ratio does, the other at random.
        crowded = np.random.default_rng(4).uniform(1, 2, len(plain.uncertainty_ratio))
        return plain._replace(crowded_signal_strength=crowded, expected_uncertainty_ratio=2 * plain.uncertainty_ratio)

    answer = find_threshold(jax.random.key(3), **CASE, model=model, purities=(0.99, 0.9))
    table = answer.statistics.set_index(["statistic", "purity"])
    for row in answer.table.itertuples():
        same = table.loc["signal_strength_ratio", row.purity]
        assert (same["threshold"], same["selected"], same["violators"]) == (row.ssr, row.selected, row.violators)
        expected = table.loc["expected_uncertainty_ratio", row.purity]
        assert (expected["threshold"], expected["violators"], expected["recovered"]) == (0.02, 0, 1.0)
    assert table.loc["crowded_signal_strength", 0.99]["recovered"] < 0.5
    plain = find_threshold(jax.random.key(3), **CASE, model=law_model(-3.0), purities=(0.99,))
    assert plain.statistics["statistic"].tolist() == ["signal_strength_ratio"]


def test_what_is_never_resolved_has_an_infinite_threshold() -> None:
    def hopeless(key: jax.Array) -> ModelGrains:
        return ModelGrains(np.asarray(jax.random.uniform(key, 50)), np.full(50, np.inf), "singular")

    answer = find_threshold(jax.random.key(0), **CASE, model=hopeless)
    assert (answer.models, answer.failures, answer.converged) == (5, 5, True)
    assert np.isinf(answer.table["ssr"]).all()
    assert answer.table["sampling_error"].isna().all()
    assert "no selection of grains is pure enough" in answer.how
    assert "5 inversions failed" in answer.how


def test_thresholds_of_draws_are_those_of_the_repeated_grains() -> None:
    rng = np.random.default_rng(5)
    strength = rng.choice(np.logspace(-4, 0, 40), 300)
    ratio = 10 ** rng.normal(-1.5 - 0.8 * np.log10(strength / 1e-2), 0.7)
    sample = rng.integers(0, 6, 300)
    counts = sample_counts(6)[:25]
    purities = (0.99, 0.9, 0.5)
    found = resampled_thresholds(counts, strength, ratio, sample, limit=0.1, purities=purities)
    for count, row in zip(counts, found, strict=True):
        often = count[sample]
        expected = [
            ssr_threshold(np.repeat(strength, often), np.repeat(ratio, often), 0.1, purity).value for purity in purities
        ]
        assert row.tolist() == expected


def test_the_error_of_a_mean_is_what_statistics_say() -> None:
    values = np.random.default_rng(1).normal(0, 2, 12)
    means = sample_counts(12) @ values / 12
    error = sampling_error(means[:, None], 12)[0]
    assert error == pytest.approx(np.std(values, ddof=1) / math.sqrt(12), rel=0.12)
    draws = np.stack([np.full(400, np.inf), np.where(np.arange(400) < 200, -2.0, np.inf)], axis=1)
    assert sampling_error(draws, 12).tolist() == [0.0, np.inf]
    with pytest.raises(ValueError, match="at least 2 are needed"):
        sampling_error(means[:, None], 1)


def test_invalid_values_are_refused_before_a_model_is_run() -> None:
    def never(key: jax.Array) -> ModelGrains:
        raise AssertionError("a model was run")

    for wrong, message in [
        ({"interval": 1.5}, "interval of 1.5 µm is no multiple of 1 µm"),
        ({"density": 1.0}, "puts no grain into"),
        ({"noise": -5.0}, "noise must be"),
        ({"limit": 0.0}, "limit must be an uncertainty ratio"),
        ({"purities": (1.2,)}, "purities must be shares"),
        ({"stable": 0.0}, "stable must be"),
        ({"maximum": 3}, "got 5 and 3"),
    ]:
        with pytest.raises(ValueError, match=message):
            find_threshold(jax.random.key(0), **(CASE | wrong), model=never)
    with pytest.raises(TypeError, match="a threshold needs values for .*; noise is missing"):
        find_threshold(jax.random.key(0), **{name: CASE[name] for name in CASE if name != "noise"}, model=never)
    with pytest.raises(TypeError, match="give either ThresholdCase or its fields, not both; got noise too"):
        find_threshold(jax.random.key(0), ThresholdCase.from_fields(**CASE), noise=9.0, model=never)


#: A library of one shape.
CUBE = ShapeLibrary.from_grains(Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1]]))

DENSITIES, INTERVALS, NOISES = (2500.0, 1e4, 4e4), (1.0, 2.0, 4.0), (5.0, 20.0, 100.0)


def law(density: float, interval: float, noise: float) -> float:
    """Threshold of the made-up study, log-linear in the three."""
    return 3e-4 * (density / 1e4) ** 0.4 * interval**0.5 * (noise / 5) ** 0.6


def write_law_study(path: Path, *, repeats: int = 4, bend: float = 0.0, lacking: float | None = None) -> None:
    """A store whose grains are resolved at and above the law and not below; strengths lie on the law and close by."""
    config = StudyConfig(
        name="law",
        seed=1,
        side=(200,),
        thickness=(50,),
        density=DENSITIES,
        interval=INTERVALS,
        noise=NOISES,
        repeats=repeats,
    )
    with writing(path, config, provenance={}) as place:
        for cell in config.cells():
            if cell.density != lacking:
                write_cell(place, cell, law_dataset(cell, bend))


def law_dataset(cell: Cell, bend: float) -> xarray.Dataset:
    curved = 10 ** (bend * math.log10(cell.density / 1e4) ** 2)
    edges = np.array([law(cell.density, cell.interval, noise) * curved for noise in NOISES])
    all_edges = np.array([law(cell.density, interval, noise) * curved for interval in INTERVALS for noise in NOISES])
    strength = np.sort(np.concatenate([all_edges, all_edges * 0.999, np.logspace(-6, 1, 50)]))
    ratio = np.where(strength >= edges[:, None], 0.01, 10.0)
    count = len(strength)
    per_grain, per_level = np.ones(count), np.ones((len(NOISES), count))
    vector = np.ones((count, 3))
    entries = {
        "position": (("grain", "axis"), -vector),
        "volume": (("grain",), per_grain),
        "diameter": (("grain",), per_grain),
        "signal_strength_ratio": (("grain",), strength),
        "magnetization_true": (("grain", "component"), vector),
        "magnetization": (("noise", "grain", "component"), np.ones((len(NOISES), count, 3))),
        "confidence_radius": (("noise", "grain"), per_level),
        "uncertainty_ratio": (("noise", "grain"), ratio),
        "reduced_chi_square": (("noise",), np.ones(len(NOISES))),
        "condition": ((), np.array(1.0)),
    }
    return xarray.Dataset(
        {name: (dims, values, {"units": "1"}) for name, (dims, values) in entries.items()},
        {"noise": ("noise", np.array(NOISES), {"units": "nT"})},
        attrs={**cell._asdict(), "method": "cholesky", "failure": ""},
    )


@pytest.fixture(scope="module")
def law_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("law") / "study.zarr"
    write_law_study(path)
    return path


@pytest.mark.parametrize(
    ("density", "interval", "noise"),
    [(5e3, 1.0, 5.0), (1e4, 3.0, 20.0), (1e4, 1.0, 50.0), (2e4, 1.5, 10.0), (3e3, 2.9, 99.0)],
)
def test_a_log_linear_law_is_interpolated_exactly(
    law_store: Path, density: float, interval: float, noise: float
) -> None:
    case = CASE | {"density": density, "interval": interval, "noise": noise}
    answer = interpolate_threshold(open_study(law_store), **case, purities=(1.0,))
    row = answer.table.iloc[0]
    assert answer.source == "interpolation"
    assert row["ssr"] == pytest.approx(law(density, interval, noise), rel=1e-9)
    assert row["interpolation_error"] == pytest.approx(0.0, abs=1e-9)
    assert row["sampling_error"] == 0.0
    assert np.isnan(answer.table["selected"].astype(float)).all()
    beside = answer.statistics.set_index("statistic").loc["signal_strength_ratio"]
    assert (beside["threshold"], beside["recovered"]) == pytest.approx((row["ssr"], row["recovered"]))
    assert row["recovered"] == 1.0
    assert answer.how.startswith("interpolated for 200 × 200 × 50 µm")


def test_the_curvature_of_a_parabola_is_the_error_of_the_line(tmp_path: Path) -> None:
    write_law_study(tmp_path / "bent.zarr", repeats=2, bend=0.5)
    answer = interpolate_threshold(open_study(tmp_path / "bent.zarr"), **(CASE | {"density": 5e3}), purities=(1.0,))
    row = answer.table.iloc[0]
    true = math.log10(law(5e3, 1, 5)) + 0.5 * math.log10(0.5) ** 2
    assert abs(math.log10(row["ssr"]) - true) > 0.04
    assert row["interpolation_error"] == pytest.approx(abs(math.log10(row["ssr"]) - true), rel=1e-6)


def test_a_model_of_the_study_is_answered_by_its_own_table(law_store: Path) -> None:
    study = open_study(law_store)
    answer = interpolate_threshold(study, **CASE)
    members = [cell for cell in study.cells() if (cell.density, cell.interval) == (1e4, 1.0)]
    table = threshold_table(pooled(study, members)[1.0])
    table = table[(table["noise"] == 5.0) & (table["limit"] == 0.10)].set_index("purity")
    assert answer.source == "study"
    assert answer.models == 4
    for row in answer.table.itertuples():
        expected = table.loc[row.purity]
        assert (row.ssr, row.selected, row.violators) == tuple(expected[["ssr", "selected", "violators"]])
        assert row.recovered == expected["recovered"]
    assert answer.how.startswith("taken from the study law, 4 samples of 200 × 200 × 50 µm with 10000 grains per mm³")


def test_what_the_study_does_not_cover_is_refused(law_store: Path, tmp_path: Path) -> None:
    study = open_study(law_store)
    for wrong, message in [
        ({"thickness": 60.0}, "does not cover a thickness of 60 µm; it has samples of side 200 µm, 50 µm thick"),
        ({"side": 300.0}, "does not cover a side of 300 µm"),
        ({"density": 1e5}, "density of 100000 1/mm³; it has .* with 2500 to 40000 grains per mm³"),
        ({"noise": 1.0}, "a noise of 1 nT"),
        ({"interval": 5.0}, "an? interval of 5 µm"),
        ({"height": 5.0}, "height=5.0"),
        ({"directions": "isotropic"}, "directions='isotropic'"),
        ({"clearance": 5.0}, "clearance=5.0"),
        ({"library": CUBE}, "does not cover grains of other shapes than its own"),
    ]:
        with pytest.raises(NotCovered, match=message):
            interpolate_threshold(study, **(CASE | wrong))
    write_law_study(tmp_path / "young.zarr", repeats=2, lacking=2500.0)
    with pytest.raises(NotCovered, match="0 complete repeats with 2500 grains per mm³ and intervals of 1 µm"):
        interpolate_threshold(open_study(tmp_path / "young.zarr"), **(CASE | {"density": 5e3}))
    # The curvature is not known as long as the third value is missing.
    beside = interpolate_threshold(open_study(tmp_path / "young.zarr"), **(CASE | {"density": 2e4}), purities=(1.0,))
    assert beside.table["ssr"][0] == pytest.approx(law(2e4, 1, 5))
    assert np.isnan(beside.table["interpolation_error"][0])


TINY = {"side": 40.0, "thickness": 30.0, "density": 4e5, "interval": 2.0, "noise": 300.0}


@pytest.fixture(scope="module")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one model, run."""
    path = tmp_path_factory.mktemp("tiny") / "study.zarr"
    values = {name: (value,) for name, value in TINY.items()}
    run_study(StudyConfig(name="tiny", seed=11, repeats=4, **values), path, workers=0)
    return path


def test_models_agree_with_a_study_of_the_same_case(tiny_store: Path) -> None:
    known = interpolate_threshold(open_study(tiny_store), **TINY, purities=(0.95, 0.90))
    found = find_threshold(jax.random.key(2), **TINY, purities=(0.95, 0.90), minimum=4, maximum=4)
    assert (known.source, known.models) == ("study", 4)
    assert (found.source, found.models, found.failures) == ("models", 4, 0)
    for ours, theirs in zip(found.table.itertuples(), known.table.itertuples(), strict=True):
        error = math.hypot(ours.sampling_error, theirs.sampling_error)
        assert 0 < error < 1
        assert abs(math.log10(ours.ssr / theirs.ssr)) <= 2 * error


def test_a_model_is_what_the_study_makes_of_the_same_key(tiny_store: Path) -> None:
    study = open_study(tiny_store)
    cell = study.cells()[1]
    stored = study.load(cell)
    found = threshold.run_model(geometry_key(11, cell.geometry), ThresholdCase.from_fields(**TINY))
    np.testing.assert_array_equal(found.signal_strength_ratio, stored["signal_strength_ratio"])
    np.testing.assert_allclose(found.uncertainty_ratio, stored["uncertainty_ratio"][0], rtol=1e-9)
    assert found.failure == stored.attrs["failure"] == ""
    pool = pooled(study, [cell])[TINY["interval"]]
    np.testing.assert_allclose(found.crowded_signal_strength, pool.crowded_signal_strength, rtol=1e-9)
    np.testing.assert_allclose(found.expected_uncertainty_ratio, pool.expected_uncertainty_ratio[0], rtol=1e-9)


def arguments(**values: object) -> list[str]:
    return ["threshold", *(str(part) for name, value in values.items() for part in (f"--{name}", value))]


@pytest.fixture
def cases(monkeypatch: pytest.MonkeyPatch) -> list[ThresholdCase]:
    """The cases of the models that were requested, which follow a law instead of being run."""
    requested: list[ThresholdCase] = []

    def run_law(key: jax.Array, case: ThresholdCase) -> ModelGrains:
        requested.append(case)
        return law_model(-3.0, spread=0.2)(key)

    monkeypatch.setattr(threshold, "run_model", run_law)
    monkeypatch.setenv("COLUMNS", "200")
    return requested


def test_the_command_runs_models_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cases: list[ThresholdCase]
) -> None:
    assert cli.main(arguments(**CASE, height=3, limit=0.2, minimum=6, seed=3, out=tmp_path / "answer")) == 0
    shown = capsys.readouterr().out
    expected = find_threshold(jax.random.key(3), **CASE, limit=0.2, minimum=6, model=law_model(-3.0, spread=0.2))
    assert expected.converged
    assert f"{expected.models} samples were made up and inverted, 200 × 200 × 50 µm with 10000 grains" in shown
    for row in expected.table.itertuples():
        cells = [f"{100 * row.purity:g} %", f"{row.ssr:.2e}", f"{row.sampling_error:.2f}", str(row.selected)]
        line = next(line for line in shown.splitlines() if cells[0] in line and cells[1] in line)
        assert [part.strip() for part in line.strip("│ ").split("│")][:4] == cells
    assert "signal strength ratio ≥" in shown
    table = read_table(tmp_path / "answer" / "thresholds.csv")
    np.testing.assert_allclose(table["ssr"], expected.table["ssr"], rtol=1e-5)
    assert table.attrs["units"]["sampling_error"] == "decades"
    names = {file.name for file in (tmp_path / "answer").iterdir()}
    assert names == {"thresholds.csv", "statistics.csv", "convergence.csv", "provenance.json", LIST_OF_FILES}
    assert cases[0].parameters() == CASE
    assert cases[0].sample.height == 3.0


def test_the_command_takes_a_study_where_it_covers_the_case(
    law_store: Path, capsys: pytest.CaptureFixture[str], cases: list[ThresholdCase]
) -> None:
    assert cli.main(arguments(**(CASE | {"density": 5e3, "study": law_store}))) == 0
    output = capsys.readouterr()
    assert "interpolated for 200 × 200 × 50 µm with 5000 grains per mm³" in output.out
    assert cases == []
    assert cli.main(arguments(**(CASE | {"thickness": 40, "study": law_store}))) == 0
    output = capsys.readouterr()
    assert "models are run, for the study law does not cover a thickness of 40 µm" in output.err
    assert "samples were made up and inverted" in output.out
    assert cases
    assert cli.main(arguments(**CASE, study=law_store.parent / "none.zarr")) == 1
