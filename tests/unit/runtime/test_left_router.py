"""A router that is left, and does not answer, is not installed, or cannot serve what is there yet."""

import asyncio
from collections import Counter

import pytest

from controller.api.resources import RELEASE_ACTIONS, RELEASES, SERVICES
from controller.kube.client import InvalidError
from controller.queue_share.ports import LedgerAwayError
from controller.rollout.actions import Action, LeaveRouter
from controller.runtime.observer import World as Seen
from controller.runtime.operator import Operator
from tests.unit.runtime.fake_api import Change, Object
from tests.unit.runtime.fault_world import SHOP, World, release, run
from tests.unit.runtime.test_router_changed import ROUTERS, STEPS, handed_over, route_is_there, serving, switch


def operator_of(world: World) -> Operator:
    operator = world.operators[0].operator
    assert operator is not None
    return operator


def lose_the_table(world: World) -> None:
    async def away(*_: object) -> None:
        raise LedgerAwayError("there is no table")

    allocators = operator_of(world).allocators
    allocators.read = away  # type: ignore[method-assign, assignment]
    allocators.change = away  # type: ignore[method-assign, assignment]


async def under_way(world: World) -> None:
    world.commit("web", 2)
    await world.until_reason("web", "AwaitingApproval")


def is_gone(world: World) -> bool:
    return world.api.handle("GET", RELEASES.path(SHOP, "web"), {}, None).status == 404


@pytest.mark.parametrize("mid_release", [False, True])
def test_a_queue_whose_table_is_gone_is_left_all_the_same(mid_release):
    async def story(world: World) -> None:
        await serving(world, "queue")
        if mid_release:
            await under_way(world)
        lose_the_table(world)
        switch(world, "replicas")
        await world.until(lambda: world.status("web").get("router") == "replicas", 60)
        await world.until(lambda: "routerBeside" not in world.status("web"), 900)
        if not mid_release:
            await under_way(world)
        world.ask("web", "approve")
        await world.until_phase("web", "Healthy", version=2)

    run(story)


def test_a_table_that_goes_after_the_switch_holds_no_promotion():
    async def story(world: World) -> None:
        await serving(world, "queue")
        switch(world, "replicas")
        await world.until(lambda: world.status("web").get("router") == "replicas")
        lose_the_table(world)
        await under_way(world)
        world.ask("web", "approve")
        await world.until_phase("web", "Healthy", version=2)
        assert len(world.picture()["deployments"]) == 1

    run(story)


@pytest.mark.parametrize("mid_release", [False, True])
def test_a_release_whose_table_is_gone_can_be_deleted(mid_release):
    async def story(world: World) -> None:
        await serving(world, "queue")
        if mid_release:
            await under_way(world)
        lose_the_table(world)
        world.delete("web")
        await world.until(lambda: is_gone(world), 300)

    run(story)


def test_a_worker_without_ports_is_told_how_it_gets_to_a_route():
    async def story(world: World) -> None:
        body = release("web", *STEPS, traffic=ROUTERS["queue"])
        del body["spec"]["service"]
        world.create(RELEASES, body)
        world.start()
        await world.until_phase("web", "Healthy")
        traffic = {**dict.fromkeys(ROUTERS), **ROUTERS["gatewayAPI"]}
        world.patch("web", {"spec": {"traffic": traffic, "service": {"ports": [{"port": 80}]}}})
        await world.until_reason("web", "RouterRefused", 60)
        assert "Release spec.service.ports under the present spec.traffic first" in world.status("web")["message"]
        world.patch("web", {"spec": {"traffic": {**dict.fromkeys(ROUTERS), **ROUTERS["queue"]}}})
        await world.until_reason("web", "AwaitingApproval")
        world.ask("web", "approve")
        await world.until_phase("web", "Healthy")
        world.patch("web", {"spec": {"traffic": traffic}})
        await handed_over(world, "gatewayAPI")

    run(story)


