"""Stable is deleted together with the template that it could be made of: callers reach whoever still answers."""

from __future__ import annotations

import pytest

from controller.api.resources import (
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    EVENTS,
    HTTP_ROUTES,
    RELEASES,
    SERVICES,
    Resource,
)
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fault_world import SHOP, World, release, run

SECONDS = 10.0
STEPS: tuple[Object, ...] = ({"weight": 20}, {"approve": {}}, {"weight": 50}, {"approve": {}})


def take(world: World, revision: str, *resources: Resource) -> None:
    for resource in resources:
        answer = world.api.handle("DELETE", resource.path(SHOP, f"web-{revision}"), {}, None)
        assert answer.status == 200


def work(world: World) -> dict[str, int]:
    (route,) = world.api.objects(HTTP_ROUTES.path())
    return {one["name"]: one["weight"] for one in route["spec"]["rules"][0]["backendRefs"] if one["weight"]}


def events(world: World) -> list[str]:
    return [one["reason"] for one in world.api.objects(EVENTS.path())]


async def to_the_first_step(world: World, *, metrics: bool = False) -> tuple[str, str]:
    """The revisions of stable and of the canary, at 20 %."""
    world.create(RELEASES, release("web", *STEPS, metrics=metrics))
    world.start()
    await world.until_phase("web", "Healthy", 1)
    world.commit("web", 2)
    await world.until_reason("web", "AwaitingApproval")
    status = world.status("web")
    return status["stableRevision"], status["canaryRevision"]


@pytest.mark.parametrize("metrics", [False, True])
def test_a_canary_that_serves_takes_over_and_is_said_to_be_unjudged(metrics):
    """80 % of the requests went to a Service without endpoints, phase Invalid, for ever."""

    async def story(world: World) -> None:
        stable, canary = await to_the_first_step(world, metrics=metrics)
        take(world, stable, DEPLOYMENTS, CONTROLLER_REVISIONS)
        await world.until(lambda: list(work(world)) == [f"web-{canary}"], SECONDS)
        await world.until_phase("web", "Healthy", 2)
        status = world.status("web")
        assert (status["stableRevision"], status["reason"]) == (canary, "FirstDeployment")
        judged = {one["type"]: one["status"] for one in status["conditions"]}["Judged"]
        assert judged == "False"
        assert events(world).count("StableLost") == 1
        world.commit("web", 3)  # and the next one is compared with it
        await world.until_reason("web", "AwaitingApproval")

    run(story)


def test_a_canary_without_pods_is_waited_for():
    async def story(world: World) -> None:
        stable, canary = await to_the_first_step(world)
        world.cluster.broken.add("web:2")
        take(world, canary, DEPLOYMENTS)
        await world.until(lambda: list(work(world)) == [f"web-{stable}"], SECONDS)
        take(world, stable, DEPLOYMENTS, CONTROLLER_REVISIONS)
        await world.until(lambda: world.status("web").get("stableRevision", "") == "", SECONDS)
        world.cluster.broken.clear()
        world.cluster.sync("web")
        await world.until_phase("web", "Healthy", 2)
        assert list(work(world)) == [f"web-{canary}"]

    run(story)


def test_a_canary_with_some_of_its_pods_takes_over_when_stables_service_is_gone_too():
    async def story(world: World) -> None:
        stable, canary = await to_the_first_step(world)
        assert world.api.handle("GET", DEPLOYMENTS.path(SHOP, f"web-{canary}"), {}, None).body["spec"]["replicas"] == 1
        world.cluster.full = True
        take(world, stable, DEPLOYMENTS, SERVICES, CONTROLLER_REVISIONS)
        await world.until(lambda: list(work(world)) == [f"web-{canary}"], SECONDS)
        world.cluster.full = False
        world.cluster.sync("web")
        await world.until_phase("web", "Healthy", 2)
        world.commit("web", 3)  # it begins with no weight of its own
        await world.until(lambda: world.image_of("web", world.status("web").get("canaryRevision") or "") == "web:3")
        assert world.status("web")["weight"] == 0
        assert "CanaryUnready" not in events(world)

    run(story)


def test_a_version_that_was_rejected_does_not_come_back_by_it():
    async def story(world: World) -> None:
        stable, canary = await to_the_first_step(world)
        world.ask("web", "abort")
        await world.until_phase("web", "RolledBack")
        take(world, stable, DEPLOYMENTS, CONTROLLER_REVISIONS)
        await world.until_reason("web", "StableLost", SECONDS)
        assert stable in world.status("web")["message"]
        assert f"web-{canary}" not in work(world)
        (operator,) = world.operators
        passes, end = len(operator.reconciles), world.now() + 60
        await world.until(lambda: world.now() >= end)
        assert len(operator.reconciles) - passes < 20
        world.commit("web", 3)
        await world.until_phase("web", "Healthy", 3)

    run(story)


@pytest.mark.parametrize("taken", [DEPLOYMENTS, CONTROLLER_REVISIONS], ids=lambda one: one.kind)
def test_one_of_the_two_alone_is_made_again(taken):
    async def story(world: World) -> None:
        stable, canary = await to_the_first_step(world)
        take(world, stable, taken)
        await world.until(lambda: taken is CONTROLLER_REVISIONS or world.image_of("web", stable) == "web:1", SECONDS)
        await world.until_reason("web", "AwaitingApproval")
        assert world.status("web")["stableRevision"] == stable
        assert work(world) == {f"web-{stable}": 8000, f"web-{canary}": 2000}
        assert "StableLost" not in events(world)

    run(story)
