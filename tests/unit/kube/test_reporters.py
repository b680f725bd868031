"""How often the API server is asked who may report, and what its outage does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from controller.kube.callers import Caller
from controller.kube.client import KubeClient, KubeError, UnavailableError
from controller.kube.objects import Key
from controller.kube.reporters import Reporters
from controller.kube.reviews import AT_ONCE, MOST
from tests.unit.runtime.fault_world import loop_at

RELEASE = Key("shop", "thumbnails")


def worker(number: int = 0) -> Caller:
    name = f"system:serviceaccount:shop:worker-{number}"
    return Caller("shop", name, f"uid-{number}", ("system:serviceaccounts:shop",))


class ApiServer:
    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.allows = True
        self.away = False
        self.now = self.most = 0

    async def create(self, _resource: object, _namespace: None, review: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(review["spec"])
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(5.0 if self.away else 0.003)
        self.now -= 1
        if self.away:
            raise UnavailableError(503, "Unavailable", "no answer")
        return {"status": {"allowed": self.allows}}


Story = Callable[[ApiServer, Reporters], Awaitable[None]]


def run(story: Story) -> None:
    async def tell() -> None:
        server = ApiServer()
        await story(server, Reporters(cast("KubeClient", server), now=asyncio.get_running_loop().time))

    with asyncio.Runner(loop_factory=loop_at(0.0)) as runner:
        runner.run(tell())


def test_all_pods_of_a_service_account_are_one_review_a_minute() -> None:
    async def story(server: ApiServer, reporters: Reporters) -> None:
        assert all(await asyncio.gather(*(reporters.may_report(worker(), RELEASE) for _ in range(2_000))))
        assert server.asked == [
            {
                "resourceAttributes": {
                    "namespace": "shop",
                    "name": "thumbnails",
                    "group": "pointsman.dev",
                    "resource": "releases",
                    "subresource": "ledger",
                    "verb": "update",
                },
                "user": "system:serviceaccount:shop:worker-0",
                "uid": "uid-0",
                "groups": ["system:serviceaccounts:shop"],
            }
        ]
        await asyncio.sleep(61)
        assert await reporters.may_report(worker(), RELEASE)
        assert len(server.asked) == 2

    run(story)


def test_a_right_that_is_given_counts_within_ten_seconds_and_one_that_is_taken_within_a_minute() -> None:
    async def story(server: ApiServer, reporters: Reporters) -> None:
        server.allows = False
        assert not await reporters.may_report(worker(), RELEASE)
        server.allows = True
        assert not await reporters.may_report(worker(), RELEASE)
        await asyncio.sleep(10.1)
        assert await reporters.may_report(worker(), RELEASE)
        server.allows = False
        await asyncio.sleep(60.1)
        assert not await reporters.may_report(worker(), RELEASE)

    run(story)


def test_one_right_is_none_for_another_release_or_account() -> None:
    async def story(server: ApiServer, reporters: Reporters) -> None:
        assert await reporters.may_report(worker(), RELEASE)
        server.allows = False
        assert not await reporters.may_report(worker(), Key("shop", "other"))
        assert not await reporters.may_report(worker(1), RELEASE)

    run(story)


def test_who_may_report_goes_on_for_ten_minutes_and_hardly_waits_while_the_api_server_is_away() -> None:
    async def story(server: ApiServer, reporters: Reporters) -> None:
        loop = asyncio.get_running_loop()
        assert await reporters.may_report(worker(), RELEASE)
        server.away = True
        await asyncio.sleep(300)
        before = loop.time()
        assert await reporters.may_report(worker(), RELEASE)
        assert loop.time() - before == pytest.approx(0.25, abs=0.01)
        before = loop.time()
        with pytest.raises(KubeError):
            await reporters.may_report(worker(1), RELEASE)
        assert loop.time() - before == pytest.approx(1.0, abs=0.01)
        await asyncio.sleep(400)
        with pytest.raises(KubeError):
            await reporters.may_report(worker(), RELEASE)

    run(story)


def test_400_accounts_at_once_are_a_few_reviews_at_once() -> None:
    async def story(server: ApiServer, reporters: Reporters) -> None:
        assert all(await asyncio.gather(*(reporters.may_report(worker(number), RELEASE) for number in range(400))))
        assert server.most == AT_ONCE

    run(story)


def test_accounts_that_may_not_report_displace_none_that_may() -> None:
    async def story(server: ApiServer, reporters: Reporters) -> None:
        assert await reporters.may_report(worker(), RELEASE)
        server.allows = False
        for number in range(1, MOST + 2, 500):
            some = range(number, min(number + 500, MOST + 2))
            assert not any(await asyncio.gather(*(reporters.may_report(worker(one), RELEASE) for one in some)))
        asked = len(server.asked)
        server.allows = True
        assert await reporters.may_report(worker(), RELEASE)
        assert len(server.asked) == asked, "the right is remembered"

    run(story)
