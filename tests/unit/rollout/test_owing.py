"""More may be owed than a status holds. What goes then is said, whatever its kind."""

from dataclasses import replace

import pytest

from controller.api.effect import MOST_OWED, Effect, Owed
from controller.api.git_origin import GitAuthor, GitOrigin, Report, Write
from controller.api.status import KEPT, Rejection
from controller.api.status_format import status_to_raw
from controller.rollout.effect import Retrying
from tests.unit.rollout.language import release

ORIGIN = GitOrigin("https://git.qa/team/shop.git", "main", "apps", None, Write.PUSH, None, GitAuthor("P", "p@shop.qa"))
AWAY = Retrying("git.qa cannot be reached", 3, 0.0)


def given(world, origin=ORIGIN):
    given = release()
    world.given(replace(given, spec=replace(given.spec, git_origin=origin)).on("v2"))
    world.gate = AWAY


def owe(world, count, kind, rejected=(), **payload):
    """As many effects that nobody takes, each of a version that was rejected before."""
    names = [f"r{number}" for number in range(count)]
    items = [
        Owed(
            Effect(f"{kind}.{name}", kind, {"origin": ORIGIN.to_raw(), "revision": name, **payload}, must_deliver=True),
            world.cluster.now - 60 + number,
        )
        for number, name in enumerate(names)
    ]
    before = world.release
    world._keep(status_to_raw(before.changed(owed=(*items, *before.owed), rejected=tuple(rejected))))
    world.learn()


def rejections(world, count):
    return [
        Rejection(f"r{number}", "MetricWorse", "worse", "", world.cluster.now - 600 + number) for number in range(count)
    ]


def gone(world, count, kind):
    """Revisions whose effects are owed no longer."""
    left = {item.effect.id for item in world.release.owed}
    return [f"r{number}" for number in range(count) if f"{kind}.r{number}" not in left]


def subjects(world, reason):
    """What the events with this reason are about."""
    found = [event.message.split(":")[0] for event in world.cluster.events if event.reason == reason]
    return sorted(found)


def test_a_commit_that_finds_no_room_is_said(world):
    given(world)
    owe(world, KEPT - 1, "git", rejections(world, KEPT - 1))
    world.crash_loop("v2")
    assert len(world.release.owed) == MOST_OWED
    assert gone(world, KEPT - 1, "git")
    assert subjects(world, "GitNotWritten") == gone(world, KEPT - 1, "git")


def test_a_commit_whose_rejection_is_forgotten_is_said(world):
    given(world)
    owe(world, 1, "git", rejections(world, KEPT))
    world.crash_loop("v2")
    assert gone(world, 1, "git") == ["r0"]
    assert "RejectionForgotten" in {event.reason for event in world.cluster.events}
    assert subjects(world, "GitNotWritten") == ["r0"]


def test_an_end_that_was_not_reported_before_three_newer_ones_is_said(world):
    given(world, replace(ORIGIN, report=Report.STATUS))
    owe(world, 4, "gitReport", attempt=1, stable="v1", state="failure", message="rolled back", evidence="")
    world.advance(seconds=5)
    assert gone(world, 4, "gitReport")
    assert subjects(world, "CommitNotReported") == gone(world, 4, "gitReport")


@pytest.mark.parametrize(
    ("kind", "reason"), [("podEvidence", "EvidenceNotKept"), ("jobDeletion", "JobNotDeleted"), ("pigeon", "EffectLost")]
)
def test_what_finds_no_room_is_said_whatever_it_is(world, kind, reason):
    given(world)
    world.keeps_evidence = False
    owe(world, MOST_OWED, kind, job="job.1")
    world.crash_loop("v2")
    assert len(gone(world, MOST_OWED, kind)) >= 2
    assert len(subjects(world, reason)) == len(gone(world, MOST_OWED, kind))
