"""Whose pods an autoscaler counts: those of all who share the work, as `spec.replicas` is the size for all of it.

By stable's pods alone, half of the work would look as if half of the pods were enough. A rollback, and a promotion,
would then lead all of it to so many.
"""

from controller.api.names import RELEASE_LABEL, REVISION_LABEL
from controller.api.resources import RELEASES
from tests.unit.runtime.fault_world import World, release, run

STEPS: tuple[dict[str, object], ...] = ({"weight": 20}, {"approve": {}})
LOOK = {"analyze": {"atLeast": "10s", "atMost": "1m"}}


def of(*revisions: str) -> str:
    if len(revisions) == 1:
        return f"{RELEASE_LABEL}=web,{REVISION_LABEL}={revisions[0]}"
    return f"{RELEASE_LABEL}=web,{REVISION_LABEL} in ({','.join(sorted(revisions))})"


def revisions(world: World, *parts: str) -> tuple[str, ...]:
    return tuple(world.status("web")[f"{part}Revision"] for part in parts)


async def sharing(world: World, *steps: object, **spec: object) -> None:
    """Version 1 is stable, and version 2 has its first share."""
    world.create(RELEASES, release("web", *steps, **spec))  # type: ignore[arg-type]
    world.start()
    await world.until_phase("web", "Healthy", 1)
    assert world.status("web")["selector"] == of(*revisions(world, "stable"))
    world.commit("web", 2)
    await world.until(lambda: world.status("web").get("weight", 0) > 0)


def test_stable_and_canary_are_counted_while_they_share_and_the_new_one_afterwards():
    async def story(world: World) -> None:
        await sharing(world, *STEPS)
        assert world.status("web")["selector"] == of(*revisions(world, "stable", "canary"))
        world.ask("web", "approve")
        await world.until_phase("web", "Healthy", 2)
        assert world.status("web")["selector"] == of(*revisions(world, "stable"))

    run(story)


def test_stable_alone_is_counted_after_a_rollback():
    async def story(world: World) -> None:
        await sharing(world, *STEPS)
        world.ask("web", "abort")
        await world.until_phase("web", "RolledBack")
        assert world.status("web")["selector"] == of(*revisions(world, "stable"))

    run(story)


def test_by_pods_too_where_stable_has_fewer_of_them_meanwhile():
    async def story(world: World) -> None:
        await sharing(world, *STEPS, traffic={"replicas": {}})
        assert world.status("web")["selector"] == of(*revisions(world, "stable", "canary"))

    run(story)


def test_a_baseline_is_counted():
    async def story(world: World) -> None:
        strategy = {"canary": {"baseline": "fresh", "steps": [{"weight": 20, **LOOK}]}}
        await sharing(world, metrics=True, strategy=strategy)
        await world.until(lambda: "baselineRevision" in world.status("web"))
        await world.until(
            lambda: world.status("web")["selector"] == of(*revisions(world, "stable", "canary", "baseline"))
        )

    run(story)


def test_a_version_without_work_is_not_counted():
    async def story(world: World) -> None:
        strategy = {"blueGreen": {"steps": [{"approve": {}}], "keepOld": "1m"}}
        world.create(RELEASES, release("web", strategy=strategy))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        world.commit("web", 2)
        await world.until_reason("web", "AwaitingApproval")
        assert world.status("web")["selector"] == of(*revisions(world, "stable"))
        world.ask("web", "approve")
        await world.until(lambda: world.status("web").get("weight") == 100)
        assert world.status("web")["selector"] == of(*revisions(world, "canary"))

    run(story)
