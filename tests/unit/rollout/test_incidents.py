"""What lasts is told until its end: to somebody else when nobody acts, and taken back when it is over."""

from dataclasses import replace

import pytest

from controller.api.notice import LASTING, TOPICS
from controller.api.notify import Notify
from controller.api.reasons import Reason
from controller.rollout.effect import Answered, Retrying
from controller.rollout.observation import MetricTrouble
from tests.unit.rollout.language import analyze, approve, pause, release, weight

URL = {"url": "http://hooks.qa/pointsman"}
MINUTE = 60.0


def target(name, *topics, after=0.0, hears_ends=None):
    ends = after > 0 if hears_ends is None else hears_ends
    return Notify(name, frozenset(topics or LASTING), "webhook", URL, after, ends)


def watched(*targets, steps=None):
    found = release(steps)
    return replace(found, spec=replace(found.spec, notify=targets))


def told(world):
    """Whom of what, in which state: what is owed now."""
    return sorted(
        (item.effect.payload["to"], item.effect.payload["notice"]["topic"], item.effect.payload["notice"].get("state"))
        for item in world.release.owed
        if item.effect.kind == "notify"
    )


def deliver(world):
    world.effects |= {item.effect.id: Answered({}) for item in world.release.owed if item.effect.kind == "notify"}
    world.settle()
    assert told(world) == []


TEAM = target("team", "AwaitingApproval")
ROTA = target("rota", "AwaitingApproval", after=3 * MINUTE)
OPENED = ("rota", "AwaitingApproval", "open")


@pytest.fixture
def waiting(world):
    """For a person, of whom the team was told."""
    world.given(watched(TEAM, ROTA, steps=[weight(5), approve(), weight(20), approve()]))
    world.commit("v2")
    world.until(lambda: world.release.phase == "Paused" or world.release.reason == "AwaitingApproval")
    assert told(world) == [("team", "AwaitingApproval", "open")]
    deliver(world)
    return world


def test_a_wait_that_nobody_acts_on_is_told_to_somebody_else_once(waiting):
    waiting.advance(minutes=2.5)
    assert told(waiting) == []
    waiting.advance(minutes=1)
    assert told(waiting) == [OPENED]
    (owed,) = waiting.release.owed
    assert owed.effect.payload["notice"]["message"].startswith("nobody has acted for 3 min: step 2/4: waiting for app")
    deliver(waiting)
    waiting.advance(minutes=5)
    assert told(waiting) == []


def test_who_was_told_late_hears_when_somebody_acts(waiting):
    waiting.advance(minutes=4)
    (opened,) = waiting.release.owed
    deliver(waiting)
    waiting.ask("approve")
    waiting.advance(seconds=1)
    (over,) = [item for item in waiting.release.owed if item.effect.payload["to"] == "rota"]
    notice = over.effect.payload["notice"]
    assert notice["state"] == "resolved"
    assert notice["incident"] == opened.effect.payload["notice"]["incident"]
    assert over.effect.id != opened.effect.id


def test_a_wait_that_is_over_in_time_is_told_to_nobody_else(waiting):
    waiting.advance(minutes=2)
    waiting.ask("abort")
    waiting.advance(minutes=4)
    assert told(waiting) == []
    assert waiting.release.incidents == ()


def test_who_acts_without_ending_it_stops_the_escalation(waiting):
    waiting.advance(minutes=2)
    waiting.ask("pause")
    waiting.advance(minutes=4)
    assert OPENED not in told(waiting)


def test_the_next_wait_begins_anew(waiting):
    waiting.advance(minutes=2)
    waiting.ask("approve")
    waiting.advance(minutes=0.5)
    deliver(waiting)
    waiting.advance(minutes=2)
    assert told(waiting) == []
    waiting.advance(minutes=1.5)
    assert told(waiting) == [OPENED]


def test_what_was_not_delivered_is_not_delivered_after_its_end(waiting):
    """An alert that is opened last stays open for ever."""
    waiting.gate = Retrying("hooks.qa answered 500", 3, 0.0)
    waiting.advance(minutes=4)
    assert told(waiting) == [OPENED]
    waiting.ask("abort")
    waiting.advance(seconds=1)
    assert told(waiting) == [("rota", "AwaitingApproval", "resolved")]


def test_a_restart_in_the_middle_changes_nothing(waiting):
    waiting.advance(minutes=2)
    waiting.restart()
    waiting.advance(minutes=2)
    assert told(waiting) == [OPENED]
    deliver(waiting)
    waiting.restart()
    waiting.advance(minutes=4)
    assert told(waiting) == []


def test_a_rollback_is_acknowledged_by_the_next_version_and_over_when_that_is_healthy(world):
    world.given(watched(target("rota", "RolledBack", hears_ends=True)).on("v2"))
    world.crash_loop("v2")
    assert told(world) == [("rota", "RolledBack", "open")]
    deliver(world)
    world.advance(minutes=3)
    assert told(world) == []
    world.commit("v3")
    world.advance(seconds=1)
    assert told(world) == [("rota", "RolledBack", "acknowledged")]
    deliver(world)
    world.commit("v1")
    world.until(lambda: world.release.phase == "Healthy")
    assert told(world) == [("rota", "RolledBack", "resolved")]


def test_a_rollback_that_nobody_acts_on_is_told_to_somebody_else(world):
    world.given(watched(target("rota", "RolledBack", after=1 * MINUTE)).on("v2"))
    world.crash_loop("v2")
    world.advance(seconds=30)
    assert told(world) == []
    world.advance(minutes=1)
    assert told(world) == [("rota", "RolledBack", "open")]


def test_a_version_that_comes_out_is_told_once(world):
    world.given(watched(target("team", *TOPICS), steps=[pause("10s")]))
    world.commit("v2")
    world.settle()
    assert ("team", "Started", None) in told(world)
    deliver(world)
    world.advance(minutes=2)
    assert [topic for _, topic, _ in told(world)] == ["Promoted"]


def test_a_wait_for_room_is_told_and_over(world):
    world.given(watched(target("rota", hears_ends=True), steps=[pause("10s")]))
    world.no_room("v2")
    world.commit("v2")
    world.advance(minutes=1)
    assert told(world) == [("rota", "Waiting", "open")]
    deliver(world)
    world.commit("v1")
    world.advance(minutes=2)
    assert told(world) == [("rota", "Waiting", "resolved")]


def test_trouble_that_comes_and_goes_alerts_once_an_hour(world):
    world.given(
        watched(target("rota", "SourceOutage", hears_ends=True), steps=[weight(5, analyze("5h", "9h"))]).on("v2")
    )
    seen = []
    for _ in range(3):
        world.metrics.go_dark()
        world.advance(minutes=1)
        world.metrics.come_back()
        world.advance(minutes=1)
        seen += told(world)
        deliver(world)
    assert seen == [("rota", "SourceOutage", "resolved")], "the alert was not delivered before it was over"


def test_many_troubles_stay_within_the_status(world):
    world.given(watched(target("rota", hears_ends=True), steps=[weight(5, analyze("5h", "9h"))]).on("v2"))
    for number in range(24):
        world.metrics.trouble = MetricTrouble(Reason.METRIC_BROKEN, "x") if number % 2 else None
        world.advance(seconds=10)
    assert len(world.release.incidents) <= 10
    assert len(world.release.owed) <= 20
