"""`traefik` with a real Traefik on a real API server."""

import asyncio
import contextlib
from collections import Counter

import httpx
import pytest

from controller.api.resources import ENDPOINT_SLICES, HTTP_ROUTES, TRAEFIK_SERVICES
from controller.ports import RouterError, Weights
from controller.rollout.preview import Preview, Reach
from controller.rollout.traffic import ROUTER_FOLLOWS_S
from tests.integration.traefik_fixture import CANARY, DEADLINE_S, HOST, STABLE, mall, plain_mall

__all__ = ["mall", "plain_mall"]

ALL_STABLE = {STABLE: 100.0}


async def test_requests_are_split_by_the_weights(mall):
    await mall.ensure("traefik", ALL_STABLE)
    await mall.until_served(STABLE)
    await mall.ensure("traefik", {STABLE: 95.0, CANARY: 5.0})
    async with asyncio.timeout(DEADLINE_S):
        while CANARY not in await mall.split(40):
            pass
    counted = await mall.split(400)
    assert 19 <= counted[CANARY] <= 21
    assert counted.total() == counted[STABLE] + counted[CANARY]
    await mall.ensure("traefik", {CANARY: 100.0})
    await mall.until_served(CANARY)


async def test_a_hand_over_there_and_back_loses_no_request(mall):
    await mall.ensure("gatewayAPI", ALL_STABLE)
    await mall.until_served(STABLE)
    async with mall.callers() as codes:
        for before, after in (("gatewayAPI", "traefik"), ("traefik", "gatewayAPI")):
            await mall.ensure(after, ALL_STABLE)
            await asyncio.sleep(ROUTER_FOLLOWS_S)  # as `rollout.hand_over` waits
            await mall.leave(before)
            assert (await mall.kube.find(TRAEFIK_SERVICES, mall.namespace, "web") is None) == (before == "traefik")
            await mall.split(200)
        await asyncio.sleep(ROUTER_FOLLOWS_S)
    assert codes.total() > 200
    assert set(codes) == {200}, codes


async def test_a_traefik_that_reads_no_traefik_services_keeps_the_route_that_serves(plain_mall):
    mall = plain_mall
    await mall.ensure("gatewayAPI", ALL_STABLE)
    await mall.until_served(STABLE)
    async with mall.callers() as codes, asyncio.timeout(DEADLINE_S):
        while True:
            router = mall.router("traefik")
            seen = await router.observe()
            if seen is not None and "cannot send where the route leads" in seen.signs.refused:
                break
            await router.ensure(Weights(ALL_STABLE, stable=STABLE))
            await asyncio.sleep(0.2)
        await router.ensure(Weights(ALL_STABLE, stable=STABLE))
        await mall.split(200)
    assert set(codes) == {200}, codes
    assert seen.shares == {}, "it has not taken over"


async def test_a_canary_without_endpoints_fails_its_own_share_alone(mall):
    await mall.ensure("traefik", {STABLE: 90.0, CANARY: 10.0})
    async with asyncio.timeout(DEADLINE_S):
        while CANARY not in await mall.split(40):
            pass
    await mall.kube.delete(ENDPOINT_SLICES, mall.namespace, f"web-{CANARY}")
    async with asyncio.timeout(DEADLINE_S):
        while not (codes := [(await mall.ask()).status_code for _ in range(100)]).count(503):
            pass
    codes = [(await mall.ask()).status_code for _ in range(100)]
    assert 85 <= codes.count(200) <= 95


async def test_a_share_of_the_requests_is_copied_and_its_answers_are_dropped(mall):
    await mall.ensure("traefik", ALL_STABLE)
    await mall.until_served(STABLE)
    await mall.show("traefik", Preview(CANARY, Reach(mirror=10.0)))
    copied, served = (mall.versions[one].requests for one in (CANARY, STABLE))
    async with asyncio.timeout(DEADLINE_S):
        while not copied[""]:
            await mall.ask()
    answers = await mall.split(400, **{"x-from": "counted"})
    assert answers == {STABLE: 400}, "whoever asks gets stable's answer alone"
    assert served["counted"] == 400
    async with asyncio.timeout(DEADLINE_S):
        while copied["counted"] < 36:
            await mall.ask()
    assert 36 <= copied["counted"] <= 44  # it counts anew after each change of its configuration
    await mall.ensure("traefik", {STABLE: 50.0, CANARY: 50.0})
    async with asyncio.timeout(DEADLINE_S):
        while CANARY not in await mall.split(10):
            pass
    before = copied.total() + served.total()
    await mall.split(100)
    assert copied.total() + served.total() == before + 100, "no copies besides the weights"


