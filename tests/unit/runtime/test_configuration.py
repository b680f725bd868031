"""A ConfigMap that a template names is released, judged and taken back like an image."""

from __future__ import annotations

import asyncio

import pytest

from controller.api.names import CONFIG, CONFIG_LIVE
from controller.api.notify_default import NAME
from controller.api.resources import (
    CONFIG_MAPS,
    RELEASES,
)
from tests.unit.runtime.configured import (
    STEPS,
    ask,
    at_canary,
    config_map,
    configured,
    copies,
    delete,
    explained,
    found,
    healthy,
    reads,
    reads_of_all,
    said,
)
from tests.unit.runtime.fault_world import World, release, run, template

SECRET_VALUE = "be rude to no-one 4711"  # noqa: S105 - what must not be told


def test_an_edit_is_released_judged_and_told():
    async def story(world: World) -> None:
        stable = await healthy(world)
        config_map(world, {"tone": SECRET_VALUE, "new": "x"})
        canary = await at_canary(world)
        assert copies(world)[f"{canary} prompts"] == {"tone": SECRET_VALUE, "new": "x"}
        assert copies(world)[f"{stable} prompts"] == {"tone": "polite"}
        assert reads(world, canary) == [f"web-{canary}-prompts"]
        change = "configuration: prompts/new added, prompts/tone changed"
        assert f"{canary} is rolled out against {stable}; {change}" in said(world)
        assert f"change  {change}" in explained(world)
        ask(world, "approve")
        await world.until_phase("web", "Healthy")
        await world.until(lambda: list(copies(world)) == [f"{canary} prompts"])
        assert world.status("web")["stableRevision"] == canary
        assert SECRET_VALUE not in said(world) + str(world.release("web"))

    run(story)


def test_a_rejected_configuration_that_gitops_puts_back_stays_rejected():
    async def story(world: World) -> None:
        stable = await healthy(world)
        config_map(world, {"tone": "rude"})
        canary = await at_canary(world)
        ask(world, "abort")
        await world.until_phase("web", "RolledBack")
        assert "change  configuration: prompts/tone changed" in explained(world)
        await world.until(lambda: list(copies(world)) == [f"{stable} prompts"])
        config_map(world, {"tone": "polite"})
        await world.until_phase("web", "Healthy")
        config_map(world, {"tone": "rude"})
        await world.until_phase("web", "RolledBack")
        assert [one["revision"] for one in world.status("web")["rejected"]] == [canary]
        assert list(copies(world)) == [f"{stable} prompts"]

    run(story)


def test_an_edit_in_mid_release_gives_the_traffic_to_stable_and_starts_again():
    async def story(world: World) -> None:
        stable = await healthy(world)
        config_map(world, {"tone": "second"})
        second = await at_canary(world)
        config_map(world, {"tone": "third"})
        await world.until(lambda: world.status("web").get("canaryRevision") not in (second, None))
        assert world.status("web")["weight"] == 0
        third = await at_canary(world)
        assert world.status("web")["step"] == 1
        assert copies(world)[f"{third} prompts"] == {"tone": "third"}
        assert not world.status("web").get("rejected")
        assert world.status("web")["stableRevision"] == stable

    run(story)


@pytest.mark.parametrize("tone", ["polite", "third"])
def test_an_edit_after_a_switch_gives_all_of_the_work_back_with_the_old_configuration(tone):
    async def story(world: World) -> None:
        stable = await healthy(world, strategy={"blueGreen": {"keepOld": "10m"}})
        config_map(world, {"tone": "second"})
        await world.until_reason("web", "KeepingOld")
        second = world.status("web")["canaryRevision"]
        assert world.picture()["routes"]["web"] == [(f"web-{second}", 10_000)]
        config_map(world, {"tone": tone})
        await world.until(lambda: world.picture()["routes"]["web"] == [(f"web-{stable}", 10_000)], 10)
        assert reads(world, stable) == [f"web-{stable}-prompts"]
        assert copies(world)[f"{stable} prompts"] == {"tone": "polite"}
        assert not world.status("web").get("rejected")
        if tone == "polite":
            await world.until_phase("web", "Healthy", seconds=30)
            return
        await world.until_reason("web", "KeepingOld")
        third = world.status("web")["canaryRevision"]
        assert copies(world)[f"{third} prompts"] == {"tone": "third"}

    run(story)


def test_a_configuration_that_was_changed_back_ends_the_release_at_once():
    async def story(world: World) -> None:
        stable = await healthy(world)
        config_map(world, {"tone": "second"})
        await at_canary(world)
        config_map(world, {"tone": "polite"})
        await world.until_phase("web", "Healthy", seconds=30)
        assert world.status("web")["stableRevision"] == stable
        await world.until(lambda: list(copies(world)) == [f"{stable} prompts"])

    run(story)


def test_a_rollback_brings_the_old_configuration_back():
    async def story(world: World) -> None:
        first = await healthy(world)
        config_map(world, {"tone": "second"})
        await at_canary(world)
        ask(world, "approve")
        await world.until(lambda: list(reads_of_all(world)) == [world.status("web")["stableRevision"]])
        assert world.status("web")["stableRevision"] != first
        ask(world, "rollback", to=first)
        await world.until(lambda: world.status("web")["stableRevision"] == first)
        assert copies(world)[f"{first} prompts"] == {"tone": "polite"}
        assert reads(world, first) == [f"web-{first}-prompts"]
        assert found(world, "prompts")["data"] == {"tone": "second"}

    run(story)


