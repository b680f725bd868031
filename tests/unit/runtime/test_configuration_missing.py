"""What cannot be read, or kept, is said: nothing is begun or rejected for it, and what runs goes on."""

from __future__ import annotations

import pytest

from controller.api.names import CONFIG, CONFIG_LIVE
from controller.api.notify_default import NAME as NOTIFY_DEFAULT
from controller.api.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
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
    healthy,
    reads,
    reads_of_all,
    said,
)
from tests.unit.runtime.fake_api import refusal
from tests.unit.runtime.fake_client import Weather
from tests.unit.runtime.fault_world import World, release, run, template
from tests.unit.runtime.weathers import trouble


class Forbidden(Weather):
    """The roles of an operator from before."""

    def __init__(self) -> None:
        self.forbids = False

    async def serve(self, request, execute):
        config_maps = request.place.collection == CONFIG_MAPS.path()
        return refusal(403, "Forbidden", "configmaps is forbidden") if config_maps and self.forbids else execute()


def test_a_config_map_that_is_deleted_leaves_what_runs_alone_and_is_told():
    async def story(world: World) -> None:
        stable = await healthy(world)
        delete(world, "prompts")
        await world.until_reason("web", "ConfigMissing")
        status = world.status("web")
        assert "ConfigMap shop/prompts does not exist" in status["message"]
        assert (status["phase"], status["stableRevision"]) == ("Waiting", stable)
        assert "canaryRevision" not in status
        assert copies(world) == {f"{stable} prompts": {"tone": "polite"}}
        config_map(world, {"tone": "polite"})
        await world.until_phase("web", "Healthy")
        assert world.status("web")["attempt"] == status["attempt"]

    run(story)


def test_a_config_map_that_is_deleted_in_mid_release_ends_nothing():
    async def story(world: World) -> None:
        await healthy(world)
        config_map(world, {"tone": "second"})
        canary = await at_canary(world)
        delete(world, "prompts")
        await world.until(lambda: "does not exist" in world.status("web")["message"])
        assert world.status("web")["weight"] == 20
        ask(world, "approve")
        await world.until(lambda: world.status("web")["stableRevision"] == canary)
        await world.until_reason("web", "ConfigMissing")

    run(story)


def test_a_version_that_waits_keeps_what_it_was_seen_with():
    async def story(world: World) -> None:
        await healthy(world, onNewVersion="finish")
        config_map(world, {"tone": "second"})
        second = await at_canary(world)
        config_map(world, {"tone": "third"})
        await world.until(lambda: "will follow" in world.status("web")["message"])
        delete(world, "prompts")
        ask(world, "approve")
        await world.until(lambda: world.status("web")["stableRevision"] == second)
        third = await at_canary(world)
        assert copies(world)[f"{third} prompts"] == {"tone": "third"}

    run(story)


def test_a_version_whose_config_map_is_missing_waits_and_nothing_is_rejected():
    async def story(world: World) -> None:
        stable = await healthy(world)
        world.patch("web", {"spec": {"template": configured(2, "prompts", "trees")}})
        await world.until_reason("web", "ConfigMissing")
        status = world.status("web")
        assert "ConfigMap shop/trees does not exist" in status["message"]
        assert (status["phase"], status["stableRevision"], status["weight"]) == ("Waiting", stable, 0)
        assert "canaryRevision" not in status
        assert not status.get("rejected")
        config_map(world, {"a": "b"}, "trees")
        canary = await at_canary(world)
        assert reads(world, canary) == [f"web-{canary}-prompts", f"web-{canary}-trees"]

    run(story)


def test_a_template_whose_config_map_is_missing_takes_the_traffic_from_the_canary():
    async def story(world: World) -> None:
        stable = await healthy(world)
        config_map(world, {"tone": "second"})
        await at_canary(world)
        world.patch("web", {"spec": {"template": configured(2, "trees")}})
        await world.until_reason("web", "ConfigMissing")
        assert world.picture()["routes"]["web"] == [(f"web-{stable}", 10_000)]

    run(story)


def test_a_first_version_waits_for_its_config_map():
    async def story(world: World) -> None:
        world.create(RELEASES, release("web", *STEPS, template=configured()))
        world.start()
        await world.until_reason("web", "ConfigMissing")
        assert not world.api.objects(DEPLOYMENTS.path())
        config_map(world, {"tone": "polite"})
        await world.until_phase("web", "Healthy")

    run(story)


def test_a_key_that_is_missing_is_named():
    async def story(world: World) -> None:
        pods = template(1)
        reference = {"name": "prompts", "key": "absent"}
        pods["spec"]["containers"][0]["env"] = [{"name": "A", "valueFrom": {"configMapKeyRef": reference}}]
        config_map(world, {"tone": "polite"})
        world.create(RELEASES, release("web", *STEPS, template=pods))
        world.start()
        await world.until_reason("web", "ConfigMissing")
        assert "ConfigMap shop/prompts has no key absent" in world.status("web")["message"]

    run(story)


