"""What begins while nobody knows whom to tell, as after a restart, is told once that is known."""

from dataclasses import replace

import pytest

from controller.api import times
from controller.api.notify import Notify
from controller.api.what_runs import NOTIFY
from controller.rollout.effect import Answered
from tests.unit.rollout.language import approve, release, weight

TEAM = Notify("team", frozenset({"RolledBack", "AwaitingApproval"}), "webhook", {"url": "http://hooks.qa/"})


def told(world):
    return [item.effect.payload["notice"]["topic"] for item in world.release.owed if item.effect.kind == "notify"]


def becomes_unknown(world):
    world.spec = replace(world.spec, notify=(), unread=frozenset({NOTIFY}))


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
    world.given(release().on("v2"))
    becomes_unknown(world)
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
    world.given(release([weight(5), approve()]))
    becomes_unknown(world)
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    becomes_known(world, TEAM)
    told_once(world, "AwaitingApproval")


def test_what_is_over_before_is_told_to_nobody(rolled_back):
    rolled_back.commit("v1")
    rolled_back.until(lambda: rolled_back.release.phase == "Healthy")
    assert rolled_back.release.incidents == ()


ALL = replace(TEAM, topics=frozenset({"Started", "Promoted", "AwaitingApproval"}))
ON_CALL = Notify("rota", frozenset({"AwaitingApproval"}), "pagerduty", {"url": "http://alerts.qa/"}, hears_ends=True)


def promote(world, *versions):
    for version in versions:
        world.commit(version)
        world.until(lambda: world.release.stable == world.target and world.release.phase == "Healthy")


@pytest.fixture
def promoted(world):
    world.given(release([weight(20)], metrics=()))
    becomes_unknown(world)
    began = world.cluster.now
    promote(world, "v2")
    world.began, world.over = began, world.cluster.now
    world.advance(minutes=30)
    assert told(world) == []
    return world


def test_a_start_and_a_promotion_are_told_later_and_once(promoted):
    promoted.restart()
    becomes_known(promoted, ALL)
    notices = [item.effect.payload["notice"] for item in promoted.release.owed if item.effect.kind == "notify"]
    started, done = sorted(notices, key=lambda notice: notice["at"])
    assert (started["topic"], done["topic"]) == ("Started", "Promoted")
    assert done["message"] == "v2 instead of v1 has all of the traffic"
    assert "incident" not in done, "nothing of it lasts"
    assert (started["attempt"], done["attempt"]) == (1, 1)
    happened = [times.from_text(notice["at"]) for notice in (started, done)]
    assert promoted.began <= happened[0] < happened[1] <= promoted.over
    deliver(promoted)
    assert promoted.release.incidents == ()


def deliver(world):
    world.effects |= {item.effect.id: Answered({}) for item in world.release.owed if item.effect.kind == "notify"}
    world.advance(seconds=5)
    world.restart()
    world.advance(seconds=5)
    assert told(world) == []


def test_who_does_not_ask_for_promotions_is_not_told_of_them_later(promoted):
    becomes_known(promoted, TEAM)
    assert told(promoted) == []
    assert promoted.release.incidents == ()


def test_after_a_day_it_is_given_up_and_that_is_said(promoted):
    analysis = replace(promoted.spec.analysis, interval=60.0)  # seventeen thousand looks of a day show no more
    promoted.spec = replace(promoted.spec, analysis=analysis)
    promoted.advance(minutes=23 * 60)
    assert len(promoted.release.incidents) == 2
    promoted.advance(minutes=60)
    assert promoted.release.incidents == ()
    lost = [event for event in promoted.cluster.events if event.reason == "NotificationLost"]
    assert [event.message.partition(":")[0] for event in lost] == ["Started of v2", "Promoted of v2"]
    becomes_known(promoted, ALL)
    assert told(promoted) == []


def test_it_takes_no_more_room_than_there_is_and_no_alert_loses_its_own(world):
    found = release([weight(20), approve()], metrics=())
    world.given(replace(found, spec=replace(found.spec, notify=(ON_CALL,))))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    deliver(world)
    open_alert = world.release.incidents[0].about
    becomes_unknown(world)
    for number in range(3, 20):
        world.commit(f"v{number}")
        world.until(lambda: world.release.reason == "AwaitingApproval" and world.release.canary == world.target)
        assert len(world.release.incidents) <= 10
    assert open_alert in {one.about for one in world.release.incidents}
    assert "v19" in {one.revision for one in world.release.incidents if one.topic == "Started"}
    assert any(event.reason == "NotificationLost" for event in world.cluster.events)
    becomes_known(world, ON_CALL)
    ended = [item.effect.payload["notice"] for item in world.release.owed if item.effect.kind == "notify"]
    assert (open_alert, "resolved") in {(notice["incident"], notice["state"]) for notice in ended}


def lost(world):
    return [event.message for event in world.cluster.events if event.reason == "NotificationLost"]


def test_what_is_kept_when_its_release_is_deleted_is_said_to_be_lost_once(promoted):
    promoted.deleting = True
    promoted.advance(seconds=5)
    promoted.advance(seconds=5)
    why = "it was not known before the Release was deleted whom to notify"
    assert lost(promoted) == [
        f"Started of v2: {why}: v2 comes out beside v1, which stays stable",
        f"Promoted of v2: {why}: v2 instead of v1 has all of the traffic",
    ]
    assert promoted.cluster.gone, "nothing waits for that"


def test_what_is_kept_is_sent_where_its_release_is_deleted_once_it_is_known_to_whom(promoted):
    promoted.deleting = True
    becomes_known(promoted, ALL)
    assert sorted(told(promoted)) == ["Promoted", "Started"]
    assert lost(promoted) == []


@pytest.mark.parametrize("known", [False, True], ids=["never known", "known when it is deleted"])
def test_what_lasts_when_its_release_is_deleted_is_said_to_be_lost_once(rolled_back, known):
    rolled_back.restart()
    rolled_back.deleting = True
    if known:
        becomes_known(rolled_back, TEAM)
    rolled_back.advance(seconds=5)
    rolled_back.advance(seconds=5)
    (said,) = lost(rolled_back)
    assert said.startswith("RolledBack of v2: it was not known before the Release was deleted whom to notify: ")
    assert "v1 has all of the traffic" in said
    assert told(rolled_back) == []
    assert rolled_back.cluster.gone, "nothing waits for that"


def test_what_somebody_was_notified_of_before_is_not_said_to_be_lost(rolled_back):
    becomes_known(rolled_back, TEAM)
    told_once(rolled_back, "RolledBack")
    becomes_unknown(rolled_back)
    rolled_back.advance(seconds=5)
    rolled_back.deleting = True
    rolled_back.advance(seconds=5)
    assert lost(rolled_back) == []
