"""Words for tests of configuration: a Release whose pods read ConfigMaps, and what became of them."""

from __future__ import annotations

from typing import Any

from controller.api.names import COPY_OF, REVISION_LABEL
from controller.api.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    RELEASE_ACTIONS,
    RELEASES,
)
from controller.views.explanation import Explanation
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fault_world import SHOP, World, release, template

STEPS: tuple[Object, ...] = ({"weight": 20}, {"approve": {}})


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


def reads_of_all(world: World) -> dict[str, list[str]]:
    found = [item["metadata"]["labels"][REVISION_LABEL] for item in world.api.objects(DEPLOYMENTS.path())]
    return {revision: reads(world, revision) for revision in found}


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


def ask(world: World, action: str, *, name: str = "", **more: Any) -> None:
    status = world.status("web")
    revision = status.get("canaryRevision") or status["stableRevision"]
    spec = {"release": "web", "action": action, "revision": revision, "reason": "because", **more}
    world.create(RELEASE_ACTIONS, {"metadata": {"name": name or f"{action}-{world.api.version}"}, "spec": spec})
