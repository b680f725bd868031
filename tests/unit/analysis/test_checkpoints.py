"""A long record is recovered from the state at a page's end, and the evidence is the same to the last bit."""

import json
import time

import numpy as np
import pytest

from controller.analysis import checkpoints
from controller.stats.counts import Counts, Look
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan

PLAN = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1, 1.5), MetricPlan("slow", 1.25)))


def looks_of(count, *, units=2000, bad=0.002, share=0.1, seed=1):
    random = np.random.default_rng(seed)

    def counts():
        canary = int(random.binomial(units, share))
        stable = units - canary
        return Counts(int(random.binomial(canary, bad)), canary, int(random.binomial(stable, bad)), stable)

    return [
        Look(number, number * 5.0, number * 5.0 + 5, share * 100, {"errors": counts(), "slow": counts()})
        for number in range(1, count + 1)
    ]


def states_of(looks, page=200):
    judge, states = Judge(PLAN), []
    for index, look in enumerate(looks, start=1):
        judge.add(look)
        if index % page == 0:
            states.append((index, checkpoints.packed(judge)))
    return judge, states


@pytest.mark.parametrize("bad", [0.002, 0.2])
@pytest.mark.parametrize("count", [200, 517])
def test_recovered_evidence_is_that_of_a_run_without_interruption(bad, count):
    looks = looks_of(count + 40, bad=bad)
    straight, states = states_of(looks[:count])
    recovered = checkpoints.resumed(PLAN, looks[:count], states)
    assert recovered.evidence() == straight.evidence()
    assert json.dumps(recovered.to_raw()) == json.dumps(straight.to_raw())
    for look in looks[count:]:
        straight.add(look)
        recovered.add(look)
        assert recovered.evidence() == straight.evidence()
    bounds = [[metric.bound() for metric in judge.evidence().metrics] for judge in (straight, recovered)]
    assert bounds[0] == bounds[1]


def test_the_state_is_what_is_gone_on_from():
    """Else the tests above would hold without it."""
    looks = looks_of(200)
    _, states = states_of(looks)
    other = [Look(look.number, look.start, look.end, look.weight, {}) for look in looks]
    assert checkpoints.resumed(PLAN, other, states).to_raw() == states_of(looks)[0].to_raw()


@pytest.mark.parametrize("damage", [lambda text: text[:-9], lambda _: "nonsense", lambda text: text[9:]])
def test_a_state_that_cannot_be_read_is_judged_again_from_the_counts(damage):
    looks = looks_of(230)
    straight, states = states_of(looks)
    recovered = checkpoints.resumed(PLAN, looks, [(count, damage(text)) for count, text in states])
    assert recovered.to_raw() == straight.to_raw()


def test_the_state_of_another_plan_is_not_taken():
    looks = looks_of(200)
    other = AnalysisPlan(0.01, 5, (MetricPlan("latency", 1.1),))
    assert checkpoints.resumed(other, looks, states_of(looks)[1]).to_raw() == Judge.over(other, looks).to_raw()


@pytest.mark.parametrize(("units", "bad", "most"), [(2_000, 0.002, 8), (50_000, 0.01, 64)])
def test_a_state_is_small_for_what_is_written_once_in_200_looks(units, bad, most):
    _, states = states_of(looks_of(400, units=units, bad=bad), page=400)
    assert 0 < len(states[0][1]) < most * 1024


def test_ten_thousand_looks_are_recovered_within_a_second_of_work():
    looks = looks_of(200, units=300) * 50
    looks = [Look(number, number * 5.0, number * 5.0 + 5, 10.0, look.rows) for number, look in enumerate(looks, 1)]
    judge = Judge(PLAN)
    for look in looks[:9_800]:
        judge.add(look)
    states = [(9_800, checkpoints.packed(judge))]
    began = time.process_time()
    checkpoints.resumed(PLAN, looks, states)
    assert time.process_time() - began < 0.5
