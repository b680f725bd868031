"""Events are sent in the background, one after the other, and none keeps back the next."""

import asyncio
from typing import Any, cast

from controller.kube.client import KubeClient, UnavailableError
from controller.kube.events import Events
from tests.bench.tasks import meanwhile

RELEASE = {
    "apiVersion": "pointsman.dev/v1alpha1",
    "kind": "Release",
    "metadata": {"namespace": "shop", "name": "web", "uid": "u"},
}


class Kube:
    def __init__(self) -> None:
        self.sent: list[str] = []
        self.fails: dict[str, Exception] = {}

    async def create(self, _: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        if (error := self.fails.get(event["reason"])) is not None:
            raise error
        self.sent.append(event["reason"])
        return event


async def test_one_that_cannot_be_sent_is_logged_and_those_after_it_are_sent(caplog):
    kube = Kube()
    kube.fails = {"Refused": UnavailableError(503, "", "not now"), "Odd": KeyError("uid")}
    events = Events(cast("KubeClient", kube))
    async with meanwhile(events.run()), asyncio.timeout(30):
        for reason in ("Refused", "Odd", "Weight"):
            events.emit(RELEASE, reason, "…", warning=False)
        while kube.sent != ["Weight"]:  # noqa: ASYNC110 - a list that the task fills
            await asyncio.sleep(0.005)
    assert [record.message for record in caplog.records] == [
        "event Refused of web was dropped: not now",
        "event Odd of web was dropped",
    ]


async def test_one_that_is_on_its_way_at_the_end_is_sent_once_and_those_after_it_too():
    class Slow(Kube):
        def __init__(self) -> None:
            super().__init__()
            self.asked = asyncio.Event()
            self.arrives = asyncio.Event()

        async def create(self, _: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
            self.asked.set()
            await self.arrives.wait()
            return await super().create(_, __, event)

    kube = Slow()
    events = Events(cast("KubeClient", kube))
    async with meanwhile(events.run()):
        events.emit(RELEASE, "Weight", "…", warning=False)
        events.emit(RELEASE, "Promoted", "…", warning=False)
        await kube.asked.wait()
    asyncio.get_running_loop().call_later(0.05, kube.arrives.set)
    await events.flush(30)
    assert kube.sent == ["Weight", "Promoted"]


async def test_the_end_waits_for_one_that_hangs_no_longer_than_it_was_given(caplog):
    class Hanging(Kube):
        async def create(self, _: Any, __: str, ___: dict[str, Any]) -> dict[str, Any]:
            await asyncio.Event().wait()
            raise AssertionError

    events = Events(cast("KubeClient", Hanging()))
    async with meanwhile(events.run()):
        events.emit(RELEASE, "Weight", "…", warning=False)
        await asyncio.sleep(0.05)
    async with asyncio.timeout(30):
        await events.flush(0.05)
    assert [record.message for record in caplog.records] == [
        "1 events were dropped at the end: no answer within 0.05 s"
    ]
