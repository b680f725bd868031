"""What the benchmark counts is what the operator would have done."""

import numpy as np
import pytest

from controller.core.spending import Spending
from tests.bench.simulation import convictions, replayed, simulate, textbook


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
