"""One notification for each thing that people should know, owed from the write that holds the thing itself."""

from dataclasses import replace

import pytest

from controller.api.notice import DEFAULT_TOPICS, TOPICS
from controller.api.notify import Notify
from controller.api.reasons import Reason
from controller.rollout.actions import Event
from controller.rollout.effect import Answered, Refused, Retrying
from controller.rollout.observation import MetricTrouble
from tests.unit.rollout.language import analyze, approve, pause, release, weight

URL = {"url": "http://hooks.qa/pointsman"}


NOT_PROMOTED = [topic for topic in DEFAULT_TOPICS if topic != "Promoted"]


def notified(steps=None, *, on=NOT_PROMOTED, **given):
    found = release(steps, **given)
    target = Notify("team", frozenset(on), "webhook", URL)
    return replace(found, spec=replace(found.spec, notify=(target,)))


def notes(world):
    return [item.effect for item in world.release.owed if item.effect.kind == "notify"]


def events(world):
    """The reasons of those that are sent from now on."""
    sent, carry_out = [], world.cluster.carry_out

    def record(action, run):
        if isinstance(action, Event):
            sent.append(action.reason)
        carry_out(action, run)

    world.cluster.carry_out = record
    return sent


def topics(world):
    return [note.payload["notice"]["topic"] for note in notes(world)]


def test_a_rollback_is_told_once_with_its_evidence_and_for_as_long_as_it_takes(world):
    world.given(notified().on("v2"))
    world.crash_loop("v2")
    (note,) = notes(world)
    notice = note.payload["notice"]
    assert (notice["topic"], notice["reason"], notice["revision"]) == ("RolledBack", "CrashLoop", "v2")
    assert notice["message"].endswith("v1 has all of the traffic")
    assert note.must_deliver
    world.advance(minutes=30)
    assert notes(world) == [note], "nobody has delivered it"
    world.effects = {note.id: Answered({})}
    world.settle()
    world.advance(minutes=5)
    assert notes(world) == []


def test_a_notification_waits_for_nothing_and_nothing_for_it(world):
    world.given(notified().on("v2"))
    world.gate = Retrying("hooks.qa answered 500", 3, 0.0)
    world.crash_loop("v2")
    assert world.log[0].startswith("weights v1:100")
    world.advance(minutes=1)
    assert world.release.phase == "RolledBack"
    assert topics(world) == ["RolledBack"]


def test_a_promotion_is_told_once(world):
    world.given(notified([pause("10s")], on=["Promoted"]))
    world.commit("v2")
    world.advance(minutes=5)
    assert topics(world) == ["Promoted", "Promoted"], "the first version, and this one"
    assert notes(world)[0].payload["notice"]["message"] == "v2 instead of v1 has all of the traffic"


def test_a_person_who_is_waited_for_is_told_once_a_step(world):
    world.given(notified([weight(5), approve(), weight(20), approve()], on=["AwaitingApproval"]))
    world.commit("v2")
    world.advance(minutes=30)
    assert topics(world) == ["AwaitingApproval"]
    world.ask("approve")
    world.advance(minutes=30)
    assert topics(world) == ["AwaitingApproval"] * 2
    assert notes(world)[0].payload["notice"]["message"] == "step 4/4: waiting for approval (pointsman approve)"


def test_an_outage_that_comes_and_goes_is_told_once_an_hour(world):
    world.given(notified([weight(5, analyze("5h", "9h"))], on=["SourceOutage"]).on("v2"))
    for _ in range(5):
        world.metrics.go_dark()
        world.advance(minutes=1)
        world.metrics.come_back()
        world.advance(minutes=1)
    assert topics(world) == ["SourceOutage"]
    world.advance(minutes=55)
    world.metrics.go_dark()
    world.advance(minutes=1)
    assert topics(world) == ["SourceOutage"] * 2


def test_only_what_a_target_wants_is_told(world):
    world.given(notified(on=["SourceOutage"]).on("v2"))
    world.crash_loop("v2")
    assert topics(world) == []


def test_a_mended_url_is_where_old_notifications_go(world):
    world.given(notified().on("v2"))
    world.crash_loop("v2")
    (before,) = notes(world)[:1]
    world.edit(notify=(Notify("team", frozenset(TOPICS), "webhook", {"url": "http://mended.qa/"}),))
    after = notes(world)[0]
    assert after.id == before.id
    assert after.payload["config"] == {"url": "http://mended.qa/"}
    world.edit(notify=())
    assert notes(world) == []


def test_a_notification_that_cannot_be_delivered_is_said_once_and_given_up_after_a_day(world):
    world.given(notified(on=["RolledBack"]).on("v2"))
    sent = events(world)
    world.gate = Retrying("hooks.qa answered 500", 3, 0.0)
    world.crash_loop("v2")
    world.advance(minutes=10)
    assert sent.count("NotificationFailing") == 1
    world.cluster.now += 86_400
    world.advance(seconds=10)
    assert notes(world) == []
    assert sent.count("NotificationLost") == 1


def test_a_notification_that_is_refused_is_said_and_goes(world):
    world.given(notified(on=["RolledBack"]).on("v2"))
    sent = events(world)
    world.gate = Refused("this operator cannot carry out 'notify'")
    world.crash_loop("v2")
    world.advance(seconds=10)
    assert notes(world) == []
    assert sent.count("NotificationLost") == 1


@pytest.mark.parametrize("letter", ["x", "é", "𝄞"])
def test_a_long_message_still_fits_into_the_status(world, letter):
    found = notified([weight(5, analyze("30s", "1h"))], on=["MetricBroken"])
    url = {"url": "http://hooks.qa/" + "x" * 1000}
    world.given(replace(found, spec=replace(found.spec, notify=(Notify("team", frozenset(TOPICS), "webhook", url),))))
    world.commit("v2")
    world.until(lambda: world.traffic.canary > 0)
    world.metrics.trouble = MetricTrouble(Reason.METRIC_BROKEN, letter * 5000)
    world.advance(seconds=30)
    assert all(note.fits for note in notes(world))
    assert "MetricBroken" in topics(world)
