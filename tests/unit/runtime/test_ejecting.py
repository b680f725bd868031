"""Leaving: the Release goes, and what serves stays as plain objects, whoever owned it before."""

from __future__ import annotations

import pytest

from controller.api.resources import DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS, HTTP_ROUTES, RELEASES, SERVICES
from controller.cli._cluster import CommandError
from controller.cli.ejecting import _eject_each
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fake_client import FakeClient
from tests.unit.runtime.fault_world import SHOP, World, release, run
from tests.unit.runtime.test_adopting import TRAFFIC, adopting, found, runs_already


def person(world: World) -> FakeClient:
    return FakeClient(world.api, lambda: world.weather, "person")


def marks(item: Object) -> list[str]:
    metadata = item["metadata"]
    named = [*metadata.get("labels", {}), *metadata.get("annotations", {})]
    return [one for one in named if one.startswith("pointsman.dev/")]


@pytest.mark.parametrize("traffic", TRAFFIC.values(), ids=TRAFFIC)
@pytest.mark.parametrize("policy", ["Delete", "Orphan"])
def test_what_served_serves_on_without_the_release(policy, traffic):
    async def story(world: World) -> None:
        runs_already(world, autoscaled=True)
        world.create(RELEASES, adopting(deletionPolicy=policy, traffic=traffic))
        world.start()
        await world.until_phase("web", "Healthy")
        stable = f"web-{world.status('web')['stableRevision']}"
        before = [found(world, DEPLOYMENTS, stable)["spec"], found(world, SERVICES, "web")["spec"]]
        routes = [route["spec"] for route in world.api.objects(HTTP_ROUTES.path())]
        (ejected,) = await _eject_each(SHOP, [], person(world))
        assert f"Deployment {stable}" in ejected.kept
        assert "Service web" in ejected.kept
        assert not world.api.objects(RELEASES.path())
        kept = [found(world, DEPLOYMENTS, stable), found(world, SERVICES, "web")]
        assert [item["spec"] for item in kept] == before
        assert [route["spec"] for route in world.api.objects(HTTP_ROUTES.path())] == routes
        for item in (*kept, *world.api.objects(HTTP_ROUTES.path())):
            assert not item["metadata"].get("ownerReferences")
            assert not marks(item)
        target = found(world, HORIZONTAL_POD_AUTOSCALERS, "web")["spec"]["scaleTargetRef"]
        assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": stable}

    run(story)


def test_a_rollout_is_not_left_in_the_middle_and_none_of_all_goes():
    async def story(world: World) -> None:
        for name in ("calm", "web"):
            world.create(RELEASES, release(name, {"weight": 20}, {"approve": {}}))
        world.start()
        await world.until_phase("web", "Healthy")
        await world.until_phase("calm", "Healthy")
        world.commit("web", 2)
        await world.until_reason("web", "AwaitingApproval")
        with pytest.raises(CommandError, match="web is not at rest"):
            await _eject_each(SHOP, [], person(world))
        assert len(world.api.objects(RELEASES.path())) == 2

    run(story)
