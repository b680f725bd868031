"""Every router writes once what it is asked for, sees what it wrote, and touches nothing that is not Pointsman's."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from controller import registry
from controller.api.abilities import abilities
from controller.api.choice import OneOf
from controller.api.fields import Place
from controller.api.names import RELEASE_LABEL, REVISION_LABEL
from controller.api.resources import DEPLOYMENTS, GATEWAY_CLASSES, GATEWAYS, SERVICES, Resource
from controller.kube.client import KubeError
from controller.kube.clock import SteadyClock
from controller.kube.host_names import HostNames
from controller.ports import Previews, RoutedService, Router, RouterContext, RouterError, Weights
from controller.queue_share.allocator import Allocators
from controller.queue_share.ports import LedgerAwayError, LedgerPlace, LedgerStore
from controller.queue_share.stores.memory import MemoryLedgers
from controller.rollout.preview import Preview, Reach
from tests.unit.contract.fakes import FakeKube

KINDS = registry.modules("routers")
EVERY = pytest.mark.parametrize("kind", KINDS)
STABLE, CANARY = "a" * 10, "b" * 10
ALL_STABLE = {STABLE: 100.0}
SPLIT = {STABLE: 90.0, CANARY: 10.0}
FOREIGN = {
    "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "other"}},
    "spec": {"selector": {"a": "b"}},
}


class World:
    """A Release web with two versions, nine pods and one, as it stands when a router is first asked."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.kube = FakeKube()
        labels = {RELEASE_LABEL: "web"}
        self.kube.put(SERVICES, {"metadata": {"name": "web", "namespace": "shop", "labels": labels}, "spec": {}})
        for revision, pods in ((STABLE, 9), (CANARY, 1)):
            metadata = {"name": f"web-{revision}", "labels": {**labels, REVISION_LABEL: revision}}
            self.kube.put(DEPLOYMENTS, {"metadata": metadata, "spec": {"replicas": pods}})
        accepted = {"conditions": [{"type": "Accepted", "status": "True"}]}
        features = ["HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror"]
        status = {**accepted, "supportedFeatures": [{"name": one} for one in features]}
        self.kube.put(GATEWAYS, {"metadata": {"name": "public"}, "spec": {"gatewayClassName": "able"}})
        self.kube.put(GATEWAY_CLASSES, {"metadata": {"name": "able"}, "status": status})
        self.stores = MemoryLedgers()
        self.allocators = Allocators(self._connect)

    async def _connect(self, place: LedgerPlace) -> LedgerStore:
        if self.kube.down:
            raise LedgerAwayError("the ledger is not there")
        return self.stores

    def router(self, *, left: bool = False) -> Router:
        """As for each pass: what is remembered between passes does not count. `left`: the spec names another one."""
        module = KINDS[self.kind]
        config = (
            None if left else OneOf("routers").parse({self.kind: module.EXAMPLE}, Place("", registry.kinds())).config
        )
        ports = ({"port": 80},)
        target = RoutedService("shop", "web", None, ports, {STABLE: ports, CANARY: ports})
        return module.create(config, target, RouterContext(self.kube, (self.allocators, HostNames(), SteadyClock())))

    async def ensure(self, shares: Mapping[str, float]) -> bool:
        router = self.router()
        await router.observe()
        return await router.ensure(Weights(shares, stable=STABLE))

    async def shares(self) -> Mapping[str, float]:
        seen = await self.router().observe()
        return {} if seen is None else seen.shares


@EVERY
@pytest.mark.parametrize("shares", [ALL_STABLE, SPLIT], ids=["whole", "split"])
async def test_what_is_ensured_twice_is_written_once_and_observed(kind: str, shares: Mapping[str, float]) -> None:
    world = World(kind)
    await world.ensure(shares)
    writes = world.kube.writes
    assert await world.shares() == pytest.approx(shares)
    assert not await world.ensure(shares)
    assert world.kube.writes == writes


@EVERY
async def test_work_can_be_taken_back(kind: str) -> None:
    world = World(kind)
    await world.ensure(SPLIT)
    assert await world.ensure(ALL_STABLE)
    assert await world.shares() == pytest.approx(ALL_STABLE)


@EVERY
async def test_an_outage_is_an_error_and_not_an_answer(kind: str) -> None:
    world = World(kind)
    world.kube.down = True
    with pytest.raises((KubeError, RouterError)):
        await world.router().observe()


