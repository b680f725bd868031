"""After any edits of any field, at rest or in mid-release, the objects are those of a fresh Release (invariant 4).

The fields are read from the CRD's schema: one that is added there is edited here.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from controller import registry
from controller.api.names import ALLOW, RELEASE_LABEL, WITHOUT_RECORD
from controller.api.release import release_schema
from controller.api.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    HTTP_ROUTES,
    RELEASE_ACTIONS,
    RELEASES,
    SERVICES,
    TRAEFIK_SERVICES,
)
from controller.api.revision import first_revision_of
from controller.queue_share.ports import LedgerPlace
from controller.queue_share.stores.memory import MemoryLedgers
from controller.rollout import guards
from controller.rollout.hand_over import hand_over
from controller.runtime import versions
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fake_client import Weather
from tests.unit.runtime.fault_world import SHOP, World, release, run
from tests.unit.runtime.spec_edits import (
    CONFIG_MAP,
    CONFIGURED,
    EDITED,
    OPEN,
    STEPS,
    edited,
    edits,
    fits,
    leaves,
    left_out,
)
from tests.unit.runtime.weathers import trouble


def replaced(world: World, spec: Object) -> None:
    body = {**world.release("web"), "spec": spec}
    answer = world.api.handle("PUT", RELEASES.path(SHOP, "web"), {}, body)
    assert answer.status == 200, answer.body


async def to_its_end(world: World) -> None:
    """Whatever is under way is promoted, so that the objects are those of the spec alone."""
    asked: set[str] = set()

    def done() -> bool:
        status = world.status("web")
        canary = status.get("canaryRevision")
        if canary and canary not in asked:
            asked.add(canary)
            spec = {"release": "web", "action": "promote", "revision": canary, "reason": "a test"}
            world.create(RELEASE_ACTIONS, {"metadata": {"name": f"promote-{canary}"}, "spec": spec})
        current = status["observedGeneration"] == world.release("web")["metadata"]["generation"]
        at_rest = status.get("phase") == "Healthy" and not canary and "routerBeside" not in status
        return bool(current and at_rest and len(world.api.objects(DEPLOYMENTS.path())) == 1)

    await world.until(done)


def objects(world: World) -> Object:
    """What is there, as people and routers use it. A Deployment's own deadline is that of when it was made: nothing
    is decided by it.
    """
    found: Object = {}
    for resource in (DEPLOYMENTS, SERVICES, HTTP_ROUTES, TRAEFIK_SERVICES, CONFIG_MAPS):
        for item in world.api.objects(resource.path()):
            metadata = item["metadata"]
            if RELEASE_LABEL not in metadata.get("labels", {}):
                continue  # a ConfigMap that people write
            spec = item["data"] if resource == CONFIG_MAPS else item["spec"]
            spec = {name: value for name, value in spec.items() if name != "progressDeadlineSeconds"}
            if "ports" in spec:  # with the API server's default, which is the same port
                spec["ports"] = [{"protocol": "TCP", **port} for port in spec["ports"]]
            owned = [one["kind"] for one in metadata.get("ownerReferences") or []]
            found[f"{resource.kind} {metadata['name']}"] = {
                "spec": spec,
                "release": metadata["labels"][RELEASE_LABEL],
                "owned": owned,
            }
    return found


def fresh(spec: Object) -> Object:
    async def story(world):
        world.create(CONFIG_MAPS, CONFIG_MAP)
        made = {**release("web"), "spec": spec}
        # its repository is nowhere: it would be waited for
        made["metadata"] = {**made["metadata"], "annotations": {WITHOUT_RECORD: ALLOW}}
        world.create(RELEASES, made)
        world.start()
        await to_its_end(world)

    return objects(run(story))


async def begun(world, *, mid_release: bool) -> None:
    """Release web, stable at rest, or with a new version that has half of the work."""
    world.create(RELEASES, release("web", *STEPS))
    world.start()
    await world.until_phase("web", "Healthy")
    if mid_release:
        world.commit("web", 9)
        await world.until(lambda: world.status("web").get("weight") == 50)


def after_edits(specs: list[Object], *, mid_release: bool) -> Object:
    async def story(world):
        world.create(CONFIG_MAPS, CONFIG_MAP)
        await begun(world, mid_release=mid_release)
        for number, spec in enumerate(specs):
            replaced(world, spec)
            if number % 2:
                await world.until(
                    lambda: world.status("web")["observedGeneration"] == world.release("web")["metadata"]["generation"]
                )
        replaced(world, {**specs[-1], "suspend": False})
        await to_its_end(world)

    return objects(run(story))


STORIES = [story for seed in range(3) for story in edits(seed)]


@pytest.fixture(autouse=True)
def _tables_in_memory(monkeypatch):
    async def opened(ledgers: MemoryLedgers, _: LedgerPlace) -> MemoryLedgers:
        return ledgers

    monkeypatch.setattr("controller.runtime.operator._ledgers_of", opened)


def test_each_field_is_edited():
    missed = left_out(release_schema(registry.kinds()), EDITED)
    assert not missed, "\n".join(missed)


@pytest.mark.parametrize("path", OPEN, ids=lambda path: ".".join(map(str, path)))
def test_each_value_that_is_given_by_hand_is_one_that_a_release_can_have(path):
    before: Object = release("web", *STEPS)["spec"]
    assert all(fits(edited(before, path, value)) for value in OPEN[path])


@pytest.mark.parametrize(
    ("where", "name", "field", "says"),
    [
        ((), "colour", {"type": "string", "pattern": "^#[0-9a-f]{6}$"}, "spec.colour: no value here fits it."),
        ((), "labels", {"type": "object", "additionalProperties": {"type": "string"}}, "spec.labels: no value here"),
        (("service", "ports"), "colour", {"type": "string"}, "spec.service.ports.colour: no value here fits it."),
        (("bake",), "extend", {"type": "string"}, "spec.bake.extend: no value of OPEN has it."),
        (("analysis", "metrics"), "unit", {"type": "string"}, "spec.analysis.metrics.unit: no value of OPEN has it."),
        (
            ("strategy", "canary", "steps"),
            "shadow",
            {"type": "object", "properties": {"percent": {"type": "integer"}}},
            "spec.strategy.canary.steps.shadow: no value of OPEN has it.",
        ),
    ],
)
def test_a_new_field_that_nobody_edits_is_named(where, name, field, says):
    schema = copy.deepcopy(release_schema(registry.kinds()))
    at = schema
    for key in where:
        at = at["properties"][key]
    at = at.get("items", at)
    at["properties"][name] = field
    before: Object = release("web", *STEPS)["spec"]
    new = {path for path, values in leaves(schema) if any(fits(edited(before, path, value)) for value in values)}
    (sentence,) = left_out(schema, EDITED | new)
    assert sentence.startswith(says)


@pytest.mark.parametrize("mid_release", [False, True], ids=["at-rest", "mid-release"])
@pytest.mark.parametrize("story", range(len(STORIES)))
def test_after_any_edits_the_objects_are_those_of_a_fresh_release(story, mid_release):
    specs = STORIES[story]
    assert after_edits(specs, mid_release=mid_release) == fresh({**specs[-1], "suspend": False})


def _only(**spec: Any) -> list[Object]:
    return [{**release("web", *STEPS)["spec"], **spec}]


def test_without_ports_in_the_revision_they_do_not_converge(monkeypatch):
    monkeypatch.setattr(versions, "revision_of", lambda *where: first_revision_of(*where[:4]))
    specs = _only(service={"ports": [{"port": 80, "targetPort": 9090}]})
    assert after_edits(specs, mid_release=False) != fresh(specs[-1])


def test_without_the_hand_over_a_router_does_not_converge(monkeypatch):
    others = tuple(one for one in guards.GUARDS if one.outcome is not hand_over)
    monkeypatch.setattr(guards, "GUARDS", others)
    specs = _only(traffic={"replicas": {}})
    assert after_edits(specs, mid_release=False) != fresh(specs[-1])


def test_without_new_owners_a_deletion_policy_does_not_converge(monkeypatch):
    monkeypatch.setattr("controller.runtime.observer.has_owners", lambda *_: True)
    specs = _only(deletionPolicy="Orphan")
    assert after_edits(specs, mid_release=False) != fresh(specs[-1])


@pytest.mark.parametrize("mid_release", [False, True], ids=["at-rest", "mid-release"])
def test_orphan_that_is_set_later_keeps_everything(mid_release):
    async def story(world):
        await begun(world, mid_release=mid_release)
        world.patch("web", {"spec": {"deletionPolicy": "Orphan"}})
        await world.until(lambda: not any(one["owned"] for one in objects(world).values()))
        before = objects(world)
        world.delete("web")
        await world.until(lambda: not world.api.objects(RELEASES.path()))
        assert objects(world).keys() == before.keys()

    run(story)


@pytest.mark.parametrize("mid_release", [False, True], ids=["at-rest", "mid-release"])
def test_the_status_says_orphan_at_no_moment_at_which_something_has_an_owner(mid_release):
    """By it the API server lets the Release go, at whatever moment somebody deletes it."""

    async def story(world):
        said = []

        def note(_):
            policies = [one.get("status", {}).get("deletionPolicy") for one in world.api.objects(RELEASES.path())]
            said.append((policies == ["Orphan"], any(one["owned"] for one in objects(world).values())))

        await begun(world, mid_release=mid_release)
        world.api.listeners.append(note)
        for policy in ("Orphan", "Delete", "Orphan"):
            world.patch("web", {"spec": {"deletionPolicy": policy}})
            owned = policy == "Delete"
            await world.until(lambda owned=owned: all(bool(one["owned"]) == owned for one in objects(world).values()))
            await world.until(lambda owned=owned: (world.status("web").get("deletionPolicy") == "Orphan") != owned)
        assert (True, False) in said
        assert (True, True) not in said

    run(story)


class NoOwnerChanges(Weather):
    """Nobody's owner is changed."""

    async def serve(self, request, execute):
        body = request.body if isinstance(request.body, dict) else {}
        changes = request.method in ("PATCH", "PUT") and "ownerReferences" in (body.get("metadata") or {})
        return await trouble(422, execute) if changes and request.place.collection == DEPLOYMENTS.path() else execute()


def test_owners_that_cannot_be_changed_keep_no_release_from_ending():
    async def story(world):
        world.create(RELEASES, release("web", {"weight": 50}))
        world.start()
        await world.until_phase("web", "Healthy")
        world.patch("web", {"spec": {"deletionPolicy": "Orphan"}})
        world.commit("web", 2)
        await world.until(lambda: len(world.api.objects(DEPLOYMENTS.path())) == 2)
        await world.until(lambda: [world.image_of("web", world.status("web")["stableRevision"])] == ["web:2"])
        await world.until(lambda: len(world.api.objects(DEPLOYMENTS.path())) == 1)

    run(story, NoOwnerChanges())


@pytest.mark.parametrize("modes", [("Auto", "None"), ("None", "Auto"), ("Auto", "None", "Auto")])
@pytest.mark.parametrize("mid_release", [False, True], ids=["at-rest", "mid-release"])
def test_copies_come_and_go_with_config_refs(modes, mid_release):
    spec = {**release("web", *STEPS)["spec"], "template": {"spec": CONFIGURED}}
    specs = [{**spec, "configRefs": mode} for mode in modes]
    assert after_edits(specs, mid_release=mid_release) == fresh(specs[-1])
