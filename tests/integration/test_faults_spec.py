"""The spec changes while a release is under way, the sizes too, and clocks differ."""

import time

import pytest

from controller.api.release import NAME_MOST
from controller.api.resources import RELEASES
from controller.kube.client import InvalidError
from tests.integration.operator_fixture import APPROVE, pause, release, set_version, weight


async def test_steps_shortened_below_the_one_under_way_promote_nothing(stall):
    await stall.given(release(weight(10), pause(0.1), weight(50), APPROVE))
    stable = (await stall.status())["stableRevision"]
    await stall.commit("2")
    await stall.until(lambda status: status.get("step") == 3)
    await stall.edit(lambda body: body["spec"]["strategy"]["canary"].update(steps=[weight(20), APPROVE]))
    waiting = await stall.until(lambda status: status.get("weight") == 20)
    assert (waiting["phase"], waiting["progress"], waiting["stableRevision"]) == ("Paused", "2/2", stable)
    await stall.ask("approve", waiting["canaryRevision"])
    assert (await stall.until_phase("Healthy"))["stableRevision"] == waiting["canaryRevision"]


async def test_replicas_changed_in_mid_release_change_nothing_else(stall):
    await stall.given(release(weight(50), APPROVE))
    await stall.commit("2")
    before = await stall.until_phase("Paused")
    await stall.edit(lambda body: body["spec"].update(replicas=5))
    after = await stall.until(lambda status: status.get("readyReplicas") == 5)
    assert (after["attempt"], after["step"], after["weight"]) == (before["attempt"], before["step"], 50)


async def test_template_steps_and_replicas_changed_at_once_start_at_step_one(stall):
    await stall.given(release(weight(10), APPROVE))
    await stall.commit("2")
    before = await stall.until_phase("Paused")

    def everything(body):
        set_version(body, "3")
        body["spec"].update(replicas=3, strategy={"canary": {"steps": [weight(20), APPROVE]}})

    await stall.edit(everything)
    waiting = await stall.until(lambda status: status.get("weight") == 20)
    assert waiting["canaryRevision"] != before["canaryRevision"]
    assert (waiting["phase"], waiting["progress"], waiting["attempt"]) == ("Paused", "2/2", before["attempt"] + 1)
    assert waiting["stableRevision"] == before["stableRevision"]
    await stall.ask("approve", waiting["canaryRevision"])
    done = await stall.until(lambda status: status.get("phase") == "Healthy" and status.get("readyReplicas") == 3)
    assert done["stableRevision"] == waiting["canaryRevision"]


async def test_good_bad_worse_good_within_a_minute(stall):
    stall.node.behave = lambda pod: {"bad": "crash", "worse": "unready"}.get(_version(pod), "ready")
    await stall.given(release(weight(50), pause(0.2), progressDeadlineSeconds=6, drain={"quiet": "0s"}))
    began = time.monotonic()
    await stall.commit("2")
    good = (await stall.until_phase("Healthy"))["stableRevision"]
    await stall.commit("bad")
    assert (await stall.until_phase("RollingBack", "RolledBack"))["reason"] == "CrashLoop"
    await stall.commit("worse")
    await stall.until(lambda status: status.get("reason") == "ProgressDeadlineExceeded")
    assert await stall.shares() == {good: 10000}
    await stall.commit("3")
    done = await stall.until_phase("Healthy")
    assert time.monotonic() - began < 60
    assert [item["reason"] for item in done["rejected"]] == ["CrashLoop", "ProgressDeadlineExceeded"]
    assert done["previousStable"] == good
    assert (await stall.objects())["Deployment"] == [f"web-{done['stableRevision']}"]


@pytest.mark.parametrize("seconds", [-60, 60])
async def test_a_clock_that_is_wrong_by_a_minute_changes_nothing(stall, seconds):
    stall.operator.clock = lambda: time.time() + seconds
    await stall.given(release(weight(10), pause(1), weight(50), pause(1)))
    await stall.commit("2")
    at_ten = await stall.until(lambda status: status.get("weight") == 10)
    began = time.monotonic()
    await stall.until(lambda status: status.get("weight") == 50)
    assert time.monotonic() - began > 0.5, "the pause is not skipped"
    done = await stall.until_phase("Healthy")
    assert (done["stableRevision"], done["attempt"]) == (at_ten["canaryRevision"], 1)


async def test_a_name_of_52_letters_works_and_one_of_53_is_refused_with_a_sentence(stall):
    stall.name = "w" * NAME_MOST
    stall.operator.key = stall.key
    await stall.given(release(weight(10), pause(0.1)))
    await stall.commit("2")
    done = await stall.until_phase("Healthy")
    assert await stall.shares() == {done["stableRevision"]: 10000}
    too_long = {**release(), "metadata": {"name": "w" * (NAME_MOST + 1)}}
    with pytest.raises(InvalidError, match="at most 52 letters: NAME-REVISION must fit"):
        await stall.kube.create(RELEASES, stall.namespace, too_long)


def _version(pod):
    return pod["spec"]["containers"][0]["env"][0]["value"]