WATCHED = [(kind, resource) for kind, module in KINDS.items() for resource in module.WATCHES]


@pytest.mark.parametrize(("kind", "resource"), WATCHED, ids=lambda value: getattr(value, "plural", value))
async def test_an_object_of_another_owner_is_not_touched(kind: str, resource: Resource) -> None:
    world = World(kind)
    world.kube.put(resource, FOREIGN)
    before = copy.deepcopy(world.kube.objects)
    with pytest.raises(RouterError):
        await world.ensure(ALL_STABLE)
    assert world.kube.objects == before


@pytest.mark.parametrize(("kind", "resource"), WATCHED, ids=lambda value: getattr(value, "plural", value))
async def test_a_decision_on_an_older_state_is_not_written(kind: str, resource: Resource) -> None:
    world = World(kind)
    await world.ensure(ALL_STABLE)
    stale = world.router()
    await stale.observe()
    changed: dict[str, Any] = world.kube.raw(resource, "web") or {}
    world.kube.put(resource, changed)
    before, writes = world.kube.raw(resource, "web"), world.kube.writes
    try:
        await stale.ensure(Weights(SPLIT, stable=STABLE))
    except KubeError:
        return
    assert world.kube.raw(resource, "web") == before, "weights are no part of it"
    assert world.kube.writes > writes


@EVERY
async def test_a_router_that_is_left_moves_its_work_by_weights_alone(kind: str) -> None:
    world = World(kind)
    await world.ensure(SPLIT)
    router = world.router(left=True)
    seen = await router.observe()
    assert seen is not None
    assert seen.shares == pytest.approx(SPLIT)
    assert await router.ensure(Weights(ALL_STABLE, stable=STABLE))
    again = await world.router(left=True).observe()
    assert again is not None
    assert again.shares == pytest.approx(ALL_STABLE)


@EVERY
async def test_a_copy_with_our_labels_has_no_share(kind: str) -> None:
    """Somebody debugs a copy of the canary's Deployment: it is no version, and changes nobody's share."""
    world = World(kind)
    copied: dict[str, Any] = world.kube.raw(DEPLOYMENTS, f"web-{CANARY}") or {}
    debugged = {**copied["metadata"], "name": f"web-{CANARY}-debug"}
    world.kube.put(DEPLOYMENTS, {"metadata": debugged, "spec": {"replicas": 40}})
    world.kube.put(
        DEPLOYMENTS, {"metadata": {"name": "web", "labels": copied["metadata"]["labels"]}, "spec": {"replicas": 40}}
    )
    await world.ensure(SPLIT)
    assert await world.shares() == pytest.approx(SPLIT)


@EVERY
async def test_a_reset_leaves_nothing_of_ours_that_sends_work_elsewhere(kind: str) -> None:
    world = World(kind)
    before = set(world.kube.objects)
    await world.ensure(SPLIT)
    for _ in range(2):
        router = world.router(left=True)
        await router.observe()
        await router.reset(STABLE)
    assert set(world.kube.objects) == before, "what the router made is gone, and what it did not make is there"
    left = await world.router(left=True).observe()
    assert left is None or left.shares == ALL_STABLE
    assert world.allocators.place_of("shop/web") is None, "nobody allocates for it"


@pytest.mark.parametrize(("kind", "resource"), WATCHED, ids=lambda value: getattr(value, "plural", value))
async def test_a_reset_does_not_touch_an_object_of_another_owner(kind: str, resource: Resource) -> None:
    world = World(kind)
    world.kube.put(resource, FOREIGN)
    before = copy.deepcopy(world.kube.objects)
    router = world.router(left=True)
    await router.observe()
    await router.reset(STABLE)
    assert world.kube.objects == before


PREVIEWING = pytest.mark.parametrize(
    "kind", [kind for kind, one in KINDS.items() if "preview" in abilities(one.Config)]
)
BY_HOST, BY_HEADER = Reach(("preview.example.com",)), Reach(header=("x-preview", "1"))
REACHES = pytest.mark.parametrize("reach", [BY_HOST, BY_HEADER], ids=["host", "header"])


async def previews(world: World) -> Previews:
    router = world.router()
    await router.observe()
    assert isinstance(router, Previews)
    return router


