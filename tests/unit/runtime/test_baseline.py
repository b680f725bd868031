"""`baseline: fresh` with the whole operator: objects, route, looks and record of one attempt."""

from controller.api.resources import ANALYSIS_RUNS, DEPLOYMENTS, HTTP_ROUTES, RELEASES
from tests.unit.runtime.fault_world import World, release, run

STEPS = (
    {"weight": 20, "analyze": {"atLeast": "10s", "atMost": "1m"}},
    {"weight": 50, "analyze": {"atLeast": "10s", "atMost": "1m"}},
)
FRESH = {"canary": {"baseline": "fresh", "steps": list(STEPS)}}


def weights(world: World) -> dict[str, int]:
    (route,) = world.api.objects(HTTP_ROUTES.path())
    return {one["name"].removeprefix("web-"): one["weight"] for one in route["spec"]["rules"][0]["backendRefs"]}


def test_a_version_comes_out_beside_a_baseline_and_its_record_says_what_it_was_compared_with():
    seen = []

    async def story(world: World) -> None:
        world.create(RELEASES, release("web", metrics=True, strategy=FRESH))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        world.commit("web", 2)
        await world.until(lambda: world.status("web").get("weight") == 20)
        status = world.status("web")
        await world.until(lambda: len(weights(world)) == 3)
        seen.append((status, weights(world)))
        await world.until_phase("web", "Healthy", 2)
        await world.until(lambda: len(world.api.objects_of(DEPLOYMENTS.path(), "web")) == 1)

    world = run(story)
    ((status, split),) = seen
    stable, canary, baseline = (status[f"{one}Revision"] for one in ("stable", "canary", "baseline"))
    assert split == {stable: 6_000, canary: 2_000, baseline: 2_000}
    assert weights(world) == {canary: 10_000}
    (record,) = world.api.objects(ANALYSIS_RUNS.path())
    assert record["spec"]["baselineRevision"] == baseline
    first = record["status"]["looks"][0]
    assert (first["weight"], first["baseline"]) == (20, 20)
    _, units, _, beside = first["rows"]["errors"]
    assert units == beside > 0


def test_a_version_that_fails_is_rolled_back_by_comparison_with_its_baseline():
    async def story(world: World) -> None:
        world.failing.add("web:2")
        world.create(RELEASES, release("web", metrics=True, strategy=FRESH))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        world.commit("web", 2)
        await world.until_phase("web", "RolledBack")
        await world.until(lambda: len(world.api.objects_of(DEPLOYMENTS.path(), "web")) == 1)

    world = run(story)
    status = world.status("web")
    assert status["lastRollback"]["reason"] == "Regressed"
    assert weights(world) == {status["stableRevision"]: 10_000}
    assert "baselineRevision" not in status
