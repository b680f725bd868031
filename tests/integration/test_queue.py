"""A worker's Release on a real API server: its share of a queue by credits, taken back and promoted."""

import asyncio
from collections import Counter

import pytest

from controller.api.resources import SERVICES
from controller.kube.reporters import ROLE
from controller.queue_share.stores.dynamodb import DynamoLedgers
from tests.integration.crew import Crew
from tests.integration.operator_fixture import APPROVE, OperatorProcess, Shop, release, weight
from tests.integration.rights_fixture import bind, install
from tests.integration.service_accounts import token_for

pytest_plugins = ["tests.integration.aws_fixture"]

RATE = 60.0


def worker(*steps, ledger, **spec):
    body = release(*steps, replicas=3, traffic={"queue": {"ledger": ledger}}, **spec)
    del body["spec"]["service"]
    return body


@pytest.fixture
async def store(ledger_table):
    store = DynamoLedgers(ledger_table)
    yield store
    await store.close()


@pytest.fixture
def ledger(ledger_table):
    return {"dynamodb": {"table": ledger_table}}


@pytest.fixture
async def crew(kube, namespace, ledger_table):
    environment = {"SHARE_LEDGER": f"dynamodb://{ledger_table}"}
    async with Crew(kube, namespace, Shop.name, environment, RATE).running() as crew:
        yield crew


async def claimed(crew, more, seconds=60.0):
    """Until so many more were claimed: by whom."""
    begun = Counter(crew.claims)
    until = begun.total() + more
    async with asyncio.timeout(seconds):
        while crew.claims.total() < until:  # noqa: ASYNC110 - a count, and nobody who tells of it
            await asyncio.sleep(0.05)
    return crew.claims - begun


def in_force(share, wanted):
    """A window of five seconds tells no more: what a canary did not take before, it may take in it. That it is never
    more than its share of everything since the share was set is asked where that can be counted: tests/unit/core and
    hack/bench share.
    """
    return share >= 0.4 * wanted


async def begins(crew, canary, seconds=60.0):
    """Until the canary takes something."""
    before = crew.claims[canary]
    async with asyncio.timeout(seconds):
        while crew.claims[canary] <= before:  # noqa: ASYNC110 - a count, and nobody who tells of it
            await asyncio.sleep(0.05)


async def written(store, shop, met, seconds=30.0):
    """The ledger, once it is as it should be."""
    async with asyncio.timeout(seconds):
        while True:
            stored = await store.read(f"{shop.namespace}/{shop.name}")
            if stored is not None and met(stored.ledger):
                return stored.ledger
            await asyncio.sleep(0.1)


async def test_a_canary_has_its_share_of_a_queue_and_is_promoted(local_aws, shop, crew, store, ledger):
    await shop.given(worker(weight(10), APPROVE, weight(50), APPROVE, ledger=ledger))
    stable = (await shop.status())["stableRevision"]
    await claimed(crew, 50)
    assert set(crew.claims) == {stable}
    service = await shop.kube.get(SERVICES, shop.namespace, shop.name)
    assert service["spec"]["clusterIP"] == "None"
    committed = Counter(crew.claims)
    await shop.commit("2")
    status = await shop.until(lambda status: status.get("reason") == "AwaitingApproval")
    canary = status["canaryRevision"]
    await begins(crew, canary)
    begun = Counter(crew.claims)
    await claimed(crew, 600)
    assert in_force(crew.share(canary, begun), 0.1)
    assert crew.share(canary, committed) <= 0.101
    assert (await shop.command("approve", shop.name))[0] == 0
    status = await shop.until(lambda status: status.get("weight") == 50 and status["reason"] == "AwaitingApproval")
    await begins(crew, canary)
    begun = Counter(crew.claims)
    await claimed(crew, 300)
    assert in_force(crew.share(canary, begun), 0.5)
    assert (await shop.command("approve", shop.name))[0] == 0
    done = await shop.until_phase("Healthy")
    assert done["stableRevision"] == canary
    after = await written(store, shop, lambda ledger: ledger.stable == canary)
    assert (after.canary, after.share, after.draining) == ("", 0.0, (stable,))
    async with asyncio.timeout(20):
        while set(await claimed(crew, 100)) != {canary}:  # the old version ends with its pods
            pass