@PREVIEWING
@REACHES
async def test_a_preview_is_written_once_seen_moved_and_removed(kind: str, reach: Reach) -> None:
    world = World(kind)
    await world.ensure(ALL_STABLE)
    for revision in (CANARY, STABLE):
        router, wanted = await previews(world), Preview(revision, reach)
        assert (await router.observe_preview()).preview != wanted
        await router.show(wanted)
        assert (await (await previews(world)).observe_preview()).preview == wanted
        assert await world.shares() == pytest.approx(ALL_STABLE)
    router = await previews(world)
    await router.observe_preview()
    await router.show(None)
    assert (await (await previews(world)).observe_preview()).preview is None
    assert await world.shares() == pytest.approx(ALL_STABLE)


@PREVIEWING
@REACHES
async def test_a_preview_that_was_edited_by_hand_is_seen_to_differ(kind: str, reach: Reach) -> None:
    world = World(kind)
    await world.ensure(ALL_STABLE)
    router, wanted = await previews(world), Preview(CANARY, reach)
    await router.observe_preview()
    await router.show(wanted)
    for resource in KINDS[kind].WATCHES:
        found = world.kube.raw(resource, "web-preview")
        if found is not None:
            found["spec"]["rules"][0]["backendRefs"][0]["name"] = "strange"
            world.kube.put(resource, found)
    assert (await (await previews(world)).observe_preview()).preview not in (None, wanted)


@PREVIEWING
async def test_a_foreign_object_in_the_place_of_a_preview_is_not_touched(kind: str) -> None:
    world = World(kind)
    await world.ensure(ALL_STABLE)
    for resource in KINDS[kind].WATCHES:
        foreign: dict[str, Any] = copy.deepcopy(FOREIGN)
        foreign["metadata"]["name"] = "web-preview"
        world.kube.put(resource, foreign)
    before = copy.deepcopy(world.kube.objects)
    router = await previews(world)
    assert "belongs to something else" in (await router.observe_preview()).refused
    with pytest.raises(RouterError):
        await router.show(Preview(CANARY, BY_HOST))
    await (await previews(world)).show(None)
    assert world.kube.objects == before


MIRRORING = pytest.mark.parametrize(
    "kind", [kind for kind, one in KINDS.items() if "mirrorPercent" in abilities(one.Config)]
)
COPIES = Preview(CANARY, Reach(mirror=10.0))


@MIRRORING
async def test_a_mirror_is_written_once_seen_changed_and_removed(kind: str) -> None:
    world = World(kind)
    await world.ensure(ALL_STABLE)
    for wanted in (COPIES, Preview(CANARY, Reach(mirror=50.0)), None):
        router = await previews(world)
        assert (await router.observe_preview()).preview != wanted
        await router.show(wanted)
        assert (await (await previews(world)).observe_preview()).preview == wanted
        assert await world.shares() == pytest.approx(ALL_STABLE)
        writes = world.kube.writes
        assert not await world.ensure(ALL_STABLE), "weights that are as they should be leave the mirror"
        await (await previews(world)).show(wanted)
        assert world.kube.writes == writes


@MIRRORING
async def test_work_for_the_canary_ends_the_mirror(kind: str) -> None:
    world = World(kind)
    await world.ensure(ALL_STABLE)
    await (await previews(world)).show(COPIES)
    for shares in (SPLIT, ALL_STABLE):
        assert await world.ensure(shares)
        assert (await (await previews(world)).observe_preview()).preview is None
        assert await world.shares() == pytest.approx(shares)


@MIRRORING
@pytest.mark.parametrize("shares", [SPLIT, {CANARY: 100.0}], ids=["split", "canary"])
async def test_a_mirror_that_cannot_be_written_is_refused_and_not_left_out(
    kind: str, shares: Mapping[str, float]
) -> None:
    """Left out, it would be asked for again at once, and for ever."""
    world = World(kind)
    await world.ensure(shares)
    with pytest.raises(RouterError, match="copied only while one version has all of the work"):
        await (await previews(world)).show(COPIES)
    assert await world.shares() == pytest.approx(shares)


@PREVIEWING
async def test_a_router_that_is_left_takes_its_preview_along(kind: str) -> None:
    world = World(kind)
    await world.ensure(ALL_STABLE)
    router = await previews(world)
    await router.observe_preview()
    await router.show(Preview(CANARY, BY_HOST))
    left = world.router(left=True)
    await left.observe()
    await left.reset(STABLE)
    assert all(world.kube.raw(resource, "web-preview") is None for resource in KINDS[kind].WATCHES)
