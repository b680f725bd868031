"""What the forge hears of a release: of each the newest state, and nothing waits for it."""

import re
from dataclasses import replace

import pytest

from controller.api.git_origin import GitAuthor, GitOrigin, Report, Write
from controller.rollout import git_report
from controller.rollout.effect import Answered, Refused, Retrying
from tests.unit.rollout.language import approve, release, weight

SHA, LATER = "9f31c07a52" * 4, "61d0b8e7aa" * 4
ORIGIN = GitOrigin(
    "https://git.qa/team/shop.git",
    "main",
    "apps",
    None,
    Write.NEVER,
    None,
    GitAuthor("P", "p@shop.qa"),
    report=Report.COMMENT,
)
DONE = Answered({"commit": SHA})
AWAY = Retrying("git.qa cannot be reached", 3, 0.0)


def given(world, origin=ORIGIN, steps=None):
    given = release(steps)
    world.given(replace(given, spec=replace(given.spec, git_origin=origin)))
    world.gate = DONE
    world.advance(seconds=10)
    world.gate = None
    world.cluster.events.clear()
    world.brought_by = SHA
    world.commit("v2")


def owed(world):
    return {item.effect.id: item.effect.payload for item in world.release.owed if item.effect.kind == git_report.KIND}


def said(world):
    return [(one["state"], one["message"]) for one in owed(world).values()]


def test_the_share_is_shown_while_it_goes_on(world):
    given(world)
    world.until(lambda: world.traffic.canary == 5)
    assert said(world) == [("pending", "5 %, step 1 of 2")]
    world.until(lambda: world.traffic.canary == 50)
    assert said(world) == [("pending", "50 %, step 2 of 2")]


def test_a_promotion_and_a_rollback_are_the_last_that_is_said(world):
    given(world)
    world.until(lambda: world.release.stable == "v2")
    assert said(world) == [("success", "promoted")]
    world.gate = DONE
    world.advance(seconds=10)
    assert said(world) == []
    world.gate = None
    world.commit("v3")
    world.crash_loop("v3")
    (payload,) = owed(world).values()
    assert payload["state"] == "failure"
    assert payload["message"].startswith("rolled back, ")
    assert payload["evidence"] == world.release.last_rollback.message


def test_counts_that_rolled_a_version_back_are_shown_in_short(world):
    given(world, steps=[weight(50), approve()])
    world.regress("v2")
    world.until(lambda: world.release.last_rollback is not None)
    (payload,) = owed(world).values()
    assert re.fullmatch(r"rolled back, errors \d+/\d+ vs \d+/\d+ \(p .+\)", payload["message"])
    assert payload["evidence"].startswith("errors: ")


def test_the_counts_of_a_version_that_a_person_aborted_are_not_why(world):
    given(world, steps=[weight(50), approve()])
    world.advance(minutes=1)
    world.ask("abort")
    assert said(world) == [("failure", f"rolled back, {world.release.last_rollback.message}")]


def test_the_commit_is_that_with_which_the_release_began(world):
    given(world, steps=[weight(5), approve()])
    assert {one["commit"] for one in owed(world).values()} == {SHA}
    world.brought_by = LATER  # of a commit that changed nothing of the version
    world.gate = Answered({"commit": SHA})
    world.advance(seconds=10)
    world.gate = None
    world.ask("abort")
    assert {one["commit"] for one in owed(world).values()} == {SHA}


def test_what_was_looked_up_is_not_looked_up_again(world):
    given(world, steps=[weight(5), approve()])
    world.brought_by = ""
    world.gate = Answered({"commit": LATER})
    world.advance(seconds=10)
    assert {one["commit"] for one in owed(world).values()} == {LATER}


def test_an_outage_of_an_hour_ends_with_the_last_state_only(world):
    given(world)
    world.gate = AWAY
    world.until(lambda: world.release.stable == "v2")
    world.advance(minutes=60)
    assert said(world) == [("success", "promoted")]
    events = [event.reason for event in world.cluster.events]
    assert events.count("CommitReportFailing") <= 2, "once while it goes on, and once of its end"
    assert events.count("CommitNotReported") == 0


def test_versions_that_were_given_up_in_an_outage_are_bounded(world):
    given(world)
    world.gate = AWAY
    for number in range(3, 12):
        world.commit(f"v{number}")
        world.advance(seconds=10)
    assert len(owed(world)) <= git_report.MOST_OWED + 1
    assert ("ended", "not promoted: v11 came instead") in said(world)


def test_a_forge_that_is_away_for_longer_than_a_day_is_given_up_from_the_end_on(world):
    given(world, steps=[weight(5), approve()])
    world.gate = AWAY
    world.advance(minutes=10)
    since = world.release.owed[0].since
    world.ask("abort")
    (item,) = [one for one in world.release.owed if one.effect.kind == git_report.KIND]
    assert item.since > since, "a release may last for days"
    world.release = world.release.changed(
        owed=tuple(replace(one, since=one.since - git_report.KEPT_S) for one in world.release.owed)
    )
    world.advance(seconds=10)
    assert owed(world) == {}
    assert "CommitNotReported" in [event.reason for event in world.cluster.events]


@pytest.mark.parametrize("origin", [None, replace(ORIGIN, report=Report.NEVER)], ids=["none", "never"])
def test_nothing_is_reported_unless_it_is_wanted(world, origin):
    given(world, origin)
    world.until(lambda: world.release.stable == "v2")
    assert owed(world) == {}


def test_whoever_turns_it_off_is_not_reported_any_more(world):
    given(world)
    world.gate = AWAY
    world.until(lambda: world.release.stable == "v2")
    world.edit(git_origin=replace(ORIGIN, report=Report.NEVER))
    assert owed(world) == {}


def test_what_cannot_be_reported_as_it_stands_is_said_once(world):
    given(world, steps=[weight(5), approve()])
    world.gate = Refused("a report needs the API of git.qa")
    world.advance(minutes=5)
    assert [event.reason for event in world.cluster.events].count("CommitNotReported") == 1


def test_a_release_that_is_deleted_says_so(world):
    given(world, steps=[weight(5), approve()])
    world.delete()
    assert ("ended", "the Release was deleted") in said(world)
