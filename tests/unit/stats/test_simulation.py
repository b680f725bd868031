"""What the benchmark counts is what the operator would have done."""

import itertools

import numpy as np
import pytest

from controller.stats.spending import Spending
from tests.bench.simulation import clients, convictions, following, replayed, simulate, slower, textbook


@pytest.mark.parametrize(("share", "base"), [(0.05, 0.01), (0.5, 0.001), (0.2, 0.2)])
@pytest.mark.parametrize("odds", [1.0, 1.25])
@pytest.mark.parametrize("horizon", [60, None])
def test_many_releases_at_once_are_judged_as_one_by_one(share, base, odds, horizon):
    rng = np.random.default_rng(11)
    for lift in (1, 2):
        traces = simulate(rng, runs=12, looks=60, units=300, share=share, base=base, lift=lift)
        found = convictions(traces, Spending(0.05, horizon), odds)
        plan = textbook(0.05, horizon, odds)
        assert [replayed(trace, plan) for trace in traces] == list(found)


def test_sides_that_are_empty_do_no_harm():
    rng = np.random.default_rng(12)
    traces = simulate(rng, runs=60, looks=40, units=3, share=0.5, base=0.3, lift=2)
    traces[0, :, 0] = traces[0, :, 1] = 0
    traces[1, :, 2] = traces[1, :, 3] = 0
    traces[2] = 0
    found = convictions(traces, Spending(0.05, 40))
    assert [replayed(trace, textbook(0.05, 40)) for trace in traces] == list(found)
    assert found.any()


def test_weights_that_follow_the_evidence_convict_good_versions_at_most_as_often_as_promised():
    rates, shares = np.linspace(0.003, 0.02, 60), np.array([0.05, 0.2, 0.5])
    rng = np.random.default_rng(8)
    looks = following(rng, runs=1000, units=500, rates=rates, shares=shares, spending=Spending(0.05, 60))
    assert (looks > 0).mean() <= 0.05


def test_a_client_that_fails_many_requests_is_one_bad_unit():
    traces = clients(np.random.default_rng(9), runs=200, looks=10, clients=500, share=0.1, base=0.02, requests=20)
    assert (traces[..., 0] <= traces[..., 1]).all()
    assert traces[..., 0].sum() / traces[..., 1].sum() == pytest.approx(0.02, rel=0.05)


def test_slower_units_are_the_same_units_at_each_threshold():
    stable, canary = np.array([0.5, 0.1, 0.01]), np.array([0.6, 0.3, 0.05])
    traces = slower(np.random.default_rng(3), runs=40, looks=30, units=500, share=0.2, stable=stable, canary=canary)
    for trace, alike, other in zip(traces, stable, canary, strict=True):
        canary_bad, canary_all, stable_bad, stable_all = trace.sum(axis=(0, 1))
        assert abs(canary_bad / canary_all - other) < 0.01
        assert abs(stable_bad / stable_all - alike) < 0.01
        assert (trace[..., [1, 3]] == traces[0][..., [1, 3]]).all()
    for quicker, later in itertools.pairwise(traces):
        assert (later[..., [0, 2]] <= quicker[..., [0, 2]]).all()