def test_what_is_optional_and_missing_is_no_part_until_it_comes():
    async def story(world: World) -> None:
        pods = configured(1, "prompts", "extra", optional=True)
        stable = await healthy(world, template=pods)
        # not "extra": what is made later must not reach pods that nobody judged with it
        assert reads(world, stable) == [f"web-{stable}-prompts", f"web-{stable}-extra"]
        assert list(copies(world)) == [f"{stable} prompts"]
        config_map(world, {"a": "b"}, "extra")
        canary = await at_canary(world)
        assert reads(world, stable) == [f"web-{stable}-prompts", f"web-{stable}-extra"]
        assert "changed by hand" not in said(world)
        assert reads(world, canary) == [f"web-{canary}-prompts", f"web-{canary}-extra"]

    run(story)


def test_more_than_a_version_can_keep_waits_with_the_ways_out():
    async def story(world: World) -> None:
        stable = await healthy(world)
        config_map(world, {"tone": "x" * (1 << 20)})
        await world.until_reason("web", "ConfigTooLarge")
        assert "pointsman.dev/config: live" in world.status("web")["message"]
        assert copies(world) == {f"{stable} prompts": {"tone": "polite"}}
        config_map(world, {"tone": "x" * (1 << 20)}, annotations={CONFIG: CONFIG_LIVE})
        await at_canary(world)

    run(story)


def test_an_edit_in_mid_release_to_more_than_a_version_can_keep_rejects_nothing_and_an_abort_is_obeyed():
    async def story(world: World) -> None:
        stable = await healthy(world)
        config_map(world, {"tone": "second"})
        second = await at_canary(world)
        config_map(world, {"tone": "x" * (1 << 20)})
        await world.until(lambda: "pointsman.dev/config: live" in world.status("web").get("message", ""))
        assert not world.status("web").get("rejected")
        assert copies(world)[f"{second} prompts"] == {"tone": "second"}
        ask(world, "abort")
        await world.until(lambda: world.picture()["routes"]["web"] == [(f"web-{stable}", 10_000)])
        await world.until_answered()
        config_map(world, {"tone": "third"})
        third = await at_canary(world)
        assert third not in (stable, second)
        assert copies(world)[f"{third} prompts"] == {"tone": "third"}

    run(story)


def test_a_template_that_names_too_many_config_maps_waits():
    async def story(world: World) -> None:
        world.create(RELEASES, release("web", template=configured(1, *(f"c{number}" for number in range(51)))))
        operator = world.start()
        await world.until_reason("web", "ConfigTooLarge")
        names = {one.place.name for _, one, _ in operator.kube.log if one.place.collection == CONFIG_MAPS.path()}
        assert names <= {"", None, NOTIFY_DEFAULT}

    run(story)


def test_an_operator_that_may_read_no_config_map_still_obeys_an_abort():
    weather = Forbidden()

    async def story(world: World) -> None:
        stable = await healthy(world)
        config_map(world, {"tone": "second"})
        await at_canary(world)
        await world.operators[0].stop()
        world.operators.clear()
        weather.forbids = True
        world.start("b")
        await world.until(lambda: "may not be read: " in world.status("web")["message"])
        ask(world, "abort")
        await world.until(lambda: world.status("web").get("rejected"))
        assert world.picture()["routes"]["web"] == [(f"web-{stable}", 10_000)]

    run(story, weather)


def test_an_operator_that_may_delete_no_copies_still_retires_and_they_go_later():
    weather = Forbidden()

    async def story(world: World) -> None:
        stable = await healthy(world)
        config_map(world, {"tone": "second"})
        canary = await at_canary(world)
        weather.forbids = True
        ask(world, "abort")
        await world.until(lambda: list(reads_of_all(world)) == [stable], 120)
        assert f"{canary} prompts" in copies(world)
        weather.forbids = False
        config_map(world, {"tone": "third"})
        third = await at_canary(world)
        ask(world, "approve")
        await world.until(lambda: list(copies(world)) == [f"{third} prompts"])

    run(story, weather)


@pytest.mark.parametrize("status", [403, 503])
def test_an_edit_that_cannot_be_read_keeps_nobody_from_an_abort(status):
    """Not even for the words that tell of it."""

    class Unreadable(Weather):
        begun = False

        async def serve(self, request, execute):
            content = request.place.collection == CONFIG_MAPS.path() and request.place.name == "prompts"
            return await trouble(status, execute) if content and self.begun else execute()

    weather = Unreadable()

    async def story(world: World) -> None:
        stable = await healthy(world, onNewVersion="finish")
        config_map(world, {"tone": "second"})
        await at_canary(world)
        config_map(world, {"tone": "third"})
        await world.until(lambda: "will follow" in world.status("web")["message"])
        weather.begun = True
        ask(world, "abort")
        await world.until(lambda: world.status("web").get("rejected"), 60)
        assert world.picture()["routes"]["web"] == [(f"web-{stable}", 10_000)]

    run(story, weather)


def test_a_config_map_that_nobody_answers_for_keeps_nobody_from_an_abort():
    class Silent(Weather):
        begun = False

        async def serve(self, request, execute):
            content = request.place.collection == CONFIG_MAPS.path() and request.place.name == "prompts"
            return await trouble(503, execute) if content and self.begun else execute()

    weather = Silent()

    async def story(world: World) -> None:
        stable = await healthy(world)
        config_map(world, {"tone": "second"})
        await at_canary(world)
        weather.begun = True
        config_map(world, {"tone": "third"})
        ask(world, "abort")
        await world.until(lambda: world.status("web").get("rejected"), 60)
        assert world.picture()["routes"]["web"] == [(f"web-{stable}", 10_000)]

    run(story, weather)
