"""A gate outside decides, against a real API server; the operator dies at the worst moments, and gates hang."""

import asyncio
import ipaddress
import itertools
import time

import pytest

from controller.api.resources import SERVICES
from controller.outward.addresses import Addresses, api_server_of
from tests.gate import HANG, LOOPBACK_NETWORK, NO, WAIT, YES, Gate, answer, gate
from tests.integration.in_process import Stall
from tests.integration.operator_fixture import release, weight


async def _no_api_server():
    return frozenset()


LOOPBACK = Addresses(_no_api_server, listed=(LOOPBACK_NETWORK,))


@pytest.fixture
def opens(api_server, kube, node, tmp_path):
    """Opens a stall whose operator may call loopback; once more for the next life over the same Release."""
    lives = itertools.count()

    def open_(*, name: str = "web", seed: int | None = None, addresses: Addresses | None = LOOPBACK):
        log = tmp_path / f"{name}-{next(lives)}.log"
        return Stall.open(kube, node, api_server, log, name=name, seed=seed, addresses=addresses)

    return open_


@pytest.fixture
async def stall(opens):
    async with opens() as stall:
        yield stall


def webhook(it: Gate, **fields: str):
    return {"webhook": {"url": it.url, "every": "1s", **fields}}


def promoted(before):
    """Another version than before is stable."""
    return lambda status: status["phase"] == "Healthy" and status["stableRevision"] != before["stableRevision"]


def keys(it: Gate) -> set[str]:
    return {request.headers["idempotency-key"] for request in it.requests}


async def until(condition, seconds=30.0):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what a server was asked
            await asyncio.sleep(0.02)


async def test_yes_goes_on(stall):
    async with gate(answer(status=503), WAIT, YES) as it:
        await stall.given(release(weight(10), webhook(it)))
        before = await stall.status()
        await stall.commit("2")
        done = await stall.until(promoted(before))
        assert "owed" not in done
        assert len(it.requests) == 3
        assert len(keys(it)) == 1
        assert it.requests[0].body == {
            "release": "web",
            "namespace": stall.namespace,
            "stableRevision": before["stableRevision"],
            "canaryRevision": done["stableRevision"],
            "attempt": 1,
            "step": 1,
            "weight": 10,
        }


async def test_no_rolls_back(stall):
    async with gate(NO) as it:
        await stall.given(release(weight(10), webhook(it)))
        await stall.commit("2")
        back = await stall.until_phase("RolledBack")
        assert back["reason"] == "WebhookRefused"
        assert back["message"].endswith("says no: 3 tests failed")
        assert await stall.shares() == {back["stableRevision"]: 10000}
        assert "owed" not in back


async def test_a_gate_that_hangs_delays_no_abort(stall):
    async with gate(HANG) as it:
        await stall.given(release(weight(10), webhook(it, timeout="60s")))
        await stall.commit("2")
        waiting = await stall.until(lambda status: status["reason"] == "AwaitingWebhook")
        await until(lambda: it.requests)
        began = time.monotonic()
        await stall.ask("abort", waiting["canaryRevision"])
        async with asyncio.timeout(10):
            while await stall.shares() != {waiting["stableRevision"]: 10000}:  # noqa: ASYNC110 - the API server's view
                await asyncio.sleep(0.02)
        took = time.monotonic() - began
        back = await stall.until_phase("RolledBack")
        assert "owed" not in back
        assert took <= 1.5, "0.4 s of it is this operator's polling, in the place of watches"


async def test_who_leads_next_asks_again_under_the_same_key(opens):
    """The operator dies after its call and before the status knows of an answer."""
    async with gate(HANG, YES) as it:
        async with opens() as stall:
            await stall.given(release(weight(10), webhook(it, timeout="60s")))
            before = await stall.status()
            await stall.commit("2")
            await until(lambda: it.requests)
        async with opens() as stall:
            await stall.until(promoted(before))
        assert len(it.requests) == 2
        assert len(keys(it)) == 1


async def test_killed_between_any_two_writes_it_ends_the_same(opens):
    kills = 0
    for seed in range(3):
        async with gate(WAIT, YES) as it, opens(name=f"web{seed}", seed=seed) as stall:
            await stall.given(release(weight(10), webhook(it), drain={"quiet": "0s"}))
            before = await stall.status()
            await stall.commit("2")
            done = await stall.until(promoted(before))
            assert "owed" not in done
            assert len(keys(it)) == 1
            assert await stall.shares() == {done["stableRevision"]: 10000}
            kills += stall.operator.kills
    assert kills >= 6


async def test_an_address_that_may_not_be_called_is_said(opens):
    """With the rules of production, by which no tenant may name loopback."""
    async with gate(YES) as it, opens(addresses=None) as stall:
        await stall.given(release(weight(10), webhook(it)))
        await stall.commit("2")
        waiting = await stall.until(lambda status: "loopback" in status["message"])
        assert (waiting["phase"], waiting["reason"]) == ("Waiting", "AwaitingWebhook")
        assert "a loopback address, which Pointsman does not call; use another url" in waiting["message"]
        assert not it.requests


async def test_the_api_servers_addresses_are_known(kube):
    addresses = await api_server_of(kube)()
    service = await kube.get(SERVICES, "default", "kubernetes")
    assert {ipaddress.ip_address(text) for text in service["spec"]["clusterIPs"]} <= set(addresses)
    assert ipaddress.ip_address("127.0.0.1") in addresses
