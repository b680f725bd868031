"""After a rollback git owes a commit. Traffic is back before that, and nothing waits for it."""

from dataclasses import replace

import pytest

from controller.api.conditions import conditions_of
from controller.api.effect import MOST_OWED, Effect
from controller.api.git_origin import GitAuthor, GitOrigin, Write
from controller.api.notice import TOPICS
from controller.api.notify import MOST_TARGETS, Notify
from controller.api.status_format import status_from_raw, status_to_raw
from controller.api.what_runs import GIT_ORIGIN, NOTIFY
from controller.rollout import git_rollback
from controller.rollout.decide import withdraw
from controller.rollout.effect import Answered, Refused, Retrying
from tests.unit.rollout.language import release

ORIGIN = GitOrigin("https://git.qa/team/shop.git", "main", "apps", None, Write.PUSH, None, GitAuthor("P", "p@shop.qa"))
COMMITTED = Answered({"commit": "c" * 40, "branch": "", "pullRequest": "", "note": ""})
PROPOSED = Answered({"commit": "", "branch": "pointsman/x", "pullRequest": "https://git.qa/pulls/1", "note": ""})


def given(world, origin=ORIGIN):
    given = release()
    world.given(replace(given, spec=replace(given.spec, git_origin=origin)).on("v2"))


def owed(world):
    return [item.effect for item in world.release.owed if item.effect.kind == "git"]


def events(world):
    return [event.reason for event in world.cluster.events]


def pending(world):
    return world.condition("GitWritePending")


def test_it_is_owed_from_the_write_that_rejects_the_version(world):
    given(world)
    world.crash_loop("v2")
    (effect,) = owed(world)
    assert effect.payload["revision"] == "v2"
    assert effect.payload["stable"] == "v1"
    assert effect.payload["origin"]["url"] == ORIGIN.url
    assert effect.must_deliver
    assert world.traffic.canary == 0
    assert next(entry for entry in world.log if not entry.startswith("event")).startswith("weights v1:100")


@pytest.mark.parametrize("origin", [None, replace(ORIGIN, write=Write.NEVER)], ids=["none", "never"])
def test_nothing_is_owed_where_nothing_may_be_written(world, origin):
    given(world, origin)
    world.crash_loop("v2")
    assert owed(world) == []
    assert pending(world) is None


@pytest.mark.parametrize("trouble", ["no_room", "no_image"])
def test_rule_8_shortage_of_room_and_missing_images_never_touch_git(world, trouble):
    given(world)
    getattr(world, trouble)("v2")
    world.advance(minutes=60)
    assert owed(world) == []


def test_rule_8_an_outage_of_metrics_never_touches_git(world):
    given(world)
    world.metrics.go_dark()
    world.advance(minutes=60)
    assert owed(world) == []


def test_what_was_written_is_kept_and_said_once(world):
    given(world)
    world.crash_loop("v2")
    assert pending(world)["reason"] == "Owed"
    world.gate = COMMITTED
    world.advance(minutes=2)
    assert owed(world) == []
    assert world.release.last_rollback.git.commit == "c" * 40
    assert pending(world) is None
    assert events(world).count("GitWritten") == 1
    raw = status_to_raw(world.release)
    assert raw["lastRollback"]["git"] == {"commit": "c" * 40}
    assert status_from_raw(raw).last_rollback == world.release.last_rollback


def test_a_pull_request_is_pending_until_the_manifest_asks_for_stable_again(world):
    given(world)
    world.crash_loop("v2")
    world.gate = PROPOSED
    world.advance(minutes=2)
    assert pending(world)["reason"] == "AwaitingMerge"
    assert "https://git.qa/pulls/1" in pending(world)["message"]
    world.commit("v1")
    world.until(lambda: world.release.phase == "Healthy")
    assert pending(world) is None


def test_an_outage_of_git_delays_nothing_but_the_commit(world):
    given(world)
    world.gate = Retrying("git.qa cannot be reached", 3, 0.0)
    world.crash_loop("v2")
    world.advance(minutes=5)
    assert world.release.phase == "RolledBack"
    assert "v2" not in world.cluster.deployments
    assert pending(world)["message"] == "git.qa cannot be reached"
    assert events(world).count("GitFailing") == 1
    world.commit("v3")
    world.until(lambda: world.release.stable == "v3")
    assert owed(world), "it is still owed"
    world.gate = COMMITTED
    world.advance(seconds=10)
    assert owed(world) == []