def test_a_router_that_refuses_is_asked_less_and_less_and_not_by_all_at_once():
    """Each Release tried again after 5 s sharp, a thousand in step."""
    names, watched_s = [f"web-{number}" for number in range(8)], 300.0

    async def story(world: World) -> None:
        for name in names:
            body = release(name, *STEPS, traffic=ROUTERS["queue"])
            del body["spec"]["service"]
            world.create(RELEASES, body)
        operator = world.start()
        for name in names:
            await world.until_phase(name, "Healthy")
        for name in names:
            traffic = {**dict.fromkeys(ROUTERS), **ROUTERS["gatewayAPI"]}
            world.patch(name, {"spec": {"traffic": traffic, "service": {"ports": [{"port": 80}]}}})
        for name in names:
            await world.until_reason(name, "RouterRefused")
        await asyncio.sleep(60)
        loop, passes = asyncio.get_running_loop(), operator.reconciles
        passes.clear()
        begun = loop.time()
        await asyncio.sleep(watched_s)
        assert len(passes) <= len(names) * (watched_s / 15 + 1), "each 20 s, within a quarter"
        assert len(passes) >= len(names) * (watched_s / 25 - 1)
        at_once = Counter(int((moment - begun) * 2) for moment in passes)
        assert max(at_once.values()) <= len(names) // 2, "not in step"

    run(story)


def test_a_shrunken_stable_gets_its_pods_before_it_gets_the_canarys_work():
    async def story(world: World) -> None:
        steps: tuple[Object, ...] = ({"weight": 80}, {"approve": {}})
        world.create(RELEASES, release("web", *steps, traffic=ROUTERS["replicas"], replicas=10))
        world.start()
        await world.until_phase("web", "Healthy")
        stable = world.status("web")["stableRevision"]
        await under_way(world)
        assert world.picture()["deployments"][f"web-{stable}"] < 10
        selected: list[int] = []

        def look(change: Change) -> None:
            item = change.object
            if change.collection != SERVICES.path() or item["metadata"]["name"] != "web":
                return
            if item["spec"]["selector"].get("pointsman.dev/revision") == stable:
                selected.append(world.picture()["deployments"][f"web-{stable}"])

        world.api.listeners.append(look)
        switch(world, "gatewayAPI")
        await handed_over(world, "gatewayAPI")
        assert selected
        assert min(selected) == 10

    run(story)


def test_back_at_once_after_the_old_router_was_left_leaves_the_new_one_too():
    async def story(world: World) -> None:
        await serving(world, "replicas")
        executor = operator_of(world).reconciler.executor
        carry_out = executor.carry_out
        left: list[Action] = []

        async def then_back(seen: Seen, action: Action, now: float) -> None:
            await carry_out(seen, action, now)
            if isinstance(action, LeaveRouter) and not left:
                left.append(action)
                switch(world, "replicas")
                await asyncio.sleep(0.2)

        executor.carry_out = then_back  # type: ignore[method-assign, assignment]
        switch(world, "gatewayAPI")
        await world.until(lambda: left)
        await handed_over(world, "replicas")
        await world.until_phase("web", "Healthy")
        assert not route_is_there(world)

    run(story)


def test_a_router_that_is_not_installed_any_more_is_forgotten():
    async def story(world: World) -> None:
        await serving(world, "replicas")
        status = {"status": {"router": "traefik", "routerBeside": "istio"}}
        world.api.handle("PATCH", RELEASES.path(SHOP, "web") + "/status", {}, status)
        await under_way(world)
        assert world.status("web")["router"] == "replicas"
        world.ask("web", "approve")
        await world.until_phase("web", "Healthy", version=2)

    run(story)


def test_an_owner_that_is_refused_keeps_nobody_waiting_for_an_answer():
    async def story(world: World) -> None:
        await serving(world, "gatewayAPI")
        await under_way(world)

        async def refused(_: object) -> None:
            raise InvalidError(422, "Invalid", "only one owner can be the controller")

        operator_of(world).reconciler.executor.objects._set_owners = refused  # type: ignore[method-assign, assignment]
        world.patch("web", {"spec": {"deletionPolicy": "Orphan"}})
        world.ask("web", "abort")
        await world.until(lambda: "Accepted" in world.picture()["answers"].values(), 60)

    run(story)


def test_an_old_version_is_watched_after_a_manual_rollback_too():
    async def story(world: World) -> None:
        world.create(RELEASES, release("web", metrics=True, drain={"quiet": "10s", "max": "100s"}))
        world.start()
        await world.until_phase("web", "Healthy")
        first = world.status("web")["stableRevision"]
        world.commit("web", 2)
        await world.until_phase("web", "Healthy", version=2)
        second = world.status("web")["stableRevision"]
        spec = {"release": "web", "action": "rollback", "revision": second, "reason": "because"}
        world.create(RELEASE_ACTIONS, {"metadata": {"name": "back"}, "spec": spec})
        await world.until(lambda: world.status("web").get("stableRevision") == first)
        drains = operator_of(world).analysis.drains
        await world.until(lambda: bool(drains._watches), 5)

    run(story)
