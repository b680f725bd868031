"""Nothing foreign is touched, and that is known before work moves: whatever lies in a child's place, and since when."""

import asyncio
import copy
from functools import cache
from typing import Any

import pytest

from controller.api.names import MANAGED_BY, MANAGED_BY_LABEL, RELEASE_LABEL
from controller.api.resources import (
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    HTTP_ROUTES,
    RELEASE_ACTIONS,
    RELEASES,
    SERVICES,
    Resource,
)
from controller.kube import objects
from controller.runtime import object_executor
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fault_world import SHOP, World, release, run

MINUTE = 60.0
STEPS: tuple[Object, ...] = ({"weight": 20}, {"approve": {}}, {"weight": 50})
CHILDREN: dict[str, tuple[Resource, bool]] = {
    "Deployment of the version": (DEPLOYMENTS, True),
    "Service of the version": (SERVICES, True),
    "Service NAME": (SERVICES, False),
    "route": (HTTP_ROUTES, False),
}
REASONS = {"ServiceTaken", "RouteTaken", "NameTaken"}
OWNERS: dict[str, Object] = {
    "of nobody": {"labels": {"app": "web"}},
    "of another Release": {"labels": {RELEASE_LABEL: "other", MANAGED_BY_LABEL: MANAGED_BY}},
    "of an owner": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u-1"}]},
    "with our manager's label alone": {"labels": {MANAGED_BY_LABEL: MANAGED_BY}},
}


@cache
def names() -> tuple[str, str]:
    """Of the first and the second version."""

    async def story(world: World) -> None:
        world.create(RELEASES, release("web", *STEPS))
        world.start()
        await world.until_phase("web", "Healthy")
        world.commit("web", 2)
        await world.until(lambda: world.status("web").get("canaryRevision"))

    status = run(story).status("web")
    return status["stableRevision"], status["canaryRevision"]


def foreign(resource: Resource, name: str, owner: Object) -> Object:
    metadata = {"name": name, "namespace": SHOP, **copy.deepcopy(owner)}
    spec: dict[str, Object] = {
        DEPLOYMENTS.plural: {"replicas": 3, "selector": {"matchLabels": {"app": "x"}}, "template": {"spec": {}}},
        SERVICES.plural: {"selector": {"app": "x"}, "ports": [{"port": 9}]},
        HTTP_ROUTES.plural: {"rules": [{"backendRefs": [{"name": "x", "port": 9, "weight": 1}]}]},
    }
    return {"metadata": metadata, "spec": spec[resource.plural]}


def place(world: World, resource: Resource, name: str, owner: Object) -> Object:
    """In the place of whatever is there."""
    world.api.handle("DELETE", resource.path(SHOP, name), {}, None)
    world.create(resource, foreign(resource, name, owner))
    return found(world, resource, name)


def found(world: World, resource: Resource, name: str) -> Object:
    body: Object = world.api.handle("GET", resource.path(SHOP, name), {}, None).body
    return body


def weight_of(world: World, revision: str) -> float:
    route = world.api.handle("GET", HTTP_ROUTES.path(SHOP, "web"), {}, None)
    backends = route.body["spec"]["rules"][0]["backendRefs"] if route.status == 200 else []
    return float(sum(one["weight"] for one in backends if one["name"] == f"web-{revision}"))


def spelled(child: str, revision: str) -> tuple[Resource, str]:
    resource, of_version = CHILDREN[child]
    return resource, f"web-{revision}" if of_version else "web"


async def is_left_alone(world: World, child: str, revision: str, owner: Object) -> None:
    resource, name = spelled(child, revision)
    thing = place(world, resource, name, owner)
    if not world.operators:
        world.create(RELEASES, release("web", *STEPS))
        world.start()
    else:
        world.commit("web", 2)
    await world.until(lambda: world.status("web").get("reason") in REASONS, MINUTE)
    status = world.status("web")
    assert f"{resource.kind} {SHOP}/{name}" in status["message"], status["message"]
    assert weight_of(world, revision) == 0
    assert found(world, resource, name) == thing
    world.api.handle("DELETE", resource.path(SHOP, name), {}, None)