def test_a_repository_that_never_answers_is_given_up_and_said(world):
    given(world)
    world.gate = Retrying("git.qa cannot be reached", 3, 0.0)
    world.crash_loop("v2")
    world.release = world.release.changed(
        owed=tuple(replace(item, since=item.since - git_rollback.KEPT_S) for item in world.release.owed)
    )
    world.advance(minutes=1)
    assert owed(world) == []
    assert "not written within 7 days" in world.release.last_rollback.git.note


def test_what_is_refused_is_said_and_not_tried_again(world):
    given(world)
    world.gate = Refused("file is not used for git; use https or ssh")
    world.crash_loop("v2")
    world.advance(minutes=1)
    assert owed(world) == []
    assert events(world).count("GitNotWritten") == 1


def test_an_edit_of_the_origin_reaches_what_is_owed(world):
    given(world)
    world.crash_loop("v2")
    world.edit(git_origin=replace(ORIGIN, url="https://other.qa/shop.git"))
    world.advance(seconds=10)
    assert owed(world)[0].payload["origin"]["url"] == "https://other.qa/shop.git"


@pytest.mark.parametrize("origin", [None, replace(ORIGIN, write=Write.NEVER)], ids=["taken out", "never"])
def test_writing_that_is_forbidden_meanwhile_is_not_done(world, origin):
    given(world)
    world.crash_loop("v2")
    world.edit(git_origin=origin)
    world.advance(seconds=10)
    assert owed(world) == []


def withdrawn(world, result=None, **readable):
    """After a pass over a spec that cannot be meant, and of which `readable` is what else could be read."""
    spec = replace(world.spec, steps=(), **readable)
    results = {} if result is None else {item.effect.id: result for item in world.release.owed}
    return withdraw(replace(world.observe(), spec=spec, effects=results), world.cluster.now, "cannot be meant").status


UNREAD = {"git_origin": None, "notify": (), "unread": frozenset({GIT_ORIGIN, NOTIFY})}


def test_a_spec_that_cannot_be_read_drops_nothing_that_is_owed(world):
    given(world)
    world.crash_loop("v2")
    before = owed(world)
    kept = withdrawn(world, Retrying("git.qa cannot be reached", 3, 0.0), **UNREAD)
    assert [item.effect for item in kept.owed if item.effect.kind == "git"] == before
    assert kept.last_rollback.git.note == "git.qa cannot be reached"
    done = withdrawn(world, COMMITTED, **UNREAD)
    assert done.last_rollback.git.commit == "c" * 40
    assert "git" not in {item.effect.kind for item in done.owed}


@pytest.mark.parametrize("origin", [None, replace(ORIGIN, write=Write.NEVER)], ids=["taken out", "never"])
def test_what_an_unusable_spec_clearly_forbids_is_not_done(world, origin):
    given(world)
    world.crash_loop("v2")
    assert "git" not in {item.effect.kind for item in withdrawn(world, git_origin=origin).owed}


def test_a_retry_takes_what_is_owed_with_it(world):
    given(world)
    world.crash_loop("v2")
    world.recover("v2")
    world.ask("retry", "v2")
    world.until(lambda: world.release.canary == "v2")
    assert [effect.payload.get("writing") for effect in owed(world)] == ["Retry"]


def test_rule_6_the_manifest_that_git_has_then_is_no_new_release(world):
    given(world)
    world.crash_loop("v2")
    world.gate = COMMITTED
    world.advance(minutes=2)
    attempts = world.release.attempts
    world.commit("v1")
    world.until(lambda: world.release.phase == "Healthy")
    world.advance(minutes=10)
    assert (world.release.stable, world.release.attempts) == ("v1", attempts)


def test_rule_7_the_same_version_offered_again_stays_rejected(world):
    given(world)
    world.crash_loop("v2")
    world.gate = COMMITTED
    world.advance(minutes=2)
    world.commit("v1")
    world.until(lambda: world.release.phase == "Healthy")
    world.recover("v2")
    world.commit("v2")
    world.advance(minutes=10)
    assert world.release.phase == "RolledBack"
    assert world.traffic.canary == 0
    assert world.condition("Stalled")["reason"] == "RevisionRejected"


def test_the_longest_payload_fits_into_the_status(world):
    long = replace(ORIGIN, url="https://git.qa/" + "x" * 480, path="p" * 500, branch="b" * 200)
    payload = {"origin": long.to_raw(), "revision": "b" * 10, "stable": "a" * 10, "attempt": 99_999}
    texts = {"at": "2026-11-29T12:00:00.000000Z", "message": "m" * 512, "evidence": "e" * 512}
    assert Effect("x", "git", {**payload, **texts}).fits


