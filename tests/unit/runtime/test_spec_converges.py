"""After any edits of any field, at rest or in mid-release, the objects are those of a fresh Release (invariant 4).

The fields are read from the CRD's schema: one that is added there is edited here.
"""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from controller import registry
from controller.api.names import RELEASE_LABEL
from controller.api.notify import FOLDER as NOTIFIERS
from controller.api.reading import SpecError
from controller.api.release import parse_release, release_schema
from controller.api.resources import DEPLOYMENTS, HTTP_ROUTES, RELEASE_ACTIONS, RELEASES, SERVICES
from controller.api.revision import first_revision_of
from controller.queue_share.ports import LedgerPlace
from controller.queue_share.stores.memory import MemoryLedgers
from controller.rollout import guards
from controller.rollout.hand_over import hand_over
from controller.runtime import versions
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fake_client import Weather
from tests.unit.runtime.fault_world import SHOP, World, release, run, template
from tests.unit.runtime.weathers import trouble

Path = tuple[str | int, ...]
STEPS: tuple[Object, ...] = ({"weight": 50}, {"approve": {}})
OPEN: dict[Path, list[Any]] = {
    ("template",): [template(2)["spec"], template(3)["spec"]],
    ("traffic", "gatewayAPI", "rules"): [[{"matches": [{"path": {"value": "/a"}}]}]],
    ("traffic", "gatewayAPI", "parentRefs"): [[{"name": "other"}]],
    ("analysis", "metrics"): [
        [{"name": "errors", "template": "http-errors"}],
        [{"name": "floor", "template": "http-errors", "limit": {"max": "2%"}}],
    ],
    ("bake",): [{"for": "1m", "holdback": "5%"}],
    ("traffic", "queue", "ledger", "dynamodb"): [{"table": "shares", "region": "eu-central-1"}],
    ("strategy", "canary", "steps"): [
        [],
        [{"weight": 5}, {"pause": {"for": "1s"}}, {"weight": 60}],
        [{"weight": 5}, {"webhook": {"url": "http://gate.qa/"}}],
        [{"weight": 5, "analyze": {"atLeast": "1s", "atMost": "5s"}}],
    ],
    ("strategy", "blueGreen", "steps"): [[], [{"approve": {}}], [{"pause": {"for": "1s"}}, {"approve": {}}]],
    ("strategy", "canary", "scale"): ["full", "matchWeight", {"replicas": 2}],
    ("notify",): [[{"name": "ops", kind: module.EXAMPLE}] for kind, module in registry.modules(NOTIFIERS).items()],
}
"""Values for what the schema leaves open."""
TEXTS = ("a", "1s", "2s", "5%", "a-name", "http://gate.qa/", "eu-central-1")


def leaves(schema: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, list[Any]]]:
    """Each field that holds a value, and values that its schema takes."""
    if path in OPEN:
        values = OPEN[path]
        yield path, [{"spec": value} for value in values] if path == ("template",) else values
    elif schema.get("properties"):
        for key, below in schema["properties"].items():
            yield from leaves(below, (*path, key))
    elif schema.get("type") == "array" and schema["items"].get("properties"):
        for key, below in schema["items"]["properties"].items():
            yield from leaves(below, (*path, 0, key))
    elif schema.get("type") == "array":
        yield path, [[value] for value in _values(schema["items"])]
    else:
        yield path, _values(schema)


def _values(schema: Mapping[str, Any]) -> list[Any]:
    if "enum" in schema:
        return list(schema["enum"])
    match schema.get("type"):
        case "boolean":
            return [True, False]
        case "integer" | "number":
            least = schema.get("minimum", 1)
            return [least + 1, least + 2]
        case "object":
            return [{}]
        case _:
            return [8443, *TEXTS]


EDITED: set[Path] = set()
"""Fields for which a value was found that fits the rest."""
LEAVES = list(leaves(release_schema(registry.kinds())))


def edited(spec: Object, path: Path, value: Any) -> Object:
    """Of a choice only one is left: the other modules beside it go."""
    after = copy.deepcopy(spec)
    at: Any = after
    for key, below in itertools.pairwise(path):
        empty: Any = [] if isinstance(below, int) else {}
        if isinstance(key, int):
            if not at:
                at.append(empty)
            at = at[0]
        else:
            if key in ("traffic", "strategy") and below not in at.get(key, {}):
                at[key] = {}
            at = at.setdefault(key, empty)
    at[path[-1]] = value
    return after


def fits(spec: Object) -> bool:
    """What does not is refused by the API server or by `parse_release`, with the field's path and a sentence."""
    try:
        parse_release("web", spec, registry.kinds())
    except SpecError:
        return False
    return True


def edits(seed: int) -> Iterator[list[Object]]:
    """Stories of several specs, in which each field is edited, eight to a story."""
    draw = random.Random(seed)  # noqa: S311 - the order of edits
    left = list(LEAVES)
    draw.shuffle(left)
    while left:
        spec: Object = release("web", *STEPS)["spec"]
        story = []
        for path, values in left[:8]:
            drawn = [edited(spec, path, value) for value in draw.sample(values, len(values))]
            spec = next((after for after in drawn if after != spec and fits(after)), spec)
            story.append(spec)
            EDITED.update([path] if any(map(fits, drawn)) else [])
        del left[:8]
        yield story


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
    for resource in (DEPLOYMENTS, SERVICES, HTTP_ROUTES):
        for item in world.api.objects(resource.path()):
            metadata = item["metadata"]
            spec = {name: value for name, value in item["spec"].items() if name != "progressDeadlineSeconds"}
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
        world.create(RELEASES, {**release("web"), "spec": spec})
        world.start()
        await to_its_end(world)

    return objects(run(story))


def after_edits(specs: list[Object], *, mid_release: bool) -> Object:
    async def story(world):
        world.create(RELEASES, release("web", *STEPS))
        world.start()
        await world.until_phase("web", "Healthy")
        if mid_release:
            world.commit("web", 9)
            await world.until(lambda: world.status("web").get("weight") == 50)
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
    """One of which no value is known here fails: give it one in `OPEN`, or in `TEXTS`."""
    missed = {path for path, _ in LEAVES} - EDITED
    assert not missed, missed


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
        world.create(RELEASES, release("web", *STEPS))
        world.start()
        await world.until_phase("web", "Healthy")
        if mid_release:
            world.commit("web", 9)
            await world.until(lambda: world.status("web").get("weight") == 50)
        world.patch("web", {"spec": {"deletionPolicy": "Orphan"}})
        await world.until(lambda: not any(one["owned"] for one in objects(world).values()))
        before = objects(world)
        world.delete("web")
        await world.until(lambda: not world.api.objects(RELEASES.path()))
        assert objects(world).keys() == before.keys()

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
