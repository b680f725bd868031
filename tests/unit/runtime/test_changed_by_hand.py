"""What somebody changes in a child is put back within seconds, with an event; until then nobody is called Healthy."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import pytest

from controller.api.names import MANAGED_BY_LABEL, RELEASE_LABEL, REVISION_LABEL
from controller.api.resources import DEPLOYMENTS, EVENTS, RELEASES, SERVICES, Resource
from controller.kube.client import InvalidError
from controller.kube.objects import Key
from controller.runtime.refusals import RefusedError
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fault_world import SHOP, World, release, run

SECONDS = 5.0
STEPS: tuple[Object, ...] = ({"weight": 20}, {"approve": {}})


def image(item: Object) -> None:
    item["spec"]["template"]["spec"]["containers"][0]["image"] = "web:unjudged"


def environment(item: Object) -> None:
    item["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "MODE", "value": "debug"}]


def deadline(item: Object) -> None:
    item["spec"]["progressDeadlineSeconds"] = 1


def strategy(item: Object) -> None:
    item["spec"] |= {"strategy": {"type": "Recreate"}, "paused": True}


def without(label: str) -> Callable[[Object], None]:
    def change(item: Object) -> None:
        item["metadata"]["labels"].pop(label)

    return change


def selector(item: Object) -> None:
    item["spec"]["selector"] = {"app": "nobody"}


def another_label_in_the_selector(item: Object) -> None:
    item["spec"]["selector"]["app"] = "nobody"


def ports(item: Object) -> None:
    item["spec"]["ports"] = [{"port": 80, "targetPort": 9999}]


DEPLOYMENT = [
    image,
    environment,
    deadline,
    strategy,
    without(MANAGED_BY_LABEL),
    without(RELEASE_LABEL),
    without(REVISION_LABEL),
]
SERVICE = [
    selector,
    another_label_in_the_selector,
    ports,
    without(MANAGED_BY_LABEL),
    without(RELEASE_LABEL),
    without(REVISION_LABEL),
]
CHANGES = [(DEPLOYMENTS, each) for each in DEPLOYMENT] + [(SERVICES, each) for each in SERVICE]


def change(world: World, resource: Resource, name: str, how: Callable[[Object], None]) -> Object:
    """Returns what counts of it before."""
    before = found(world, resource, name)
    after: Object = {**before, "spec": copied(before["spec"]), "metadata": copied(before["metadata"])}
    how(after)
    answer = world.api.handle("PUT", resource.path(SHOP, name), {}, after)
    assert answer.status == 200, answer.body
    assert counted(answer.body) != counted(before)
    return counted(before)


def copied(value: Any) -> Any:

    return copy.deepcopy(value)


def found(world: World, resource: Resource, name: str) -> Object:
    body: Object = world.api.handle("GET", resource.path(SHOP, name), {}, None).body
    return body


def counted(item: Object) -> Object:
    return {"labels": item["metadata"].get("labels"), "spec": item["spec"]}


def said(world: World) -> list[str]:
    events = world.api.objects(EVENTS.path())
    return [one.get("note") or one.get("message", "") for one in events if one["reason"] == "ChangedByHand"]


@pytest.mark.parametrize("which", ["stableRevision", "canaryRevision"])
@pytest.mark.parametrize(("resource", "how"), CHANGES)
def test_a_child_of_a_version_that_was_changed_by_hand_is_put_back(resource, how, which):
    async def story(world: World) -> None:
        world.create(RELEASES, release("web", *STEPS))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        world.commit("web", 2)
        await world.until_reason("web", "AwaitingApproval")
        name = f"web-{world.status('web')[which]}"
        before = change(world, resource, name, how)
        await world.until(lambda: counted(found(world, resource, name)) == before, SECONDS)
        if how.__name__ != "change":  # labels are put back without a word
            assert any(f"{resource.kind} {SHOP}/{name} was changed by hand" in one for one in said(world))
        await world.until_reason("web", "AwaitingApproval")
        world.ask("web", "approve")
        await world.until_phase("web", "Healthy", 2)

    run(story)


def test_a_tool_that_never_gives_up_is_answered_for_ever():
    """After a day of it the pause could not be computed any longer, and each pass failed."""

    async def story(world: World) -> None:
        world.create(RELEASES, release("web"))
        running = world.start()
        await world.until_phase("web", "Healthy", 1)
        assert running.operator is not None
        revision = world.status("web")["stableRevision"]
        restorer = running.operator.reconciler.executor.objects._restorer
        restorer._restored[Key(SHOP, "web"), revision] = (asyncio.get_running_loop().time(), 2000)
        change(world, DEPLOYMENTS, f"web-{revision}", image)
        await world.until(lambda: world.image_of("web", revision) == "web:1", SECONDS)
        change(world, DEPLOYMENTS, f"web-{revision}", image)
        await world.until(lambda: world.image_of("web", revision) == "web:1", 80.0)

    run(story)


def test_an_unjudged_image_is_never_called_healthy():
    async def story(world: World) -> None:
        world.create(RELEASES, release("web"))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        name = f"web-{world.status('web')['stableRevision']}"
        change(world, DEPLOYMENTS, name, image)
        await world.until_reason("web", "ChangedByHand", SECONDS)
        assert world.status("web")["phase"] == "Waiting"
        assert f"Deployment {SHOP}/{name} was changed by hand" in world.status("web")["message"]
        await world.until_phase("web", "Healthy", 1, SECONDS)
        assert world.image_of("web", world.status("web")["stableRevision"]) == "web:1"

    run(story)


def test_pods_of_a_change_that_was_put_back_keep_the_release_from_being_healthy():
    async def story(world: World) -> None:
        world.create(RELEASES, release("web"))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        name = f"web-{world.status('web')['stableRevision']}"
        rolling = {"readyReplicas": 2, "replicas": 3, "updatedReplicas": 1}
        item = found(world, DEPLOYMENTS, name)
        world.api.handle("PUT", DEPLOYMENTS.path(SHOP, name, "status"), {}, {**item, "status": rolling})
        await world.until_reason("web", "ChangedByHand", SECONDS)
        rolled = {"readyReplicas": 2, "replicas": 2, "updatedReplicas": 2}
        item = found(world, DEPLOYMENTS, name)
        world.api.handle("PUT", DEPLOYMENTS.path(SHOP, name, "status"), {}, {**item, "status": rolled})
        await world.until_phase("web", "Healthy", 1, SECONDS)

    run(story)


@pytest.mark.parametrize("how", [selector, ports])
def test_the_service_that_callers_use_is_put_back_with_an_event(how):
    async def story(world: World) -> None:
        world.create(RELEASES, release("web"))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        before = change(world, SERVICES, "web", how)
        await world.until(lambda: counted(found(world, SERVICES, "web")) == before, SECONDS)
        await world.until(lambda: said(world), SECONDS)

    run(story)


def test_what_admission_adds_and_a_restart_by_hand_are_no_change():
    async def story(world: World) -> None:
        world.create(RELEASES, release("web"))
        operator = world.start()
        await world.until_phase("web", "Healthy", 1)
        name = f"web-{world.status('web')['stableRevision']}"
        restarted = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-31T12:00:00Z"}}}
        labelled = {"metadata": {"labels": {"mesh": "on"}, "annotations": {"a": "b"}}, "spec": {"template": restarted}}
        world.api.handle("PATCH", DEPLOYMENTS.path(SHOP, name), {}, labelled)
        labelled = {"metadata": {"labels": {"mesh": "on"}}, "spec": {"sessionAffinity": "None", "type": "ClusterIP"}}
        world.api.handle("PATCH", SERVICES.path(SHOP, name), {}, labelled)
        done = len(operator.reconciles)
        await world.until(lambda: len(operator.reconciles) > done)
        assert world.status("web")["phase"] == "Healthy"
        assert not said(world)
        template = found(world, DEPLOYMENTS, name)["spec"]["template"]
        assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]

    run(story)


def test_a_tool_that_does_not_give_in_is_met_more_and_more_seldom():
    async def story(world: World) -> None:
        world.create(RELEASES, release("web"))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        name = f"web-{world.status('web')['stableRevision']}"
        fought = 0

        def fight() -> bool:
            nonlocal fought
            if world.image_of("web", name.removeprefix("web-")) == "web:1":
                change(world, DEPLOYMENTS, name, image)
                fought += 1
            return world.now() >= end

        end = world.now() + 300
        await world.until(fight)
        assert 3 <= fought <= 14
        await world.until_phase("web", "Healthy", 1)

    run(story)


def test_a_version_of_an_earlier_operator_is_recorded_as_it_is():
    async def story(world: World) -> None:
        world.create(RELEASES, release("web"))
        operator = world.start()
        await world.until_phase("web", "Healthy", 1)
        await operator.stop()
        world.operators.clear()
        name = f"web-{world.status('web')['stableRevision']}"
        world.api.handle(
            "PATCH", SERVICES.path(SHOP, name), {}, {"metadata": {"annotations": {"pointsman.dev/made": None}}}
        )
        world.start("b")
        made = "pointsman.dev/made"
        await world.until(lambda: found(world, SERVICES, name)["metadata"].get("annotations", {}).get(made), SECONDS)
        assert not said(world)
        change(world, DEPLOYMENTS, name, image)
        await world.until(lambda: world.image_of("web", name.removeprefix("web-")) == "web:1", SECONDS)

    run(story)


def test_what_cannot_be_put_back_delays_no_abort():
    """A Deployment that was made again with another selector is refused for ever, and the abort had no answer."""

    async def story(world: World) -> None:
        world.create(RELEASES, release("web", *STEPS))
        running = world.start()
        await world.until_phase("web", "Healthy", 1)
        world.commit("web", 2)
        await world.until_reason("web", "AwaitingApproval")
        assert running.operator is not None

        async def refused(*_: object, **__: object) -> None:
            raise RefusedError("web was changed by hand", InvalidError(422, "Invalid", "field is immutable"))

        running.operator.reconciler.executor.objects._restorer.restore = refused  # type: ignore[method-assign]
        change(world, DEPLOYMENTS, f"web-{world.status('web')['stableRevision']}", image)
        await world.until_reason("web", "TemplateRefused", SECONDS)
        world.ask("web", "abort")
        await world.until_answered()
        assert world.status("web")["weight"] == 0

    run(story)