def test_a_condition_is_there_only_while_something_is_pending(world):
    given(world)
    assert "GitWritePending" not in {one.type for one in conditions_of(world.release)}


def test_rule_7_a_rejected_version_that_git_offers_again_gets_no_work(world):
    """As image automation does, or a robot that reverts the revert."""
    given(world)
    world.gate = COMMITTED
    world.crash_loop("v2")
    world.commit("v1")
    world.advance(minutes=2)
    world.recover("v2")
    world.commit("v2")
    world.advance(minutes=10)
    assert world.release.phase == "RolledBack"
    assert world.condition("Stalled")["reason"] == "RevisionRejected"
    assert world.traffic.canary == 0
    assert owed(world) == [], "what git has is the robot's, and stays"


AGAIN = Answered({"commit": "d" * 40, "branch": "", "pullRequest": "", "note": ""})


def retried(world, by="action"):
    """v2 was rolled back, here and in git; somebody says that it was a false alarm."""
    world.gate = COMMITTED
    world.crash_loop("v2")
    world.commit("v1")
    world.advance(minutes=2)
    world.gate = None
    if by == "annotation":
        world.annotate("v2")
    else:
        world.ask("retry", "v2")
    world.advance(seconds=2)


@pytest.mark.parametrize("by", ["action", "annotation"])
def test_rule_7_a_retry_owes_that_the_commit_of_the_rollback_is_taken_back(world, by):
    given(world)
    retried(world, by)
    (effect,) = owed(world)
    assert (effect.payload["writing"], effect.payload["revision"]) == ("Retry", "v2")
    assert "retry by" in effect.payload["message"]
    assert effect.fits
    assert pending(world)["message"] == "the retry is to be written to git"
    world.gate = AGAIN
    world.advance(minutes=1)
    assert owed(world) == []
    assert pending(world) is None
    assert world.release.last_rollback.git.sentence == f"commit {'d' * 12} brings it again"
    raw = status_to_raw(world.release)
    assert raw["lastRollback"]["git"] == {"commit": "d" * 40, "retried": True}
    assert status_from_raw(raw).last_rollback == world.release.last_rollback


def test_a_retry_cancels_a_rollback_that_is_not_written_yet(world):
    given(world)
    world.gate = Retrying("git.qa cannot be reached", 3, 0.0)
    world.crash_loop("v2")
    world.ask("retry", "v2")
    assert {effect.payload.get("writing") for effect in owed(world)} == {None}, "it crashes still"
    world.recover("v2")
    world.ask("retry", "v2")
    world.advance(seconds=5)
    assert [effect.payload.get("writing") for effect in owed(world)] == ["Retry"]


def test_a_version_that_fails_again_owes_its_rollback_and_no_longer_the_retry(world):
    given(world)
    retried(world)
    world.gate = Retrying("git.qa cannot be reached", 3, 0.0)
    world.crash_loop("v2")
    world.commit("v2")
    world.until(lambda: world.release.phase == "RolledBack")
    assert [effect.payload.get("writing") for effect in owed(world)] == [None]


def test_a_pull_request_of_a_retry_is_pending_until_the_version_is_back(world):
    given(world)
    retried(world)
    world.gate = PROPOSED
    world.advance(minutes=1)
    assert pending(world)["reason"] == "AwaitingMerge"
    assert "brings it again; merge it" in pending(world)["message"]
    world.recover("v2")
    world.commit("v2")
    world.advance(seconds=10)
    assert pending(world) is None


@pytest.mark.parametrize("origin", [None, replace(ORIGIN, write=Write.NEVER)], ids=["none", "never"])
def test_a_retry_owes_nothing_where_nothing_may_be_written(world, origin):
    given(world, origin)
    world.crash_loop("v2")
    world.ask("retry", "v2")
    world.advance(seconds=5)
    assert owed(world) == []


def test_notifications_that_nobody_takes_push_no_commit_out(world):
    """The way out of the cluster is closed, to the forge as to whoever is notified."""
    given(world)
    targets = [
        Notify(f"team-{number}", frozenset(TOPICS), "webhook", {"url": "http://hooks.qa"})
        for number in range(MOST_TARGETS)
    ]
    world.edit(notify=tuple(targets))
    world.gate = Retrying("no route to host", 3, 0.0)
    for revision in ("v2", "v3", "v4"):
        world.commit(revision)
        world.crash_loop(revision)
        world.until(lambda: world.release.phase == "RolledBack")
        world.advance(minutes=5)
    assert {effect.payload["revision"] for effect in owed(world)} == {"v2", "v3", "v4"}
    assert len(world.release.owed) == MOST_OWED
    assert "NotificationLost" in events(world)
