"""An alert that was opened is resolved also when its Release, its target or its topic goes."""

from dataclasses import replace

import pytest

from controller.api.notify import Notify
from controller.api.what_runs import NOTIFY
from controller.rollout.effect import Answered, Retrying
from tests.unit.rollout.language import approve, release, weight

KEY = {"url": "http://alerts.qa/", "routingKeySecretRef": {"name": "pagerduty", "key": "key"}}
ON_CALL = Notify("rota", frozenset({"AwaitingApproval"}), "pagerduty", KEY, hears_ends=True)
TEAM = Notify("team", frozenset({"AwaitingApproval"}), "webhook", {"url": "http://hooks.qa/"})


def notices(world):
    return [item.effect.payload for item in world.release.owed if item.effect.kind == "notify"]


def told(world):
    return sorted((item["to"], item["notifier"], item["notice"].get("state")) for item in notices(world))


def deliver(world):
    world.effects |= {item.effect.id: Answered({}) for item in world.release.owed if item.effect.kind == "notify"}
    world.settle()
    assert told(world) == []


def asks_for(world, *targets):
    world.spec = replace(world.spec, notify=targets)
    world.advance(seconds=1)


@pytest.fixture
def alerted(world):
    """PagerDuty has an alert that stays until it is resolved."""
    found = release([weight(5), approve(), weight(20)])
    world.given(replace(found, spec=replace(found.spec, notify=(ON_CALL, TEAM))))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    assert told(world) == [("rota", "pagerduty", "open"), ("team", "webhook", "open")]
    (world.incident,) = {item["notice"]["incident"] for item in notices(world)}
    deliver(world)
    return world


def resolved(world, config=KEY):
    assert told(world) == [("rota", "pagerduty", "resolved")]
    (payload,) = notices(world)
    assert payload["notice"]["incident"] == world.incident
    assert payload["config"] == config


@pytest.mark.parametrize("known", [True, False], ids=["as ever", "whom it notifies cannot be read"])
def test_a_release_that_is_deleted_leaves_no_alert_open(alerted, known):
    if not known:
        alerted.spec = replace(alerted.spec, notify=(), unread=frozenset({NOTIFY}))
    alerted.deleting = True
    alerted.advance(seconds=1)
    resolved(alerted)
    assert alerted.cluster.gone, "nothing waits for that"


def test_a_rollback_is_resolved_when_its_release_is_deleted(world):
    found = release().on("v2")
    world.given(replace(found, spec=replace(found.spec, notify=(replace(ON_CALL, topics=frozenset({"RolledBack"})),))))
    world.crash_loop("v2")
    assert told(world) == [("rota", "pagerduty", "open")]
    deliver(world)
    world.deleting = True
    world.advance(seconds=1)
    assert told(world) == [("rota", "pagerduty", "resolved")]
    assert world.cluster.gone


def test_what_was_not_delivered_when_the_release_is_deleted_does_not_arrive_last(alerted):
    alerted.ask("abort")
    alerted.advance(seconds=1)
    deliver(alerted)
    alerted.gate = Retrying("alerts.qa answered 500", 3, 0.0)
    alerted.commit("v3")
    alerted.until(lambda: alerted.release.reason == "AwaitingApproval")
    alerted.deleting = True
    alerted.advance(seconds=1)
    assert ("rota", "pagerduty", "open") not in told(alerted)
    assert ("rota", "pagerduty", "resolved") in told(alerted)
    (said,) = [event.message for event in alerted.cluster.events if event.reason == "NotificationLost"]
    assert said.startswith("rota: not delivered before the Release was deleted: ")
    assert "(alerts.qa answered 500)" in said


def test_a_target_that_is_taken_out_hears_the_end_once(alerted):
    asks_for(alerted, TEAM)
    resolved(alerted)
    alerted.restart()
    alerted.advance(seconds=1)
    resolved(alerted)
    deliver(alerted)
    alerted.ask("approve")
    alerted.advance(seconds=1)
    assert "rota" not in {item["to"] for item in notices(alerted)}


def test_all_targets_taken_out_hear_the_end(alerted):
    asks_for(alerted)
    resolved(alerted)


def test_an_end_that_cannot_be_delivered_stays_owed(alerted):
    alerted.gate = Retrying("alerts.qa answered 500", 3, 0.0)
    asks_for(alerted, TEAM)
    alerted.advance(minutes=2)
    resolved(alerted)


def test_a_target_that_leaves_the_topic_to_others_hears_the_end(alerted):
    asks_for(alerted, replace(ON_CALL, topics=frozenset({"RolledBack"})), TEAM)
    resolved(alerted)


def test_another_service_under_the_same_name_gets_its_own_alert(alerted):
    """The alert of the first one has its key and its place."""
    asks_for(alerted, Notify("rota", ON_CALL.topics, "webhook", {"url": "http://rota.qa/"}, hears_ends=True), TEAM)
    assert told(alerted) == [("rota", "pagerduty", "resolved"), ("rota", "webhook", "open")]
    alerted.advance(seconds=1)
    assert [item["config"] for item in notices(alerted) if item["notifier"] == "pagerduty"] == [KEY]


def test_a_key_that_moves_to_another_secret_resolves_nothing(alerted):
    moved = KEY | {"routingKeySecretRef": {"name": "new", "key": "key"}}
    asks_for(alerted, replace(ON_CALL, raw=moved), TEAM)
    assert told(alerted) == []
    asks_for(alerted, TEAM)
    resolved(alerted, moved)
