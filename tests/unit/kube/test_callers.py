"""Tokens that nobody has issued cost the API server little, and those who have good ones nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from controller.kube import callers
from controller.kube.callers import Caller, Callers
from controller.kube.client import KubeClient, UnavailableError
from controller.kube.reviews import AT_ONCE, BusyError
from tests.unit.runtime.fault_world import loop_at

LATENCY_S = 0.003
GOOD = "good.shop"


class ApiServer:
    """It issued `GOOD` and whatever else ends as a token of a namespace does."""

    def __init__(self) -> None:
        self.reviews: list[str] = []
        self.now = self.most = 0
        self.latency_s = LATENCY_S
        self.retry_after: float | None = None
        """Not None: it does not answer."""

    async def create(self, _resource: object, _namespace: None, review: dict[str, Any]) -> dict[str, Any]:
        token = review["spec"]["token"]
        self.reviews.append(token)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.latency_s)
        finally:
            self.now -= 1
        if self.retry_after is not None:
            raise UnavailableError(503, "Unavailable", "no answer", retry_after=self.retry_after)
        good, _, namespace = token.partition(".")
        user = {"username": f"system:serviceaccount:{namespace}:worker"}
        return {"status": {"authenticated": True, "audiences": ["pointsman"], "user": user} if good == "good" else {}}


Story = Callable[[ApiServer, Callers], Awaitable[None]]


def run(story: Story) -> None:
    """Minutes in milliseconds."""

    async def tell() -> None:
        server = ApiServer()
        clock = asyncio.get_running_loop().time
        await story(server, Callers(cast("KubeClient", server), now=clock))

    with asyncio.Runner(loop_factory=loop_at(0.0)) as runner:
        runner.run(tell())


async def verdict(asked: Awaitable[Caller]) -> str:
    try:
        return (await asked).namespace
    except BusyError:
        return "busy"


@pytest.mark.parametrize(("peers", "at_once"), [(1, callers.PER_PEER), (400, AT_ONCE)])
def test_400_made_up_tokens_are_a_few_reviews_at_once(peers: int, at_once: int) -> None:
    async def story(server: ApiServer, callers_: Callers) -> None:
        asked = [verdict(callers_.caller(f"bad-{number}", f"10.0.0.{number % peers}")) for number in range(400)]
        verdicts = await asyncio.gather(*asked)
        assert set(verdicts) == {"", "busy"}
        assert server.most == at_once
        assert len(server.reviews) == verdicts.count("") <= AT_ONCE + callers.IN_LINE

    run(story)


def test_10_000_made_up_tokens_neither_load_the_api_server_nor_delay_a_good_worker() -> None:
    async def story(server: ApiServer, callers_: Callers) -> None:
        loop = asyncio.get_running_loop()
        assert (await callers_.caller(GOOD, "10.1.0.1")).namespace == "shop"
        delays = list[float]()

        async def made_up(number: int) -> None:
            await asyncio.sleep(number * 0.005)
            await verdict(callers_.caller(f"bad-{number}", f"10.0.0.{number % 500}"))

        async def flood() -> None:
            await asyncio.gather(*map(made_up, range(10_000)))
            assert len(server.reviews) <= callers.PER_S * loop.time() + 2 * AT_ONCE

        async def report() -> None:
            for _ in range(300):
                began = loop.time()
                assert (await callers_.caller(GOOD, "10.1.0.1")).namespace == "shop"
                delays.append(loop.time() - began)
                await asyncio.sleep(0.5)

        await asyncio.gather(flood(), report())
        assert server.most <= 2 * AT_ONCE
        assert server.reviews.count(GOOD) == 3, "once a minute"
        assert max(delays) < 0.1
        assert not callers_._reviews
        assert not callers_._peers

    run(story)


def test_the_flood_of_one_pod_does_not_keep_a_new_worker_out() -> None:
    async def story(server: ApiServer, callers_: Callers) -> None:
        flood = asyncio.gather(*(verdict(callers_.caller(f"bad-{number}", "10.0.0.1")) for number in range(10_000)))
        await asyncio.sleep(0)
        async with asyncio.timeout(0.2):
            assert (await callers_.caller(GOOD, "10.1.0.1")).namespace == "shop"
        await flood
        assert len(server.reviews) == callers.PER_PEER + 1

    run(story)


def test_requests_with_one_token_at_once_are_one_review() -> None:
    async def story(server: ApiServer, callers_: Callers) -> None:
        for token, namespace in ((GOOD, "shop"), ("bad", "")):
            asked = (callers_.caller(token, f"10.0.0.{number}") for number in range(100))
            assert {caller.namespace for caller in await asyncio.gather(*asked)} == {namespace}
        assert server.reviews == [GOOD, "bad"]

    run(story)


def test_a_refusal_is_kept_for_some_seconds() -> None:
    async def story(server: ApiServer, callers_: Callers) -> None:
        for _ in range(20):
            assert (await callers_.caller("bad", "10.0.0.1")).namespace == ""
            await asyncio.sleep(1)
        assert len(server.reviews) == 2

    run(story)


def test_made_up_tokens_displace_no_good_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "MOST", 100)

    async def story(server: ApiServer, callers_: Callers) -> None:
        assert (await callers_.caller(GOOD, "10.1.0.1")).namespace == "shop"
        for number in range(300):
            assert (await callers_.caller(f"bad-{number}", f"10.0.0.{number}")).namespace == ""
        server.retry_after = 0.0
        await asyncio.sleep(300)
        assert (await callers_.caller(GOOD, "10.1.0.1")).namespace == "shop"
        assert len(callers_._refused) == 100, "memory is bounded"

    run(story)


def test_a_worker_whose_token_is_due_does_not_wait_for_an_api_server_that_hangs() -> None:
    async def story(server: ApiServer, callers_: Callers) -> None:
        assert (await callers_.caller(GOOD, "10.1.0.1")).namespace == "shop"
        server.latency_s = 10.0
        await asyncio.sleep(61)
        async with asyncio.timeout(0.5):
            assert (await callers_.caller(GOOD, "10.1.0.1")).namespace == "shop"
        await asyncio.sleep(10)
        assert (await callers_.caller(GOOD, "10.1.0.1")).namespace == "shop"
        assert server.reviews == [GOOD, GOOD], "its answer counts although nobody waited for it"

    run(story)


def test_an_api_server_that_wants_to_be_left_alone_is() -> None:
    async def story(server: ApiServer, callers_: Callers) -> None:
        server.retry_after = 5.0
        with pytest.raises(UnavailableError, match="no answer"):
            await callers_.caller("new-0", "10.0.0.1")
        for number in range(1, 5):
            await asyncio.sleep(1)
            with pytest.raises(BusyError):
                await callers_.caller(f"new-{number}", "10.0.0.1")
        assert len(server.reviews) == 1
        server.retry_after = None
        await asyncio.sleep(1)
        assert (await callers_.caller(GOOD, "10.0.0.1")).namespace == "shop"

    run(story)


@pytest.mark.parametrize("token", ["", "two words", "\udcff", "a\x00b", "x\n"])
def test_what_cannot_be_a_token_is_refused_without_a_review(token: str) -> None:
    async def story(server: ApiServer, callers_: Callers) -> None:
        assert (await callers_.caller(token, "10.0.0.1")).namespace == ""
        assert not server.reviews

    run(story)
