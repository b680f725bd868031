"""What no event tells of ConfigMaps is found all the same, and what nobody names costs nothing."""

from __future__ import annotations

import asyncio
from functools import partial

from controller.api.notify_default import NAME
from controller.api.resources import CONFIG_MAPS, RELEASES
from controller.kube.config_maps import ConfigMaps
from tests.unit.runtime.configured import (
    STEPS,
    at_canary,
    config_map,
    configured,
    copies,
    delete,
    found,
    healthy,
    reads,
)
from tests.unit.runtime.fake_client import Weather
from tests.unit.runtime.fault_world import World, release, run

LIST_S = 330.0
"""Within which each watch begins anew, with a list."""


class Silent(Weather):
    """No event of a ConfigMap arrives; lists do."""

    def deliver(self, client, change):
        return [] if change.collection == CONFIG_MAPS.path() else super().deliver(client, change)


def names_read(world: World) -> list[str]:
    return [
        str(one.place.name)
        for operator in world.operators
        for _, one, _ in operator.kube.log
        if one.place.collection == CONFIG_MAPS.path() and one.place.name not in (None, NAME) and one.method == "GET"
    ]


def test_an_edit_that_no_event_told_of_is_released():
    async def story(world: World) -> None:
        await healthy(world)
        config_map(world, {"tone": "second"})
        await world.until(lambda: "canaryRevision" in world.status("web"), LIST_S)

    run(story, Silent())


def test_a_deletion_that_no_event_told_of_is_told():
    async def story(world: World) -> None:
        await healthy(world)
        delete(world, "prompts")
        await world.until_reason("web", "ConfigMissing", LIST_S)
        config_map(world, {"tone": "polite"})
        await world.until_phase("web", "Healthy", seconds=LIST_S)

    run(story, Silent())


def test_a_copy_that_goes_without_an_event_is_put_back():
    async def story(world: World) -> None:
        stable = await healthy(world)
        await asyncio.sleep(LIST_S)  # a list has shown it
        delete(world, f"web-{stable}-prompts")
        await world.until(lambda: found(world, f"web-{stable}-prompts"), LIST_S)

    run(story, Silent())


def test_a_config_map_that_no_release_names_is_never_read():
    async def story(world: World) -> None:
        config_map(world, {"a": "b"}, "foreign")
        await healthy(world)
        config_map(world, {"a": "c"}, "foreign")
        world.create(CONFIG_MAPS, {"metadata": {"name": "later"}, "data": {}})
        config_map(world, {"tone": "second"})
        await at_canary(world)
        assert "prompts" in names_read(world)
        assert not {"foreign", "later"} & set(names_read(world))
        known = world.operators[0].operator.reconciler.config_maps._watch._known  # type: ignore[union-attr]
        assert {one.name for one in known.values()} == {
            "prompts",
            *(f"web-{key.replace(' ', '-')}" for key in copies(world)),
        }

    run(story)


def test_a_release_that_is_gone_leaves_nothing_in_the_memory():
    async def story(world: World) -> None:
        await healthy(world)
        config_maps = world.operators[0].operator.reconciler.config_maps  # type: ignore[union-attr]
        assert config_maps._readers
        world.delete("web")
        await world.until(lambda: not world.api.objects(RELEASES.path()))
        await asyncio.sleep(5)
        for name in copies(world):
            delete(world, f"web-{name.replace(' ', '-')}")  # as the garbage collector does
        await asyncio.sleep(1)
        assert not config_maps._readers
        assert not config_maps._states
        assert not config_maps._copies
        assert not config_maps._owners

    run(story)


def test_one_config_map_of_many_releases_is_read_once_for_each_change():
    async def story(world: World) -> None:
        config_map(world, {"tone": "polite"})
        for number in range(20):
            world.create(RELEASES, release(f"web-{number}", *STEPS, template=configured()))
        world.start()
        for number in range(20):
            await world.until_phase(f"web-{number}", "Healthy")
        revision = world.status("web-7")["stableRevision"]
        assert reads(world, revision, "web-7") == [f"web-7-{revision}-prompts"]
        # once for all, and each for its copy
        assert names_read(world).count("prompts") <= 20 + 2

    run(story)


def test_what_a_release_asks_for_no_longer_is_not_remembered():
    async def story(world: World) -> None:
        await healthy(world)
        config_maps = world.operators[0].operator.reconciler.config_maps  # type: ignore[union-attr]
        for number in range(5):
            pods = configured(number + 2)
            pods["spec"]["containers"][0]["envFrom"] = []
            key = {"name": "prompts", "key": f"key-{number}", "optional": True}
            pods["spec"]["containers"][0]["env"] = [{"name": "A", "valueFrom": {"configMapKeyRef": key}}]
            world.patch("web", {"spec": {"template": pods}})
            await world.until(partial(asked_alone, config_maps, f"key-{number}"))
        assert config_maps._readers.keys() == config_maps._states.keys()

    def asked_alone(config_maps: ConfigMaps, key: str) -> bool:
        return [keys for states in config_maps._states.values() for keys in states] == [frozenset({key})]

    run(story)