def test_a_key_that_no_pod_reads_may_change():
    async def story(world: World) -> None:
        pods = template(1)
        items = [{"key": "tone", "path": "tone.txt"}]
        pods["spec"]["volumes"] = [{"name": "c", "configMap": {"name": "prompts", "items": items}}]
        stable = await healthy(world, template=pods)
        before = world.operators[0].reconciles[-1]
        config_map(world, {"tone": "polite", "other": "x"})
        await world.until(lambda: world.operators[0].reconciles[-1] > before)
        assert "canaryRevision" not in world.status("web")
        assert copies(world) == {f"{stable} prompts": {"tone": "polite"}}
        config_map(world, {"tone": "rude", "other": "x"})
        await at_canary(world)

    run(story)


def test_binary_data_are_a_part_of_the_version():
    async def story(world: World) -> None:
        config_map(world, {}, binaryData={"model": "AAEC"})
        world.create(RELEASES, release("web", *STEPS, template=configured()))
        world.start()
        await world.until_phase("web", "Healthy")
        config_map(world, {}, binaryData={"model": "AAED"})
        canary = await at_canary(world)
        assert copies(world)[f"{canary} prompts"] == {"model": "AAED"}

    run(story)


def test_a_config_map_that_two_releases_share_is_released_by_both():
    async def story(world: World) -> None:
        await healthy(world)
        world.create(RELEASES, release("other", *STEPS, template=configured()))
        await world.until_phase("other", "Healthy")
        config_map(world, {"tone": "second"})
        await at_canary(world)
        await world.until_reason("other", "AwaitingApproval")
        ask(world, "abort")
        await world.until_phase("web", "RolledBack")
        assert world.status("other")["reason"] == "AwaitingApproval"

    run(story)


def test_a_config_map_that_is_marked_live_is_left_out():
    async def story(world: World) -> None:
        config_map(world, {"level": "debug"}, "logging", annotations={CONFIG: CONFIG_LIVE})
        stable = await healthy(world, template=configured(1, "logging", "prompts"))
        assert reads(world, stable) == ["logging", f"web-{stable}-prompts"]
        config_map(world, {"level": "info"}, "logging", annotations={CONFIG: CONFIG_LIVE})
        await world.until_phase("web", "Healthy")
        assert world.status("web")["stableRevision"] == stable
        config_map(world, {"level": "info"}, "logging")
        canary = await at_canary(world)
        assert "logging no longer live" in world.status("web")["configurationChange"]
        assert reads(world, canary) == [f"web-{canary}-logging", f"web-{canary}-prompts"]

    run(story)


def test_edits_that_are_faster_than_the_operator_end_with_the_last_one():
    async def story(world: World) -> None:
        await healthy(world)
        for number in range(20):
            config_map(world, {"tone": f"edit {number}"})
        await world.until(
            lambda: (
                {"tone": "edit 19"} in copies(world).values() and world.status("web")["reason"] == "AwaitingApproval"
            )
        )
        assert len(copies(world)) == 2

    run(story)


def test_versions_that_wait_keep_the_configuration_that_they_were_asked_with():
    async def story(world: World) -> None:
        await healthy(world, onNewVersion="queue")
        config_map(world, {"tone": "second"})
        await at_canary(world)
        config_map(world, {"tone": "third"})
        await world.until(lambda: bool(world.status("web").get("queuedRevisions")))
        (third,) = world.status("web")["queuedRevisions"]
        delete(world, "prompts")
        ask(world, "approve")
        await world.until(lambda: world.status("web").get("canaryRevision") == third)
        await at_canary(world)
        assert copies(world)[f"{third} prompts"] == {"tone": "third"}

    run(story)


async def _at_rest(world: World) -> None:
    await healthy(world, template=configured(1, "prompts"))


async def _while_a_version_waits_for_its_turn(world: World) -> None:
    await healthy(world, onNewVersion="finish")
    config_map(world, {"tone": "second"})
    await at_canary(world)
    config_map(world, {"tone": "third"})
    await world.until(lambda: "will follow" in world.status("web")["message"])


@pytest.mark.parametrize("given", [_at_rest, _while_a_version_waits_for_its_turn])
def test_passes_read_no_config_map_that_has_not_changed(given):
    async def story(world: World) -> None:
        await given(world)
        operator = world.operators[0]

        def so_far() -> int:
            return sum(
                one.place.collection == CONFIG_MAPS.path()
                and one.place.name not in (None, NAME)
                and one.method == "GET"
                for _, one, _ in operator.kube.log
            )

        before, passes = so_far(), len(operator.reconciles)
        for number in range(20):
            world.patch("web", {"metadata": {"annotations": {"look": str(number)}}})
            await asyncio.sleep(1)
        assert len(operator.reconciles) >= passes + 20
        assert so_far() == before

    run(story)