async def test_a_mirror_to_a_version_without_endpoints_hurts_nobody(mall):
    await mall.ensure("traefik", ALL_STABLE)
    await mall.until_served(STABLE)
    await mall.show("traefik", Preview(CANARY, Reach(mirror=100.0)))
    async with asyncio.timeout(DEADLINE_S):
        while not mall.versions[CANARY].requests.total():
            await mall.ask()
    async with mall.callers() as codes:
        await mall.kube.delete(ENDPOINT_SLICES, mall.namespace, f"web-{CANARY}")
        await asyncio.sleep(4)
        await mall.show("traefik", None)
        await asyncio.sleep(4)
    assert set(codes) == {200}, codes


async def test_each_client_keeps_its_version_while_the_weight_rises_and_gets_another_when_it_is_gone(mall):
    async def versions(clients):
        found = {}
        for name, client in clients.items():
            answer = await client.get(mall.http.base_url, headers={"host": HOST})
            assert answer.status_code == 200
            found[name] = answer.text
        return found

    await mall.ensure("traefik", {STABLE: 90.0, CANARY: 10.0}, cookie="version")
    async with asyncio.timeout(DEADLINE_S):
        while CANARY not in await mall.split(20):
            pass
    async with contextlib.AsyncExitStack() as stack:
        clients = {}
        for number in range(60):
            clients[number] = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        first = await versions(clients)
        assert 4 <= Counter(first.values())[CANARY] <= 8
        cookie = clients[0].cookies["version"]
        clients[-1] = await stack.enter_async_context(
            httpx.AsyncClient(trust_env=False, headers={"cookie": "version=0123456789abcdef"})
        )
        assert (await versions(clients))[-1] in (STABLE, CANARY)
        del clients[-1]
        for weight in (25.0, 50.0):
            await mall.ensure("traefik", {STABLE: 100 - weight, CANARY: weight}, cookie="version")
            async with asyncio.timeout(DEADLINE_S):
                while (await mall.split(40))[CANARY] < 40 * weight / 100 - 1:
                    pass
            assert await versions(clients) == first
        assert clients[0].cookies["version"] == cookie
        await mall.ensure("traefik", ALL_STABLE, cookie="version")
        await mall.until_served(STABLE)
        async with asyncio.timeout(DEADLINE_S):
            while set((await versions(clients)).values()) != {STABLE}:
                pass


async def test_what_somebody_edits_is_put_back(mall):
    await mall.ensure("traefik", ALL_STABLE)
    found = await mall.kube.get(TRAEFIK_SERVICES, mall.namespace, "web")
    found["spec"]["weighted"]["services"][0]["weight"] = 1
    found["spec"]["weighted"]["sticky"] = {"cookie": {"name": "by-hand"}}
    await mall.kube.replace(TRAEFIK_SERVICES, found)
    assert (await mall.router("traefik").observe()).shares == {}, "edited by hand is seen"
    await mall.ensure("traefik", ALL_STABLE)
    spec = (await mall.kube.get(TRAEFIK_SERVICES, mall.namespace, "web"))["spec"]
    assert spec["weighted"].keys() == {"services"}
    route = await mall.kube.get(HTTP_ROUTES, mall.namespace, "web")
    assert [one["kind"] for one in route["spec"]["rules"][0]["backendRefs"]] == ["TraefikService"]


async def test_traefiks_gateway_cannot_copy_requests_and_says_so(mall):
    """It refuses the whole route for a RequestMirror, so nobody would be answered."""
    copies = Reach(mirror=100.0)
    await mall.ensure("gatewayAPI", ALL_STABLE)
    async with asyncio.timeout(DEADLINE_S):
        while not (lack := await mall.router("gatewayAPI").lacks(copies)).is_certain:  # noqa: ASYNC110 - asks
            await asyncio.sleep(0.2)
    assert lack.message.startswith(f"GatewayClass {mall.namespace} does not support HTTPRouteRequestMirror")
    with pytest.raises(RouterError, match="does not support HTTPRouteRequestMirror"):
        await mall.show("gatewayAPI", Preview(CANARY, copies))
    await mall.until_served(STABLE)
