"""Edits of ports, host names and the router under load, at rest and in mid-release: what callers lose by them.

Counted are requests through the gateway for a host name from its first answer until the edit that takes it away, or
until the status names another router than `gatewayAPI`: after that the gateway has no route to answer by. Beside them,
and from beginning to end, those of callers of Service NAME, who use no router.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from hack.load import Load
from hack.load.tally import Snapshot
from tests.e2e.callers import Callers
from tests.e2e.patience import until
from tests.e2e.shop import Shop

_RATE = 100.0
"""Requests a second for each host name."""
_FRESH = 0.2
_LONGEST_S = 180.0
_GOES_ON_S = 2.0
"""Calls go on for so long after an edit is done: a router follows within 1.6 s."""


@dataclass
class Edited:
    """What callers saw."""

    counted: list[tuple[str, Snapshot]] = field(default_factory=list)
    """By host name, each stretch in which its route was in force."""
    at_service: int = 0
    failed_at_service: list[str] = field(default_factory=list)
    edits: int = 0

    @property
    def sent(self) -> int:
        return sum(one.sent for _, one in self.counted)

    @property
    def failed(self) -> int:
        return sum(one.failed for _, one in self.counted)

    @property
    def invited(self) -> int:
        return sum(one.codes.get("201", 0) for _, one in self.counted)

    def notes(self) -> list[str]:
        lines = [
            f"edits: {one.sent} requests for {host}, {one.failed} failed; codes {one.codes}, without an answer "
            f"{one.transport}, said {one.reasons}"
            for host, one in self.counted
        ]
        failed = f"{len(self.failed_at_service)} failed {self.failed_at_service[:5]}"
        return [*lines, f"edits: {self.at_service} requests at the Service, {failed}"]


async def edited(shop: Shop) -> Edited:
    """The Release is Healthy with one host name, and is so again afterwards."""
    story = _Story(shop)
    async with Callers(await shop.address_inside()).calling() as callers:
        try:
            await story.at_rest()
            await story.in_mid_release()
        finally:
            await story.stop()
    story.found.at_service = len(callers.answers) + len(callers.failures)
    story.found.failed_at_service = callers.failed(since=0.0)
    return story.found


class _Story:
    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.found = Edited()
        self._loads: dict[str, Load] = {}
        self._first, self._second = shop.host, f"second.{shop.host}"
        self._versions = 0

    async def at_rest(self) -> None:
        await self._call(self._first)
        await self._edit(_hostnames(self._first, self._second))
        await self._call(self._second)
        await self._edit(_ports(8085))
        await self._promote()
        async with self._replicas(self._first, self._second):
            pass

    async def in_mid_release(self) -> None:
        await self._offer()
        await self._stop(self._first)
        await self._edit(_hostnames(self._second))
        await asyncio.sleep(_GOES_ON_S)
        await self._edit(_ports(8086))  # another version, which takes the canary's place
        await self._promote()
        await self._offer()
        async with self._replicas(self._second):
            pass
        await self._edit(_hostnames(self._second, self._first))
        await self._call(self._first)
        await self._stop(self._second)
        await self._edit(_hostnames(self._first))
        await self._promote()

    async def stop(self) -> None:
        for host in list(self._loads):
            await self._stop(host)

    @asynccontextmanager
    async def _replicas(self, *hosts: str) -> AsyncIterator[None]:
        """`spec.traffic` is `replicas` meanwhile, and its own again afterwards; then these hosts are called again."""
        before = (await self.shop.release())["spec"]["traffic"]
        await self._edit(_traffic({"replicas": {}}))
        await self.shop.until(lambda status: status.get("router") == "replicas", _LONGEST_S)
        await asyncio.gather(*map(self._stop, hosts))
        await self._until_handed_over("replicas")
        yield
        await asyncio.sleep(_GOES_ON_S)
        await self._edit(_traffic(before))
        await self._until_handed_over("gatewayAPI")
        for host in hosts:
            await self._call(host)
        await asyncio.sleep(_GOES_ON_S)

    async def _until_handed_over(self, router: str) -> None:
        def is_over(status: dict[str, Any]) -> bool:
            return status.get("router") == router and "routerBeside" not in status

        await self.shop.until(is_over, _LONGEST_S)

    async def _offer(self) -> None:
        """A version that has half of the work and waits for a person."""
        self._versions += 1
        await self.shop.commit(VERSION=f"edited-{self._versions}")
        await self.shop.until_phase("Paused", seconds=_LONGEST_S)

    async def _promote(self) -> None:
        await self.shop.until_phase("Paused", seconds=_LONGEST_S)
        await self.shop.ask("approve")
        await self.shop.until_phase("Healthy", seconds=_LONGEST_S)
        await asyncio.sleep(_GOES_ON_S)

    async def _edit(self, change: Callable[[dict[str, Any]], Any]) -> None:
        self.found.edits += 1
        await self.shop.edit(lambda release: change(release["spec"]))

    async def _call(self, host: str) -> None:
        await until(lambda: self.shop.is_routed(host), f"the gateway answers for {host}")
        self._loads[host] = self.shop.load(_RATE, _FRESH, host=host)
        await self._loads[host].start()

    async def _stop(self, host: str) -> None:
        if host in self._loads:
            self.found.counted.append((host, await self._loads.pop(host).stop()))


def _hostnames(*names: str) -> Callable[[dict[str, Any]], None]:
    def change(spec: dict[str, Any]) -> None:
        spec["traffic"]["gatewayAPI"]["hostnames"] = list(names)

    return change


def _traffic(traffic: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    def change(spec: dict[str, Any]) -> None:
        spec["traffic"] = traffic

    return change


def _ports(port: int) -> Callable[[dict[str, Any]], None]:
    """The container listens elsewhere, and the Service leads there."""

    def change(spec: dict[str, Any]) -> None:
        (container,) = spec["template"]["spec"]["containers"]
        container["env"] = [one for one in container["env"] if one["name"] != "PORT"]
        container["env"].append({"name": "PORT", "value": str(port)})
        others = [one for one in container["ports"] if one["name"] != "http"]
        container["ports"] = [{"name": "http", "containerPort": port}, *others]
        spec["service"]["ports"] = [{"name": "http", "port": 80, "targetPort": port}]

    return change
