"""Promotions are recorded, and a cluster that was built anew begins with the version that was healthy last."""

from dataclasses import replace

import pytest

from controller.api.git_origin import GitAuthor, GitOrigin, Write
from controller.rollout import recorded
from controller.rollout.effect import Answered, Refused, Retrying
from tests.unit.rollout.language import approve, release, weight

ORIGIN = GitOrigin("https://git.qa/team/shop.git", "main", "apps", None, Write.PUSH, None, GitAuthor("P", "p@shop.qa"))
NOTHING = Answered({"revision": "", "note": ""})
AWAY = Retrying("git.qa cannot be reached", 3, 0.0)


@pytest.fixture
def fresh(world):
    """The first pass over a Release in a new cluster; `v1` is asked for."""
    given = release([weight(10), approve()]).first()
    world.given(replace(given, spec=replace(given.spec, git_origin=ORIGIN)))
    world.settle()
    world.cluster.templates["v0"] = None  # as the effect keeps it
    return world


def owed(world, kind):
    return [item.effect for item in world.release.owed if item.effect.kind == kind]


def test_a_first_deployment_waits_for_the_record_and_nothing_runs_before(fresh):
    (effect,) = owed(fresh, recorded.RECOVERY)
    assert effect.payload["revision"] == "v1"
    assert fresh.release.reason == "ReadingRecord"
    assert fresh.cluster.deployments == {}


def test_record_rule_2_without_a_record_it_is_a_first_deployment_as_ever(fresh):
    fresh.gate = NOTHING
    fresh.until(lambda: fresh.release.stable == "v1")
    assert owed(fresh, recorded.RECOVERY) == []


def test_record_rule_3_the_version_that_was_healthy_last_comes_first_and_the_manifests_from_step_one(fresh):
    fresh.gate = Answered({"revision": "v0", "commit": "c" * 40, "note": ""})
    fresh.until(lambda: fresh.release.stable == "v0")
    assert fresh.release.restored == ""
    fresh.until(lambda: fresh.release.canary == "v1" and fresh.traffic.canary == 10)
    assert fresh.release.stable == "v0"
    assert fresh.release.attempts == 1


def test_record_rule_2_a_manifest_that_asks_for_the_healthy_version_is_deployed_at_once(fresh):
    fresh.gate = Answered({"revision": "v1", "commit": "c" * 40, "note": ""})
    fresh.until(lambda: fresh.release.stable == "v1")
    assert fresh.release.canary == ""


def test_while_git_is_away_it_waits_with_a_sentence_and_not_for_ever(fresh):
    fresh.gate = AWAY
    fresh.advance(minutes=10)
    assert fresh.release.reason == "RecordUnreadable"
    assert "git.qa cannot be reached" in fresh.release.message
    assert "pointsman.dev/without-record: allow" in fresh.release.message
    assert fresh.cluster.deployments == {}
    fresh.advance(minutes=10)
    assert fresh.release.stable == "v1"


def test_a_repository_that_comes_back_is_read(fresh):
    fresh.gate = AWAY
    fresh.advance(minutes=10)
    fresh.gate = Answered({"revision": "v0", "commit": "c" * 40, "note": ""})
    fresh.until(lambda: fresh.release.stable == "v0")


def test_the_annotation_ends_the_wait(fresh):
    fresh.gate = AWAY
    fresh.advance(minutes=1)
    fresh.without_record = True
    fresh.settle()
    assert fresh.release.canary == "v1"


def test_the_annotation_is_the_way_out_of_a_recorded_version_that_does_not_start(fresh):
    fresh.cluster.behavior("v0").pods = "no image"
    fresh.gate = Answered({"revision": "v0", "commit": "c" * 40, "note": ""})
    fresh.until(lambda: fresh.release.canary == "v0")
    fresh.without_record = True
    fresh.until(lambda: fresh.release.stable == "v1")


@pytest.mark.parametrize("result", [Refused("file is not used for git"), Answered({"revision": "", "note": "gone"})])
def test_a_record_that_can_never_be_read_is_said_and_not_waited_for(fresh, result):
    fresh.gate = result
    fresh.until(lambda: fresh.release.stable == "v1")
    assert "RecordUnreadable" in [event.reason for event in fresh.cluster.events]


def test_a_promotion_is_recorded_once(fresh):
    fresh.gate = NOTHING
    fresh.until(lambda: fresh.release.stable == "v1")
    fresh.until(lambda: fresh.release.recorded == "v1")
    assert owed(fresh, recorded.RECORD) == []
    fresh.gate = None
    fresh.advance(minutes=5)
    assert owed(fresh, recorded.RECORD) == []


def test_a_record_that_cannot_be_written_delays_nothing_and_stays_owed(fresh):
    fresh.gate = NOTHING
    fresh.until(lambda: fresh.release.canary == "v1")
    fresh.gate = AWAY
    fresh.until(lambda: fresh.release.stable == "v1")
    fresh.advance(minutes=60)
    assert fresh.release.phase == "Healthy"
    (effect,) = owed(fresh, recorded.RECORD)
    assert effect.payload["revision"] == "v1"
    assert [event.reason for event in fresh.cluster.events].count("GitRecordFailing") == 1


def test_a_record_that_is_refused_is_said_once_and_does_not_count_as_written(fresh):
    fresh.gate = NOTHING
    fresh.until(lambda: fresh.release.canary == "v1")
    fresh.gate = Refused("more than 32 MiB of manifests; name a smaller folder as path")
    fresh.until(lambda: fresh.release.stable == "v1")
    fresh.advance(minutes=60)
    assert fresh.release.phase == "Healthy"
    assert fresh.release.recorded == ""
    assert [event.reason for event in fresh.cluster.events].count("GitRecordFailing") == 1


def test_a_record_that_was_refused_is_written_once_the_origin_is_corrected(fresh):
    fresh.gate = NOTHING
    fresh.until(lambda: fresh.release.canary == "v1")
    fresh.gate = Refused("more than 32 MiB of manifests; name a smaller folder as path")
    fresh.until(lambda: fresh.release.stable == "v1")
    fresh.gate = None
    fresh.edit(git_origin=replace(ORIGIN, path="apps/web"))
    fresh.settle()
    (effect,) = owed(fresh, recorded.RECORD)
    assert effect.payload["origin"]["path"] == "apps/web"
    fresh.gate = NOTHING
    fresh.until(lambda: fresh.release.recorded == "v1")
    assert owed(fresh, recorded.RECORD) == []


@pytest.mark.parametrize("origin", [None, replace(ORIGIN, write=Write.NEVER)], ids=["none", "never"])
def test_without_the_right_to_write_all_is_as_ever(world, origin):
    given = release([weight(10), approve()])
    world.given(replace(given, spec=replace(given.spec, git_origin=origin)))
    assert world.release.stable == "v1"
    assert owed(world, recorded.RECORD) == owed(world, recorded.RECOVERY) == []
