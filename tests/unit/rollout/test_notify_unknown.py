"""What begins while nobody knows whom to tell, as after a restart, is told once that is known."""

from dataclasses import replace

import pytest

from controller.api.notify import Notify
from controller.api.what_runs import NOTIFY
from controller.rollout.effect import Answered
from tests.unit.rollout.language import approve, release, weight

TEAM = Notify("team", frozenset({"RolledBack", "AwaitingApproval"}), "webhook", {"url": "http://hooks.qa/"})


def told(world):
    return [item.effect.payload["notice"]["topic"] for item in world.release.owed if item.effect.kind == "notify"]


def unknown(given):
    return replace(given, spec=replace(given.spec, notify=(), unread=frozenset({NOTIFY})))


def becomes_known(world, *targets):
    world.spec = replace(world.spec, notify=targets, unread=frozenset())
    world.advance(seconds=1)


def told_once(world, topic):
    assert told(world) == [topic]
    world.effects |= {item.effect.id: Answered({}) for item in world.release.owed if item.effect.kind == "notify"}
    world.advance(seconds=5)
    world.restart()
    world.advance(seconds=5)
    assert told(world) == []


@pytest.fixture
def rolled_back(world):
    world.given(unknown(release().on("v2")))
    world.crash_loop("v2")
    world.advance(seconds=5)
    assert told(world) == []
    return world


def test_a_rollback_is_told_later_and_once(rolled_back):
    rolled_back.restart()
    becomes_known(rolled_back, TEAM)
    told_once(rolled_back, "RolledBack")


def test_who_does_not_ask_for_it_is_not_told(rolled_back):
    becomes_known(rolled_back, replace(TEAM, topics=frozenset({"Waiting"})))
    assert told(rolled_back) == []
    assert rolled_back.release.incidents == ()


def test_a_wait_for_a_person_is_told_later_and_once(world):
    world.given(unknown(release([weight(5), approve()])))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    becomes_known(world, TEAM)
    told_once(world, "AwaitingApproval")


def test_what_is_over_before_is_told_to_nobody(rolled_back):
    rolled_back.commit("v1")
    rolled_back.until(lambda: rolled_back.release.phase == "Healthy")
    assert rolled_back.release.incidents == ()
