"""A metric whose mode is `advise`: shown and reported, on every way by which a metric can take a version back."""

from dataclasses import replace

import pytest

from controller.api.analysis import Margin, Metric
from controller.stats.counts import Counts
from tests.unit.rollout.language import analyze, blue_green, pause, release, weight

SIGN_UPS = Metric("sign-ups", "sign-ups", {}, Margin(1.1, 1.5), "spec", advises=True)
CEILING = Metric("ceiling", "sign-ups", {}, None, "spec", 0.02, advises=True)
WORSE = Counts(400, 500, 10, 1500)
ADVISING = pytest.mark.parametrize("metric", [SIGN_UPS, CEILING], ids=["margin", "limit"])


def events(world, reason):
    return [event.message for event in world.cluster.events if event.reason == reason]


def released(world, metric, **given):
    world.given(release(advising=(metric,), promote_below=1.5, **given))
    world.metrics.advice = WORSE
    world.commit("v2")
    return world


@ADVISING
def test_a_regression_is_reported_once_and_the_version_comes_out(world, metric):
    released(world, metric)
    world.until(lambda: world.traffic.canary == 5)
    world.advance(seconds=15)
    assert "its mode is advise, so nothing is rolled back for it" in world.release.message
    assert f"{metric.name} " in world.release.message
    world.advance(minutes=10)
    assert (world.release.phase, world.release.stable) == ("Healthy", "v2")
    (said,) = events(world, "MetricWorse")
    assert said.startswith(f"{metric.name}: ")
    assert said.endswith("its mode is advise, so nothing is rolled back for it")
    (promoted,) = [one for one in events(world, "Promoted") if one.startswith("v2")]
    assert f"{metric.name} " in promoted


def test_the_same_counts_roll_back_where_the_metric_judges(world):
    released(world, Metric("sign-ups", "sign-ups", {}, Margin(1.1, 1.5), "spec"))
    world.regress("v2", 0.8)
    world.advance(minutes=3)
    assert (world.release.phase, world.release.last_rollback.reason) == ("RolledBack", "Regressed")


def test_harm_is_counted_by_the_metrics_that_judge(world):
    given = release(advising=(SIGN_UPS,), promote_below=1.5)
    world.given(given)
    world.spec = _with(world.spec, max_harmed=5)
    world.metrics.advice = WORSE
    world.commit("v2")
    world.advance(minutes=10)
    assert world.release.phase == "Healthy"


@ADVISING
def test_after_a_switch_an_advising_metric_switches_nothing_back(world, metric):
    world.given(blue_green(pause("20s"), keep=60.0, advising=(metric,)))
    world.metrics.advice = WORSE
    world.commit("v2")
    world.advance(minutes=5)
    assert (world.release.phase, world.release.stable) == ("Healthy", "v2")
    assert len(events(world, "MetricWorse")) == 1


def test_a_step_needs_units_of_the_metrics_that_judge(world):
    """A metric that counts what is not the work would pass every step."""
    world.given(release([weight(5, analyze("10s", "30s"))], advising=(SIGN_UPS,)))
    world.metrics.per_look, world.metrics.advice = 20, Counts(1, 10_000, 1, 10_000)
    world.commit("v2")
    world.advance(minutes=2)
    assert world.release.reason == "AwaitingTraffic"


def test_a_source_that_cannot_be_measured_is_said_and_waited_for_by_nobody(world):
    world.given(release(advising=(SIGN_UPS,), promote_below=1.5))
    world.metrics.advice = Counts(0, 0, 0, 0)
    world.commit("v2")
    world.until(lambda: world.traffic.canary == 5)
    world.unmeasured = "metric sign-ups advises, and is not measured: refused"
    world.advance(seconds=5)
    assert world.unmeasured in world.release.message
    world.advance(minutes=10)
    assert world.release.phase == "Healthy"
    assert events(world, "MetricUnmeasured") == [world.unmeasured]


def test_a_release_whose_metrics_all_advise_comes_out_and_says_that_nothing_judged_it(world):
    world.given(release([weight(5), pause("30s"), weight(50), pause("30s")], metrics=(), advising=(SIGN_UPS,)))
    world.metrics.advice = WORSE
    world.commit("v2")
    world.advance(minutes=5)
    assert (world.release.phase, world.release.stable, world.release.judged) == ("Healthy", "v2", "NoMetrics")
    assert len(events(world, "MetricWorse")) == 1


def _with(spec, **analysis):
    return replace(spec, analysis=replace(spec.analysis, **analysis))
