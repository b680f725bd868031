"""A version's copies of ConfigMaps: whose they are, what they hold, and who may not change them."""

from __future__ import annotations

from controller.api.names import COPIES, REVISION_LABEL
from controller.api.resources import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
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
    found,
    healthy,
    reads,
    said,
)
from tests.unit.runtime.fake_client import Weather
from tests.unit.runtime.fault_world import SHOP, World, release, run
from tests.unit.runtime.weathers import trouble


class EditedWhileItIsCopied(Weather):
    """The ConfigMap changes between the pass's look at it and the copy."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.edits = 0

    async def serve(self, request, execute):
        answer = execute()
        reads = request.method == "GET" and request.place.name == "prompts"
        if reads and self.world is not None and self.edits < 3:
            self.edits += 1
            config_map(self.world, {"tone": f"edit {self.edits}"})
        return answer


def test_each_version_reads_a_copy_of_its_own():
    async def story(world: World) -> None:
        stable = await healthy(world)
        assert copies(world) == {f"{stable} prompts": {"tone": "polite"}}
        assert reads(world, stable) == [f"web-{stable}-prompts"]
        owners = found(world, f"web-{stable}-prompts")["metadata"]["ownerReferences"]
        assert [one["kind"] for one in owners] == ["Release"]

    run(story)


def test_a_copy_that_was_deleted_by_hand_is_put_back_though_its_source_has_changed():
    async def story(world: World) -> None:
        stable = await healthy(world)
        config_map(world, {"tone": "second"})
        await at_canary(world)
        delete(world, f"web-{stable}-prompts")
        await world.until(lambda: found(world, f"web-{stable}-prompts"), 10)
        assert copies(world)[f"{stable} prompts"] == {"tone": "polite"}
        await world.until(lambda: f"ConfigMap shop/web-{stable}-prompts was changed by hand" in said(world), 10)

    run(story)


def test_a_copy_that_was_replaced_by_hand_is_put_back():
    async def story(world: World) -> None:
        stable = await healthy(world)
        name = f"web-{stable}-prompts"
        body = {**found(world, name), "data": {"tone": "unjudged"}}
        delete(world, name)
        world.create(CONFIG_MAPS, body)
        await world.until(lambda: copies(world).get(f"{stable} prompts") == {"tone": "polite"}, 10)

    run(story)


def test_a_copy_that_was_deleted_while_no_operator_ran_is_put_back():
    async def story(world: World) -> None:
        stable = await healthy(world)
        await world.operators[0].stop()
        world.operators.clear()
        delete(world, f"web-{stable}-prompts")
        world.start("b")
        await world.until(lambda: found(world, f"web-{stable}-prompts"), 120)

    run(story)


def test_a_foreign_object_in_the_place_of_a_copy_is_named_and_left_alone():
    async def story(world: World) -> None:
        await healthy(world)
        await world.operators[0].stop()
        world.operators.clear()
        config_map(world, {"tone": "second"})
        probe = world.start("b")
        canary = await at_canary(world)
        await probe.stop()
        world.operators.clear()
        ask(world, "abort")
        world.start("c")
        await world.until_phase("web", "RolledBack")
        name = f"web-{canary}-prompts"
        await world.until(lambda: not found(world, name))
        config_map(world, {"mine": "yes"}, name)
        world.patch("web", {"metadata": {"annotations": {"pointsman.dev/retry": canary}}})
        await world.until_reason("web", "NameTaken")
        assert f"ConfigMap {SHOP}/{name}" in world.status("web")["message"]
        assert found(world, name)["data"] == {"mine": "yes"}
        delete(world, name)
        await at_canary(world)

    run(story)


def test_copies_stay_with_orphan_and_go_with_delete():
    async def story(world: World) -> None:
        stable = await healthy(world)
        name = f"web-{stable}-prompts"
        world.patch("web", {"spec": {"deletionPolicy": "Orphan"}})
        await world.until(lambda: not found(world, name)["metadata"].get("ownerReferences"))
        world.delete("web")
        await world.until(lambda: not world.api.objects(RELEASES.path()))
        assert found(world, name)

    run(story)


def test_a_template_that_is_refused_leaves_no_copies_behind():
    class Refusing(Weather):
        async def serve(self, request, execute):
            made = request.method == "POST" and request.place.collection == DEPLOYMENTS.path()
            return await trouble(422, execute) if made else execute()

    async def story(world: World) -> None:
        config_map(world, {"tone": "polite"})
        world.create(RELEASES, release("web", *STEPS, template=configured()))
        world.start()
        await world.until_reason("web", "TemplateRefused")
        assert copies(world) == {}

    run(story, Refusing())


def test_a_copy_is_of_what_was_decided_on():
    """Else a revision's name would stand for another content."""
    weather = EditedWhileItIsCopied()

    async def story(world: World) -> None:
        config_map(world, {"tone": "polite"})
        world.create(RELEASES, release("web", *STEPS, template=configured()))
        weather.world = world
        world.start()
        await world.until_phase("web", "Healthy")
        assert weather.edits == 3
        assert list(copies(world).values()) == [{"tone": "edit 3"}]

    run(story, weather)