async def test_a_switched_version_is_on_trial_until_it_is_promoted_also_over_a_death_of_the_operator(
    local_aws, shop, store, ledger
):
    await shop.given(worker(ledger=ledger, strategy={"blueGreen": {"keepOld": "10s"}}))
    await shop.commit("2")
    switched = await shop.until(lambda status: status.get("reason") == "KeepingOld")
    new = switched["canaryRevision"]
    marked = await written(store, shop, lambda ledger: ledger.on_trial == new)
    assert (marked.stable, marked.draining, marked.share) == (new, (), 0.0)
    shop.operator.kill()
    assert (await written(store, shop, lambda _: True)).on_trial == new
    shop.operator.start()
    await shop.until(lambda status: status.get("stableRevision") == new)
    after = await written(store, shop, lambda ledger: not ledger.on_trial)
    assert (after.stable, after.trial_until) == (new, 0.0)


@pytest.mark.parametrize("hard", [(), ("--hard",)], ids=["lets jobs end", "hard"])
async def test_a_canary_that_is_aborted_takes_nothing_more_and_stable_everything(
    local_aws, shop, crew, store, ledger, hard
):
    await shop.given(worker(weight(50), APPROVE, ledger=ledger))
    await shop.commit("2")
    canary = (await shop.until(lambda status: status.get("reason") == "AwaitingApproval"))["canaryRevision"]
    await claimed(crew, 200)
    assert (await shop.command("abort", shop.name, "--reason", "a test", *hard))[0] == 0
    back = await written(store, shop, lambda ledger: ledger.share == 0)
    assert (back.min_epoch == back.epoch) is bool(hard), "what the canary works on is stopped"
    begun = Counter(crew.claims)
    seen = asyncio.get_running_loop().time()
    await claimed(crew, 200)
    assert crew.last_claim[canary] - seen <= 0.5
    assert (crew.claims - begun)[canary] <= 5
    assert back.stable == (await shop.status())["stableRevision"]


async def test_without_an_operator_the_canary_stops_and_stable_goes_on(local_aws, shop, crew, ledger):
    await shop.given(worker(weight(50), APPROVE, ledger=ledger))
    stable = (await shop.status())["stableRevision"]
    await shop.commit("2")
    canary = (await shop.until(lambda status: status.get("reason") == "AwaitingApproval"))["canaryRevision"]
    await claimed(crew, 200)
    shop.operator.kill()
    await asyncio.sleep(11)  # credits are good for ten seconds
    begun = Counter(crew.claims)
    await claimed(crew, 120)
    assert set(crew.claims - begun) == {stable}
    shop.operator.start()
    await begins(crew, canary)
    begun = Counter(crew.claims)
    await claimed(crew, 300)
    assert in_force(crew.share(canary, begun), 0.5)


async def test_workers_may_report_to_the_operator_instead(api_server, kube, namespace, node, tmp_path, unused_tcp_port):
    operator = OperatorProcess(api_server, namespace, tmp_path / "operator.log", ledger_port=unused_tcp_port)
    shop = Shop(kube, namespace, node, operator, api_server)
    token = tmp_path / "token"
    token.write_text(await token_for(kube, namespace, audience="pointsman"))
    await install(kube, "roles-people.yaml")
    await bind(kube, {f"system:serviceaccount:{namespace}:worker": [ROLE]}, namespace=namespace)
    environment = {"SHARE_LEDGER": f"http://127.0.0.1:{unused_tcp_port}", "SHARE_LEDGER_TOKEN_FILE": str(token)}
    with operator.running():
        async with Crew(kube, namespace, Shop.name, environment, RATE).running() as crew:
            await shop.given(worker(weight(20), APPROVE, ledger={"http": {}}))
            await shop.commit("2")
            status = await shop.until(lambda status: status.get("reason") == "AwaitingApproval")
            canary = status["canaryRevision"]
            await begins(crew, canary)
            begun = Counter(crew.claims)
            await claimed(crew, 300)
            assert in_force(crew.share(canary, begun), 0.2)
            operator.kill()
            operator.start()
            # what the operator knew is gone; it is told again, and no credit is given twice
            await asyncio.sleep(1)
            await begins(crew, canary)
            begun = Counter(crew.claims)
            await claimed(crew, 300)
            assert in_force(crew.share(canary, begun), 0.2)
            assert (await shop.command("approve", shop.name))[0] == 0
            assert (await shop.until_phase("Healthy"))["stableRevision"] == canary
