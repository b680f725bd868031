"""Service account tokens as a real API server makes and judges them."""

import asyncio
from contextlib import suppress

import pytest

from controller.kube.callers import NOBODY, PER_PEER, Callers
from controller.kube.client import KubeClient, KubeError
from controller.kube.reviews import AT_ONCE, BusyError
from tests.integration.service_accounts import token_for


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Asked(KubeClient):
    """Counted, and away when it is to be."""

    times = now = most = 0
    away = False

    async def create(self, *arguments, **options):
        self.times += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if self.away:
                raise KubeError(503, "Unavailable", "the API server does not answer")
            return await super().create(*arguments, **options)
        finally:
            self.now -= 1


@pytest.fixture
async def asked(api_server):
    client = await Asked.connect(str(api_server))
    yield client
    await client.close()


async def test_a_token_for_the_operator_says_whose_it_is_and_no_other_does(kube, namespace):
    callers = Callers(kube)
    assert (await callers.caller(await token_for(kube, namespace, audience="pointsman"))).namespace == namespace
    assert (await callers.caller(await token_for(kube, namespace, audience="another"))).namespace == ""
    assert (await callers.caller("eyJhbGciOiJub25lIn0.e30.")).namespace == ""


async def test_the_api_server_is_asked_once_a_minute_and_its_outage_shuts_nobody_out(asked, kube, namespace):
    clock = Clock()
    callers = Callers(asked, now=clock)
    token = await token_for(kube, namespace, audience="pointsman")
    for _ in range(5):
        assert (await callers.caller(token)).namespace == namespace
    assert asked.times == 1
    clock.now, asked.away = 300.0, True
    assert (await callers.caller(token)).namespace == namespace
    with pytest.raises(KubeError):
        await callers.caller("never-seen")
    clock.now = 700.0
    with pytest.raises(KubeError):
        await callers.caller(token)


async def test_400_made_up_tokens_are_few_reviews_and_delay_neither_a_known_worker_nor_a_new_one(
    asked, kube, namespace
):
    callers = Callers(asked)
    known, new = [await token_for(kube, namespace, audience="pointsman") for _ in range(2)]
    assert (await callers.caller(known, "10.1.0.1")).namespace == namespace
    # as they come over the wire: each has the form of a token, and a signature that nobody made
    flood = [callers.caller(f"{known}{number}", f"10.0.0.{number % 4}") for number in range(400)]
    verdicts = asyncio.gather(*flood, return_exceptions=True)
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        assert (await callers.caller(known, "10.1.0.1")).namespace == namespace
        while True:  # as a worker does on a busy machine
            with suppress(BusyError):
                assert (await callers.caller(new, "10.1.0.2")).namespace == namespace
                break
    assert {verdict if verdict == NOBODY else type(verdict) for verdict in await verdicts} == {NOBODY, BusyError}
    assert asked.times == 2 + 4 * PER_PEER
    assert asked.most <= AT_ONCE