@pytest.mark.parametrize("owner", OWNERS.values(), ids=OWNERS)
@pytest.mark.parametrize("child", CHILDREN)
def test_a_first_version_leaves_what_is_in_its_place_and_says_so(child, owner):
    first, _ = names()

    async def story(world: World) -> None:
        await is_left_alone(world, child, first, owner)
        await world.until_phase("web", "Healthy", version=1)

    run(story)


@pytest.mark.parametrize("owner", OWNERS.values(), ids=OWNERS)
@pytest.mark.parametrize("child", [name for name, (_, of_version) in CHILDREN.items() if of_version])
def test_a_new_version_leaves_what_is_in_its_place_and_gets_no_work(child, owner):
    _, second = names()

    async def story(world: World) -> None:
        world.create(RELEASES, release("web", *STEPS))
        world.start()
        await world.until_phase("web", "Healthy")
        await is_left_alone(world, child, second, owner)
        await world.until_reason("web", "AwaitingApproval")
        world.ask("web", "approve")
        await world.until_phase("web", "Healthy", version=2)

    run(story)


@pytest.mark.parametrize("child", CHILDREN)
@pytest.mark.parametrize("end", ["abort", "approve", "delete"])
def test_what_takes_a_childs_place_under_way_is_never_written(child, end):
    _, second = names()

    async def story(world: World) -> None:
        world.create(RELEASES, release("web", *STEPS))
        world.start()
        await world.until_phase("web", "Healthy")
        world.commit("web", 2)
        await world.until_reason("web", "AwaitingApproval")
        resource, name = spelled(child, second)
        thing = place(world, resource, name, OWNERS["of nobody"])
        if end == "delete":
            world.delete("web")
        else:
            world.ask("web", end)
        await asyncio.sleep(3 * MINUTE)
        assert found(world, resource, name) == thing

    run(story)


def test_copies_with_our_labels_are_neither_deleted_nor_gone_back_to():
    """Of a ControllerRevision, which somebody made for debugging; one has no revision label."""

    def copies(world: World) -> dict[str, Object]:
        items = world.api.objects(CONTROLLER_REVISIONS.path())
        return {item["metadata"]["name"]: item for item in items if item["metadata"]["name"].endswith("-backup")}

    async def story(world: World) -> None:
        world.create(RELEASES, release("web", *STEPS, revisionHistoryLimit=1))
        world.start()
        await world.until_phase("web", "Healthy")
        first = world.status("web")["stableRevision"]
        kept = found(world, CONTROLLER_REVISIONS, f"web-{first}")
        for name, labels in {
            "web-backup": {RELEASE_LABEL: "web"},
            f"web-{first}-backup": kept["metadata"]["labels"],
        }.items():
            world.create(CONTROLLER_REVISIONS, {**kept, "metadata": {"name": name, "labels": labels}})
        before = copies(world)
        assert len(before) == 2
        for version in (2, 3, 4):
            world.commit("web", version)
            await world.until_reason("web", "AwaitingApproval")
            world.ask("web", "approve")
            await world.until_phase("web", "Healthy", version=version)
        await asyncio.sleep(MINUTE)
        names = {item["metadata"]["name"] for item in world.api.objects(CONTROLLER_REVISIONS.path())} - before.keys()
        assert f"web-{first}" not in names, "old ones are forgotten"
        assert copies(world) == before
        spec = {"release": "web", "action": "rollback", "revision": world.status("web")["stableRevision"], "to": first}
        world.create(RELEASE_ACTIONS, {"metadata": {"name": "back"}, "spec": spec})
        await world.until_answered()
        assert found(world, RELEASE_ACTIONS, "back")["status"]["result"] == "Refused"

    run(story)


def test_without_the_question_of_ownership_a_foreign_object_is_written(monkeypatch: pytest.MonkeyPatch):
    def ours(*_: Any) -> bool:
        return True

    monkeypatch.setattr(objects, "is_ours", ours)
    monkeypatch.setattr(object_executor, "is_ours", ours)
    with pytest.raises(AssertionError):
        test_a_first_version_leaves_what_is_in_its_place_and_says_so("Deployment of the version", OWNERS["of nobody"])
