"""A ConfigMap that a template names is released, judged and taken back like an image."""

from __future__ import annotations

import asyncio
from typing import Any

from controller.api.names import CONFIG, CONFIG_LIVE, COPIES, COPY_OF, REVISION_LABEL
from controller.api.resources import CONFIG_MAPS, CONTROLLER_REVISIONS, DEPLOYMENTS, EVENTS, RELEASE_ACTIONS, RELEASES
from controller.views.explanation import Explanation
from tests.unit.runtime.fake_api import Object, refusal
from tests.unit.runtime.fake_client import Weather
from tests.unit.runtime.fault_world import SHOP, World, release, run, template
from tests.unit.runtime.weathers import trouble

STEPS: tuple[Object, ...] = ({"weight": 20}, {"approve": {}})
SECRET_VALUE = "be rude to no-one 4711"  # noqa: S105 - what must not be told


def configured(version: int = 1, *names: str, optional: bool = False) -> Object:
    """A template that takes all keys of these ConfigMaps."""
    pods = template(version)
    container = pods["spec"]["containers"][0]
    container["envFrom"] = [{"configMapRef": {"name": name, "optional": optional}} for name in names or ("prompts",)]
    return pods


def config_map(world: World, data: Object, name: str = "prompts", **more: Any) -> None:
    annotations = {"annotations": more.pop("annotations")} if "annotations" in more else {}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **annotations}, "data": data, **more}
    answer = world.api.handle("GET", CONFIG_MAPS.path(SHOP, name), {}, None)
    if answer.status == 404:
        world.create(CONFIG_MAPS, body)
        return
    body["metadata"] |= {"namespace": SHOP}
    answer = world.api.handle("PUT", CONFIG_MAPS.path(SHOP, name), {}, body)
    assert answer.status == 200, answer.body


def delete(world: World, name: str) -> None:
    answer = world.api.handle("DELETE", CONFIG_MAPS.path(SHOP, name), {}, None)
    assert answer.status == 200, answer.body


def found(world: World, name: str) -> Object:
    """Empty where there is none."""
    answer = world.api.handle("GET", CONFIG_MAPS.path(SHOP, name), {}, None)
    return answer.body if answer.status == 200 else {}


def copies(world: World) -> dict[str, Object]:
    """By revision and source; each is what it should be."""
    result: dict[str, Object] = {}
    for item in world.api.objects(CONFIG_MAPS.path()):
        metadata = item["metadata"]
        if REVISION_LABEL in (metadata.get("labels") or {}):
            assert item["immutable"] is True
            revision, source = metadata["labels"][REVISION_LABEL], metadata["annotations"][COPY_OF]
            result[f"{revision} {source}"] = item.get("data") or item["binaryData"]
    return result


def reads(world: World, revision: str, name: str = "web") -> list[str]:
    """The ConfigMaps that its pods name."""
    body = world.api.handle("GET", DEPLOYMENTS.path(SHOP, f"{name}-{revision}"), {}, None).body
    return [one["configMapRef"]["name"] for one in body["spec"]["template"]["spec"]["containers"][0]["envFrom"]]


def said(world: World) -> str:
    return "\n".join(one.get("note") or one.get("message", "") for one in world.api.objects(EVENTS.path()))


def explained(world: World, name: str = "web") -> str:
    return "\n".join(Explanation(world.release(name), "", None, None).lines(world.now()))


async def healthy(world: World, **spec: Any) -> str:
    """The first version, with its configuration; its revision."""
    config_map(world, {"tone": "polite"})
    world.create(RELEASES, release("web", *STEPS, **{"template": configured(), **spec}))
    world.start()
    await world.until_phase("web", "Healthy")
    return str(world.status("web")["stableRevision"])


async def at_canary(world: World) -> str:
    await world.until_reason("web", "AwaitingApproval")
    return str(world.status("web")["canaryRevision"])


def ask(world: World, action: str, **more: Any) -> None:
    status = world.status("web")
    revision = status.get("canaryRevision") or status["stableRevision"]
    spec = {"release": "web", "action": action, "revision": revision, "reason": "because", **more}
    world.create(RELEASE_ACTIONS, {"metadata": {"name": f"{action}-{world.api.version}"}, "spec": spec})


def test_each_version_reads_a_copy_of_its_own():
    async def story(world: World) -> None:
        stable = await healthy(world)
        assert copies(world) == {f"{stable} prompts": {"tone": "polite"}}
        assert reads(world, stable) == [f"web-{stable}-prompts"]
        owners = found(world, f"web-{stable}-prompts")["metadata"]["ownerReferences"]
        assert [one["kind"] for one in owners] == ["Release"]

    run(story)


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


def reads_of_all(world: World) -> dict[str, list[str]]:
    found = [item["metadata"]["labels"][REVISION_LABEL] for item in world.api.objects(DEPLOYMENTS.path())]
    return {revision: reads(world, revision) for revision in found}


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
        assert reads(world, stable) == [f"web-{stable}-prompts", "extra"]
        config_map(world, {"a": "b"}, "extra")
        canary = await at_canary(world)
        assert reads(world, canary) == [f"web-{canary}-prompts", f"web-{canary}-extra"]

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


def test_a_template_that_names_too_many_config_maps_waits():
    async def story(world: World) -> None:
        world.create(RELEASES, release("web", template=configured(1, *(f"c{number}" for number in range(51)))))
        operator = world.start()
        await world.until_reason("web", "ConfigTooLarge")
        assert not [
            one for _, one, _ in operator.kube.log if one.place.collection == CONFIG_MAPS.path() and one.place.name
        ]

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


def test_passes_read_no_config_map_that_has_not_changed():
    async def story(world: World) -> None:
        await healthy(world, template=configured(1, "prompts"))
        operator = world.operators[0]

        def so_far() -> int:
            return sum(
                one.place.collection == CONFIG_MAPS.path() and one.place.name is not None and one.method == "GET"
                for _, one, _ in operator.kube.log
            )

        before, passes = so_far(), len(operator.reconciles)
        for number in range(20):
            world.patch("web", {"metadata": {"annotations": {"look": str(number)}}})
            await asyncio.sleep(1)
        assert len(operator.reconciles) >= passes + 20
        assert so_far() == before

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


# -- an upgrade of the operator --------------------------------------------------------------------------------------


def as_before(world: World) -> None:
    """As the operator before configuration was a part of versions left it."""
    status = {name: value for name, value in world.status("web").items() if name not in ("lastSpec", "unversioned")}
    body = {**world.release("web"), "status": status}
    answer = world.api.handle("PUT", f"{RELEASES.path(SHOP, 'web')}/status", {}, body)
    assert answer.status == 200, answer.body
    answer = world.api.handle("PATCH", RELEASES.path(SHOP, "web"), {}, {"spec": {"configRefs": None}})
    assert answer.status == 200, answer.body


async def upgraded(world: World) -> str:
    stable = await healthy(world, configRefs="None")
    await world.operators[0].stop()
    world.operators.clear()
    as_before(world)
    world.start("b")
    await world.until_phase("web", "Healthy")
    await world.until(lambda: "lastSpec" in world.status("web"))
    return stable


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


class Forbidden(Weather):
    """The roles of an operator from before."""

    def __init__(self) -> None:
        self.forbids = False

    async def serve(self, request, execute):
        config_maps = request.place.collection == CONFIG_MAPS.path()
        return refusal(403, "Forbidden", "configmaps is forbidden") if config_maps and self.forbids else execute()


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
