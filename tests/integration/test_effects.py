"""A gate outside decides, against a real API server; the operator dies at the worst moments, and gates hang."""

import asyncio
import base64
import ipaddress
import itertools

import pytest

from controller.api.resources import SECRETS, SERVICES
from controller.outward.addresses import Addresses, api_server_of
from tests.gate import HANG, LOOPBACK_NETWORK, NO, WAIT, YES, Gate, answer, gate
from tests.integration.in_process import Stall
from tests.integration.operator_fixture import APPROVE, release, weight
from tests.verifying import verifier


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


def webhook(it: Gate, **fields: object):
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


async def test_a_signed_call_waits_for_its_key_and_follows_its_rotation(stall):
    old, new = ("whsec_" + base64.b64encode(bytes([one]) * 32).decode() for one in (1, 2))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "gate", "namespace": stall.namespace}}

    def signed(key):
        last = it.requests[-1]
        return verifier()(last.headers, last.content, key)

    async with gate(WAIT) as it:
        await stall.given(release(weight(10), webhook(it, signingSecretRef={"name": "gate", "key": "signing"})))
        before = await stall.status()
        await stall.commit("2")
        waiting = await stall.until(lambda status: status["phase"] == "Waiting")
        assert waiting["reason"] == "AwaitingWebhook"
        assert f"Secret {stall.namespace}/gate has no key 'signing'; create it" in waiting["message"]
        assert not it.requests
        await stall.kube.create(SECRETS, stall.namespace, {**secret, "stringData": {"signing": old}})
        await until(lambda: it.requests)
        assert signed(old)
        await stall.kube.replace(SECRETS, {**secret, "stringData": {"signing": new}})
        await until(lambda: signed(new))
        assert not signed(old)
        it.replies[:] = [answer(status=503), YES]
        await stall.until(promoted(before))
        assert {request.headers["webhook-id"] for request in it.requests} == keys(it)
        assert len(keys(it)) == 1


async def test_a_gate_that_is_down_is_waited_for_and_its_word_counts_once(stall):
    """It takes its word back afterwards, twice."""
    async with gate(WAIT) as it:
        port = it.port
    step = {"webhook": {"url": f"http://127.0.0.1:{port}/check", "every": "1s"}}
    await stall.given(release(weight(10), step, APPROVE))
    await stall.commit("2")
    waiting = await stall.until(lambda status: status["phase"] == "Waiting")
    assert "127.0.0.1 cannot be reached" in waiting["message"]
    assert "lastRollback" not in waiting
    async with gate(YES, NO, YES, NO, port=port) as it:
        await stall.until(lambda status: status["reason"] == "AwaitingApproval", seconds=90)
        await stall.operator.looks(5)
        assert len(it.requests) == 1
        assert (await stall.status())["reason"] == "AwaitingApproval"


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
        await stall.ask("abort", waiting["canaryRevision"])
        async with asyncio.timeout(20):  # the gate hangs for three times as long
            while await stall.shares() != {waiting["stableRevision"]: 10000}:  # noqa: ASYNC110 - the API server's view
                await asyncio.sleep(0.02)
        back = await stall.until_phase("RolledBack")
        assert "owed" not in back


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
    async def life(seed):
        async with gate(WAIT, YES) as it, opens(name=f"web{seed}", seed=seed) as stall:
            await stall.given(release(weight(10), webhook(it), drain={"quiet": "0s"}))
            before = await stall.status()
            await stall.commit("2")
            done = await stall.until(promoted(before))
            assert "owed" not in done
            assert len(keys(it)) == 1
            assert await stall.shares() == {done["stableRevision"]: 10000}
            return stall.operator.kills

    async with asyncio.TaskGroup() as group:  # they wait more than they work
        lives = [group.create_task(life(seed)) for seed in range(3)]
    assert sum(one.result() for one in lives) >= 6


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
