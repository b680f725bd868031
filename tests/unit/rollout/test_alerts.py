"""A firing alert rolls back or waits, and blames nobody where something speaks against that."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from controller.api.alerts import AlertGate, FiringAlert
from tests.unit.rollout.cluster import HEALTHY, NO_ROOM
from tests.unit.rollout.language import Given, analyze, pause, release, weight
from tests.unit.rollout.world import World

STEPS = [weight(20, analyze("30s", "10m")), weight(50, analyze("30s", "10m"))]
ROLLS_BACK = AlertGate({"alertname": "Errors"}, rolls_back=True)
WAITS = AlertGate({"alertname": "Queue"}, rolls_back=False)


def gated(*gates: AlertGate, steps: list[Any] | None = None) -> Given:
    given = release(steps or STEPS)
    analysis = replace(given.spec.analysis, alerts=gates or (ROLLS_BACK, WAITS))
    return replace(given, spec=replace(given.spec, analysis=analysis))


def alert(
    world: World, name: str = "Errors", *, ago: float = 0.0, more: Mapping[str, str] | None = None, **labels: str
) -> FiringAlert:
    labels |= more or {}
    identity = f"{name}{sorted(labels.items())}"
    return FiringAlert(identity, name, world.cluster.now - ago, {"alertname": name, **labels})


def test_an_alert_that_begins_in_the_rollout_rolls_back_and_is_named(world: World) -> None:
    world.given(gated().on("v2"))
    world.advance(seconds=10)
    world.alerts = (alert(world),)
    world.until(lambda: world.release.phase == "RolledBack", minutes=5)
    assert world.release.reason == "AlertFiring"
    assert world.release.is_rejected("v2")
    assert world.traffic.canary == 0
    assert "alert Errors fires; it began 20 s after v2 did" in world.release.message
    assert world.release.message.endswith("(spec.analysis.alerts[0])")


def test_it_needs_no_metric_and_no_look(world: World) -> None:
    given = gated(steps=[weight(20), pause("1h"), weight(50)])
    world.given(replace(given, spec=replace(given.spec, analysis=replace(given.spec.analysis, metrics=()))).on("v2"))
    world.alerts = (alert(world),)
    world.advance(seconds=10)
    assert world.release.is_rejected("v2")


def test_while_the_metrics_are_out_an_alert_still_rolls_back(world: World) -> None:
    world.given(gated().on("v2"))
    world.metrics.go_dark()
    world.advance(seconds=10)
    world.alerts = (alert(world),)
    world.advance(seconds=10)
    assert world.release.is_rejected("v2")


def test_an_alert_that_fired_before_blames_nobody(world: World) -> None:
    world.given(gated())
    world.alerts = (alert(world), alert(world, "Queue"))
    world.advance(seconds=10)
    world.commit("v2")
    world.until(lambda: world.release.stable == "v2", minutes=60)
    assert world.release.rejected == ()


def test_what_names_no_version_and_fired_before_the_first_step_blames_nobody(world: World) -> None:
    """The version had no pod and no work yet: whatever it was, it was not that."""
    world.given(gated())
    world.cluster.behavior("v2").pods = NO_ROOM
    world.commit("v2")
    world.advance(seconds=30)
    world.alerts = (alert(world),)
    world.advance(seconds=30)
    assert world.release.rejected == ()
    world.cluster.behavior("v2").pods = HEALTHY
    world.until(lambda: world.traffic.canary == 20)
    assert world.release.rejected == ()
    world.alerts = (*world.alerts, alert(world, "Errors", zone="b"))
    world.advance(seconds=10)
    assert world.release.is_rejected("v2")


def test_what_names_the_canary_blames_it_before_its_first_step(world: World) -> None:
    world.given(gated())
    world.cluster.behavior("v2").pods = NO_ROOM
    world.commit("v2")
    world.advance(seconds=30)
    world.alerts = (alert(world, pod="web-v2-abc"),)
    world.advance(seconds=10)
    assert world.release.is_rejected("v2")
    assert world.release.reason == "AlertFiring"


def test_a_rollout_from_before_the_first_step_was_kept_is_blamed_from_its_step_on(world: World) -> None:
    world.given(gated().on("v2"))
    world.advance(seconds=10)
    world.raw = {key: value for key, value in world.raw.items() if key != "firstStepAt"}
    world.alerts = (alert(world),)
    world.advance(seconds=10)
    assert world.release.is_rejected("v2")


def test_an_alert_that_waits_is_waited_for_from_the_rollouts_beginning(world: World) -> None:
    """Waiting blames nobody, and no work is given while it fires."""
    world.given(gated())
    world.cluster.behavior("v2").pods = NO_ROOM
    world.commit("v2")
    world.advance(seconds=10)
    world.alerts = (alert(world, "Queue"),)
    world.cluster.behavior("v2").pods = HEALTHY
    world.advance(minutes=2)
    assert (world.release.reason, world.traffic.canary) == ("AwaitingAlert", 0)


def test_alerts_of_before_the_first_step_leave_later_ones_their_place_in_the_status(world: World) -> None:
    world.given(gated())
    world.cluster.behavior("v2").pods = NO_ROOM
    world.commit("v2")
    world.advance(seconds=30)
    world.alerts = tuple(alert(world, n=str(number)) for number in range(9))
    world.cluster.behavior("v2").pods = HEALTHY
    world.until(lambda: world.traffic.canary == 20)
    world.ask("pause")
    later = alert(world, "Queue", zone="b")
    world.alerts = (*world.alerts, later)
    world.advance(seconds=10)
    assert world.release.attempt is not None
    assert later.id in [one.id for one in world.release.attempt.alerts]


def test_an_alert_that_no_gate_names_is_nobodys(world: World) -> None:
    world.given(gated().on("v2"))
    world.alerts = (alert(world, "Disk"),)
    world.until(lambda: world.release.stable == "v2", minutes=60)


def test_an_alert_that_waits_stops_the_steps_and_their_clock_until_it_is_over(world: World) -> None:
    world.given(gated().on("v2"))
    world.alerts = (alert(world, "Queue"),)
    world.advance(minutes=30)
    assert (world.release.phase, world.release.reason) == ("Waiting", "AwaitingAlert")
    assert (world.release.step, world.traffic.canary) == (0, 20)
    assert "alert Queue fires; it began" in world.release.message
    world.alerts = ()
    world.until(lambda: world.release.stable == "v2", minutes=60)
    assert world.release.rejected == ()


def test_analysis_goes_on_while_an_alert_is_waited_for(world: World) -> None:
    world.given(gated().on("v2"))
    world.alerts = (alert(world, "Queue"),)
    world.advance(seconds=30)
    world.regress("v2", 0.5)
    world.until(lambda: world.release.is_rejected("v2"), minutes=10)


def test_what_fires_for_stable_as_well_is_waited_for(world: World) -> None:
    world.given(gated().on("v2"))
    before = alert(world, ago=3600, service="web-v1")
    world.alerts = (before, alert(world, service="web-v2"))
    world.advance(minutes=1)
    assert (world.release.phase, world.release.reason) == ("Waiting", "CommonCause")
    assert world.release.message.endswith("It fires for stable as well, so the canary is not blamed")
    world.alerts = (before,)
    world.until(lambda: world.release.stable == "v2", minutes=60)
    assert world.release.rejected == ()


def test_another_alert_of_stable_excuses_nothing(world: World) -> None:
    world.given(gated(AlertGate({"team": "shop"}, rolls_back=True)).on("v2"))
    world.alerts = (
        alert(world, "Disk", team="shop", pod="web-v1-abc"),
        alert(world, team="shop", pod="web-v2-abc"),
    )
    world.advance(seconds=10)
    assert world.release.is_rejected("v2")
    assert "Errors" in world.release.message


def test_an_alert_about_stable_alone_is_not_about_the_canary(world: World) -> None:
    world.given(gated().on("v2"))
    world.alerts = (alert(world, revision="v1"),)
    world.until(lambda: world.release.stable == "v2", minutes=60)
    assert world.release.rejected == ()


def test_what_decides_stands_in_the_status_with_few_labels(world: World) -> None:
    world.given(gated().on("v2"))
    many = {f"l{number}": "x" * 1000 for number in range(90)}
    world.alerts = (
        alert(world, "Queue", pod="web-v2-abc", more=many),
        alert(world, "Queue", ago=3600, pod="web-v1-abc", more=many),
        alert(world, "Errors", ago=3600, more=many),
    )
    world.advance(seconds=10)
    assert world.release.attempt is not None
    kept = world.release.attempt.alerts
    assert [one.labels for one in kept] == [
        {"alertname": "Queue", "pod": "web-v2-abc"},
        {"alertname": "Queue", "pod": "web-v1-abc"},
    ]
    world.alerts = kept  # after a restart
    world.advance(minutes=5)
    assert world.release.reason == "CommonCause"
    world.alerts = ()
    world.advance(seconds=10)
    assert world.release.attempt is not None
    assert world.release.attempt.alerts == ()


def test_new_alerts_of_stable_leave_the_canarys_its_place_in_the_status(world: World) -> None:
    world.given(gated().on("v2"))
    of_stable = (alert(world, "Queue", pod=f"web-v1-{number}") for number in range(9))
    world.alerts = (*of_stable, alert(world, "Queue", pod="web-v2-abc"))
    world.advance(seconds=10)
    assert world.release.attempt is not None
    kept = world.release.attempt.alerts
    assert [one.labels["pod"][:6] for one in kept] == ["web-v2", *["web-v1"] * 5]
    world.alerts = kept  # after a restart
    world.advance(minutes=5)
    assert world.release.reason == "CommonCause"


def test_a_thousand_alerts_are_a_bounded_status_and_one_sentence(world: World) -> None:
    world.given(gated().on("v2"))
    world.alerts = tuple(alert(world, "Queue", n=str(number)) for number in range(1000))
    world.advance(seconds=10)
    assert world.release.attempt is not None
    assert len(world.release.attempt.alerts) == 5
    assert "alerts fire: Queue and 999 more" in world.release.message


def test_many_alerts_for_both_versions_cost_a_pass_little(world: World) -> None:
    """Each is one of many with the same name, and the one that is about stable comes last."""
    world.given(gated(*(AlertGate({"alertname": "Errors"}, rolls_back=True) for _ in range(10))).on("v2"))
    world.advance(seconds=10)
    of_the_canary = [alert(world, n=str(number), pod="web-v2-a") for number in range(300)]
    world.alerts = (*of_the_canary, alert(world, ago=60, pod="web-v1-a"))
    before = time.process_time()
    world.advance(seconds=1)
    assert time.process_time() - before < 0.8
    assert world.release.reason == "CommonCause"


def test_a_promotion_by_a_person_does_not_wait_for_alerts(world: World) -> None:
    world.given(gated().on("v2"))
    world.alerts = (alert(world, "Queue"),)
    world.advance(seconds=30)
    assert world.release.reason == "AwaitingAlert"
    world.ask("promote")
    world.until(lambda: world.release.stable == "v2", minutes=10)


def test_a_first_version_has_nothing_to_go_back_to(world: World) -> None:
    world.given(gated().first())
    world.alerts = (alert(world), alert(world, "Queue"))
    world.until(lambda: world.release.stable == "v1", minutes=10)


def test_a_gate_with_a_source_counts_what_that_source_says_alone(world: World) -> None:
    world.given(gated(AlertGate({"alertname": "Errors"}, rolls_back=True, source="grafana")).on("v2"))
    world.alerts = (alert(world), replace(alert(world), source="another"))
    world.advance(seconds=10)
    assert world.release.rejected == ()
    world.alerts = (replace(alert(world), source="grafana"),)
    world.advance(seconds=10)
    assert world.release.is_rejected("v2")