def test_what_is_recorded_names_each_copy():
    async def story(world: World) -> None:
        stable = await healthy(world)
        services = world.api.handle("GET", f"/api/v1/namespaces/{SHOP}/services/web-{stable}", {}, None).body
        uid = found(world, f"web-{stable}-prompts")["metadata"]["uid"]
        assert services["metadata"]["annotations"][COPIES] == f"web-{stable}-prompts={uid}"
        kept = world.api.handle("GET", CONTROLLER_REVISIONS.path(SHOP, f"web-{stable}"), {}, None).body
        assert kept["data"]["template"] == configured()
        assert set(kept["data"]["configuration"]["digests"]) == {"prompts"}

    run(story)


def test_copies_of_a_version_that_was_never_made_go_with_the_next_one_that_leaves():
    """A pass was cut off between the copies and the Deployment, and then the spec asked for another version."""

    async def story(world: World) -> None:
        stable = await healthy(world)
        body = found(world, f"web-{stable}-prompts")
        lost = "z" * 10
        labels = {**body["metadata"]["labels"], REVISION_LABEL: lost}
        metadata = {**body["metadata"], "name": f"web-{lost}-prompts", "labels": labels}
        world.create(CONFIG_MAPS, {**body, "metadata": metadata})
        config_map(world, {"tone": "second"})
        canary = await at_canary(world)
        ask(world, "approve")
        await world.until(lambda: list(copies(world)) == [f"{canary} prompts"])

    run(story)


def test_a_config_map_that_only_has_the_labels_of_a_version_is_neither_owned_nor_deleted():
    """A chart that puts the labels of a Release on all that it makes, or somebody who copied an object."""

    async def story(world: World) -> None:
        stable = await healthy(world)
        labels = found(world, f"web-{stable}-prompts")["metadata"]["labels"]
        mine = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"mine": "yes"}}
        names = ["mine", f"web-{stable}-mine"]
        for name in names:
            world.create(CONFIG_MAPS, {**mine, "metadata": {"name": name, "labels": labels}})
        copy = f"web-{stable}-prompts"
        world.patch("web", {"spec": {"deletionPolicy": "Orphan"}})
        await world.until(lambda: not found(world, copy)["metadata"].get("ownerReferences"))
        world.patch("web", {"spec": {"deletionPolicy": "Delete"}})
        await world.until(lambda: found(world, copy)["metadata"].get("ownerReferences"))
        assert [name for name in names if found(world, name)["metadata"].get("ownerReferences")] == []
        config_map(world, {"tone": "second"})
        await at_canary(world)
        ask(world, "approve")
        await world.until(lambda: not found(world, copy))
        assert [found(world, name).get("data") for name in names] == [{"mine": "yes"}] * 2

    run(story)
