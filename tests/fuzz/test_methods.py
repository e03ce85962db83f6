"""Every property and every method without arguments of a result gives a value or an error of ours."""

import inspect

import jax
import numpy as np
import pytest

import mmtjax
from mmtjax.errors import MmtjaxError

GRAINS = mmtjax.Grains.from_cuboids([[3.0, 3, -4, 1, 1, 1, 1], [7, 6, -5, 1.5, 1, 1, 2]])
GRID = mmtjax.SensorGrid((0, 0), 1, (9, 10), 2.0)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def scan():
    return mmtjax.Scan(np.asarray(mmtjax.forward(GRAINS, [[1e4, 0, 2e4], [0, 1e4, -1e4]], GRID)), GRID, noise=5.0)


#: Results whose methods differ: of grains, beside a background, of dipoles, by subdomains, and of a registration.
RESULTS = {
    "grains": lambda scan: mmtjax.invert(scan, GRAINS),
    "background": lambda scan: mmtjax.invert(scan, GRAINS, background="plane"),
    "multipoles": lambda scan: mmtjax.invert(scan, mmtjax.Multipoles(GRAINS.position, degree=1)),
    "subdomains": lambda scan: mmtjax.invert_subdomains(KEY, scan, GRAINS, 5.0, core=4.0, buffer=2.0, draws=2),
    "registration": lambda scan: mmtjax.fit_registration(scan, GRAINS, 5.0, fit="shift", points=3),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.slow] * (kind in ("subdomains", "registration"))) for kind in RESULTS],
)
def test_methods_without_arguments(scan, kind):
    result = RESULTS[kind](scan)
    assert str(result)
    assert repr(result)
    refused = set()
    for name in dir(type(result)):
        if name.startswith("_"):
            continue
        try:
            found = getattr(result, name)
            if inspect.ismethod(found) and all(
                one.default is not one.empty for one in inspect.signature(found).parameters.values()
            ):
                found()
        except MmtjaxError:
            refused.add(name)
    volumes = {"crowded_signal_strength", "expected_uncertainty_ratio", "grains", "signal_strength_ratio"}
    matrices = {"correlation", "covariance_matrix", "grain_correlation"}
    allowed = {"multipoles": volumes | {"grain_correlation"}, "subdomains": matrices}.get(kind, set())
    assert refused <= allowed
