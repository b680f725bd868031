"""`mirror` with `analyze` and the whole operator: route, looks and records of a version that has no work."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from controller.analysis.record import run_of
from controller.api.resources import ANALYSIS_RUNS, DEPLOYMENTS, HTTP_ROUTES, RELEASES
from controller.kube.objects import Key
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fault_world import SHOP, World, release, run

COPIES: Object = {"mirror": "50%", "analyze": {"atLeast": "20s", "atMost": "1m"}}
APPROVE: Object = {"approve": {}}
SWITCH: Object = {"blueGreen": {"steps": [COPIES, APPROVE], "keepOld": "30s"}}


def records(world: World) -> dict[str, Any]:
    return {one["metadata"]["name"]: one for one in world.api.objects(ANALYSIS_RUNS.path())}


def looks(record: Object) -> list[Object]:
    return list(record["status"]["looks"])


async def mirrored(world: World, strategy: Object) -> None:
    """Version 2 gets copies, and some looks were made."""
    world.gateway_copies()
    world.create(RELEASES, release("web", metrics=True, strategy=strategy))
    world.start("a")
    await world.until_phase("web", "Healthy", 1)
    world.commit("web", 2)
    await world.until(lambda: world.status("web").get("copiesJudged") == 50)


def filters(world: World) -> list[Object]:
    (route,) = world.api.objects(HTTP_ROUTES.path())
    return list(route["spec"]["rules"][0].get("filters", []))


def test_a_version_is_judged_by_copies_and_then_by_before_and_after_with_half_of_the_budget_each():
    async def story(world: World) -> None:
        await mirrored(world, SWITCH)
        await world.until_reason("web", "AwaitingApproval")
        world.ask("web", "approve")
        await world.until_phase("web", "Healthy", 2)

    world = run(story)
    found = records(world)
    (own, preview) = sorted(found, key=len)
    assert preview == f"{own}-preview"
    assert (found[own]["status"]["verdict"], found[preview]["status"]["verdict"]) == ("promoted", "switched")
    assert {one["spec"]["method"]["alpha"] for one in found.values()} == {0.005}
    (metric,) = found[own]["spec"]["method"]["metrics"]
    # the window in which the switch happens is asked for after it, of a source that knows no past
    assert metric["before"]["total"] in (19 * 500, 20 * 500), "stable alone, and no copies"
    assert "before" not in found[preview]["spec"]["method"]["metrics"][0]
    copied = looks(found[preview])
    assert {(look["weight"], look["copies"]) for look in copied} == {(0, 50)}
    bad, units, _, beside = copied[0]["rows"]["errors"]
    assert bad == 0
    assert abs(units * 2 - beside) <= 1, "every second one, and a number of them may be odd"
    assert {(look["weight"], look.get("copies")) for look in looks(found[own])} == {(100, None)}
    assert "usual" in found[own]["spec"]
    assert found[own]["spec"]["usual"]["errors"] == pytest.approx(100, rel=0.05), "copies are nobody's usual traffic"


@pytest.mark.parametrize("strategy", [SWITCH, {"canary": {"steps": [COPIES, APPROVE, {"weight": 20}]}}])
def test_a_version_that_copies_show_to_be_worse_is_rejected_before_anybody_got_it(strategy):
    async def story(world: World) -> None:
        world.failing.add("web:2")
        await mirrored(world, strategy)
        await world.until_phase("web", "RolledBack")
        await world.until(lambda: len(world.api.objects_of(DEPLOYMENTS.path(), "web")) == 1)

    world = run(story)
    status = world.status("web")
    assert status["lastRollback"]["reason"] in ("Regressed", "AllBad")
    assert "nobody got its answers" in status["lastRollback"]["message"]
    assert (filters(world), "copiesJudged" in status, status["weight"]) == ([], False, 0)
    (record,) = records(world).values()
    assert record["status"]["verdict"] == "regression"
    assert "podEvidence" in record["status"], "what its pods said is where it was rejected"


@pytest.mark.parametrize("when", ["copies are judged", "a person is waited for", "the switch was made"])
def test_an_operator_that_is_killed_goes_on_with_the_same_record(when):
    async def story(world: World) -> None:
        await mirrored(world, SWITCH)
        if when != "copies are judged":
            await world.until_reason("web", "AwaitingApproval")
        if when == "the switch was made":
            world.ask("web", "approve")
            await world.until(lambda: world.status("web").get("weight") == 100)
        await world.operators[0].stop()
        world.operators.clear()
        world.start("b")
        if when != "the switch was made":
            await world.until_reason("web", "AwaitingApproval")
            world.ask("web", "approve")
        await world.until_phase("web", "Healthy", 2)

    world = run(story)
    found = records(world)
    assert sorted(one["status"]["verdict"] for one in found.values()) == ["promoted", "switched"]
    for name, record in found.items():
        judged = run_of(Key(SHOP, "web"), name, [record])
        ends = [(look.end, after.start) for look, after in itertools.pairwise(judged.looks)]
        assert all(end == start for end, start in ends), "windows touch, also over a restart"
        assert judged.judge.evidence().regression is None


def test_judged_steps_that_come_when_the_work_is_back_after_a_switch_are_another_attempts():
    async def story(world: World) -> None:
        world.gateway_copies()
        world.create(RELEASES, release("web", metrics=True, strategy={"blueGreen": {"keepOld": "10m"}}))
        world.start("a")
        await world.until_phase("web", "Healthy", 1)
        world.commit("web", 2)
        await world.until(lambda: world.status("web").get("weight") == 100 and world.status("web").get("analysisRun"))
        world.cluster.broken.add("web:2")
        world.cluster.sync("web")
        await world.until(lambda: world.status("web").get("weight") == 0)
        world.patch("web", {"spec": {"strategy": SWITCH}})
        await world.until(lambda: world.status("web").get("attempt") == 2)
        world.cluster.broken.clear()
        world.cluster.sync("web")
        await world.until_reason("web", "AwaitingApproval")
        world.ask("web", "approve")
        await world.until_phase("web", "Healthy", 2)

    world = run(story)
    found = records(world)
    (first, second, preview) = sorted(found, key=lambda name: (len(name), name))
    assert preview == f"{second}-preview"
    verdicts = [found[name]["status"]["verdict"] for name in (first, second, preview)]
    assert verdicts == ["superseded", "promoted", "switched"]
    assert {name for name in found if any(look.get("copies") for look in looks(found[name]))} == {preview}
    assert looks(found[preview])[-1]["to"] <= looks(found[second])[0]["from"]


def test_an_abort_and_an_edit_in_the_preview_leave_nothing_behind():
    async def story(world: World) -> None:
        await mirrored(world, SWITCH)
        steps = [{**COPIES, "mirror": "20%"}, APPROVE]
        world.patch("web", {"spec": {"strategy": {"blueGreen": {"steps": steps}}}})
        await world.until(lambda: world.status("web").get("copiesJudged") == 20)
        await world.until(lambda: 20 in {look.get("copies") for one in records(world).values() for look in looks(one)})
        world.ask("web", "abort")
        await world.until_phase("web", "RolledBack")
        await world.until(lambda: len(world.api.objects_of(DEPLOYMENTS.path(), "web")) == 1)

    world = run(story)
    assert filters(world) == []
    (record,) = records(world).values()
    assert record["status"]["verdict"] == "aborted"
    assert {look.get("copies") for look in looks(record)} >= {50, 20}


def test_a_spec_that_cannot_be_meant_ends_the_copies_and_their_time_until_it_is_mended():
    async def story(world: World) -> None:
        await mirrored(world, {"canary": {"steps": [COPIES, APPROVE, {"weight": 20}]}})
        world.patch("web", {"spec": {"strategy": {"canary": {"baseline": "fresh"}}}})
        await world.until_phase("web", "Invalid")
        await world.until(lambda: filters(world) == [])
        assert "copiesJudged" not in world.status("web")
        await asyncio.sleep(120)
        world.patch("web", {"spec": {"strategy": {"canary": {"baseline": "stable"}}}})
        await world.until(lambda: world.status("web").get("copiesJudged") == 50)
        mended = asyncio.get_running_loop().time()
        await world.until_reason("web", "AwaitingApproval")
        assert asyncio.get_running_loop().time() - mended > 10, "the step's clock stood still, and it has time left"

    world = run(story)
    (record,) = records(world).values()
    assert {look.get("copies", 0) for look in looks(record)} == {0, 50}
