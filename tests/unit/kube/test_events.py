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
