"""Versions from before configuration was a part of versions, and `configRefs` that are switched on and off."""

from __future__ import annotations

from controller.api.resources import (
    RELEASES,
)
from controller.runtime import versions
from tests.unit.runtime.configured import (
    ask,
    at_canary,
    config_map,
    configured,
    copies,
    healthy,
    reads,
    said,
)
from tests.unit.runtime.fault_world import SHOP, World, run


def as_before(world: World) -> None:
    """As the operator before configuration was a part of versions left it."""
    status = {name: value for name, value in world.status("web").items() if name not in ("lastSpec", "unversioned")}
    body = {**world.release("web"), "status": status}
    answer = world.api.handle("PUT", f"{RELEASES.path(SHOP, 'web')}/status", {}, body)
    assert answer.status == 200, answer.body
    answer = world.api.handle("PATCH", RELEASES.path(SHOP, "web"), {}, {"spec": {"configRefs": None}})
    assert answer.status == 200, answer.body


async def upgraded(world: World, reason: str = "FirstDeployment") -> str:
    stable = await healthy(world, configRefs="None")
    await world.operators[0].stop()
    world.operators.clear()
    as_before(world)
    world.start("b")
    await world.until(lambda: "lastSpec" in world.status("web"))
    await world.until_reason("web", reason)
    return stable


def test_with_config_refs_none_config_maps_are_read_as_they_are():
    async def story(world: World) -> None:
        stable = await healthy(world, configRefs="None")
        assert reads(world, stable) == ["prompts"]
        config_map(world, {"tone": "second"})
        world.patch("web", {"metadata": {"annotations": {"look": "again"}}})
        await world.until_phase("web", "Healthy")
        assert world.status("web")["stableRevision"] == stable
        assert copies(world) == {}

    run(story)


def test_an_upgrade_releases_nothing_and_the_first_edit_after_it_does():
    async def story(world: World) -> None:
        stable = await upgraded(world)
        assert world.status("web")["stableRevision"] == stable
        assert reads(world, stable) == ["prompts"]
        config_map(world, {"tone": "second"})
        canary = await at_canary(world)
        assert reads(world, canary) == [f"web-{canary}-prompts"]
        assert "prompts, which was no part of the version before" in said(world)
        config_map(world, {"tone": "polite"})
        await world.until_phase("web", "Healthy", seconds=30)
        assert world.status("web")["stableRevision"] == stable

    run(story)


def test_after_an_upgrade_a_rejected_version_stays_rejected():
    async def story(world: World) -> None:
        stable = await healthy(world, configRefs="None")
        world.patch("web", {"spec": {"template": configured(2)}})
        await at_canary(world)
        ask(world, "abort")
        await world.until_phase("web", "RolledBack")
        await world.operators[0].stop()
        world.operators.clear()
        as_before(world)
        world.start("b")
        await world.until(lambda: "lastSpec" in world.status("web"))
        assert world.status("web")["phase"] == "RolledBack"
        world.patch("web", {"spec": {"template": configured(1)}})
        await world.until_phase("web", "Healthy")
        assert (world.status("web")["stableRevision"], world.status("web")["attempt"]) == (stable, 1)

    run(story)


def test_config_refs_that_are_switched_on_later_are_a_new_version():
    async def story(world: World) -> None:
        stable = await healthy(world, configRefs="None")
        world.patch("web", {"spec": {"configRefs": "Auto"}})
        canary = await at_canary(world)
        assert canary != stable
        assert reads(world, canary) == [f"web-{canary}-prompts"]

    run(story)


def test_without_the_record_of_what_was_there_an_upgrade_would_release(monkeypatch):
    monkeypatch.setattr(versions, "_unversioned", lambda _: ())

    async def story(world: World) -> None:
        stable = await upgraded(world, "AwaitingApproval")
        assert world.status("web")["canaryRevision"] != stable

    run(story)
