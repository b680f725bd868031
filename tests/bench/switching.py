"""Blue/green under load: the strategy is edited at rest, a version switched and promoted, another one switched and
returned by a person while the old version is kept.

How long the other version still answers is counted from the decision, the `weightSince` that the status says before any
router is written, to its last answer, as callers got it. Callers of Service NAME, who use no router, are counted apart.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.api import times
from hack.load import Load
from tests.e2e.callers import Callers
from tests.e2e.patience import until
from tests.e2e.shop import APPROVE, Shop

_KEEP_OLD, _KEEP_UNTIL_ABORTED = "15s", "10m"
_LONGEST_S = 120.0
_QUIET_S = 3.0
_ENOUGH = 200
"""Answers of a version, after which it has the work."""


@dataclass
class Switched:
    """Seconds until the other version's last answer, of each switch and each return."""

    switches: list[float] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)
    service_switches: list[float] = field(default_factory=list)
    service_returns: list[float] = field(default_factory=list)
    at_service: int = 0
    failed_at_service: list[str] = field(default_factory=list)

    def add(self, other: "Switched") -> None:
        self.switches += other.switches
        self.returns += other.returns
        self.service_switches += other.service_switches
        self.service_returns += other.service_returns
        self.at_service += other.at_service
        self.failed_at_service += other.failed_at_service

    def figures(self) -> dict[str, float]:
        """At their worst."""
        return {
            "switches": len(self.switches),
            "switch_s": _worst(self.switches),
            "return_s": _worst(self.returns),
            "service_switch_s": _worst(self.service_switches),
            "service_return_s": _worst(self.service_returns),
            "requests_at_service_by_switch": self.at_service,
            "service_failed_by_switch": len(self.failed_at_service),
        }

    def note(self) -> str:
        return (
            f"switches {_listed(self.switches)} s, returns {_listed(self.returns)} s; of Service callers switches "
            f"{_listed(self.service_switches)} s, returns {_listed(self.service_returns)} s, "
            f"{self.at_service} requests, {len(self.failed_at_service)} failed {self.failed_at_service[:5]}"
        )


async def switched(shop: Shop, load: Load, number: int) -> Switched:
    """The Release is at rest with its canary strategy, and is so again afterwards."""
    before = (await shop.release())["spec"]["strategy"]
    await _strategy(shop, _blue_green(_KEEP_OLD))
    found = Switched()
    async with Callers(await shop.address_inside()).calling() as callers:
        seen = _Seen(shop, load, callers)
        # promoted by a switch
        first = (await shop.status())["stableRevision"]
        second, decided = await seen.switch(f"switched-{number}")
        await shop.until_phase("Healthy", seconds=_LONGEST_S)
        seen.note(found.switches, found.service_switches, first, decided)
        await _strategy(shop, _blue_green(_KEEP_UNTIL_ABORTED))  # however slow the machine is
        # switched, and returned while the old version is kept
        third, decided = await seen.switch(f"returned-{number}")
        await seen.until_quiet(second)
        seen.note(found.switches, found.service_switches, second, decided)
        await shop.ask("abort")
        decided = _decided(await shop.until_phase("RollingBack", "RolledBack", seconds=_LONGEST_S))
        await shop.until_phase("RolledBack", seconds=_LONGEST_S)
        await shop.until_gone(third)
        seen.note(found.returns, found.service_returns, third, decided)
    found.at_service = len(callers.answers) + len(callers.failures)
    found.failed_at_service = callers.failed(since=0.0)
    await _strategy(shop, before)
    return found


@dataclass(frozen=True)
class _Seen:
    shop: Shop
    load: Load
    callers: Callers

    async def switch(self, version: str) -> tuple[str, float]:
        """Returns the revision that has all of the work now, and the moment when that was decided."""
        await self.shop.commit(VERSION=version)
        revision = (await self.shop.until_phase("Paused", seconds=_LONGEST_S))["canaryRevision"]
        await self.shop.ask("approve")
        status = await self.shop.until(lambda status: status.get("reason") == "KeepingOld", _LONGEST_S)
        await self.shop.until_answered_by(self.load, revision, _ENOUGH)
        return revision, _decided(status)

    async def until_quiet(self, revision: str) -> None:
        """It has answered nobody for a while."""

        def is_quiet() -> bool:
            return time.time() - max(self._last(revision)) > _QUIET_S

        await until(is_quiet, f"{revision} answers nobody", _LONGEST_S)

    def note(self, switches: list[float], of_service: list[float], revision: str, decided: float) -> None:
        last, at_service = self._last(revision)
        switches.append(max(0.0, last - decided))
        of_service.append(max(0.0, at_service - decided))

    def _last(self, revision: str) -> tuple[float, float]:
        """When it answered last, through the router and at the Service; Unix seconds."""
        return self.load.snapshot().revisions[revision].last, self.callers.last[revision]


def _decided(status: Mapping[str, Any]) -> float:
    return times.from_text(status["weightSince"])


def _blue_green(keep_old: str) -> dict[str, Any]:
    return {"blueGreen": {"steps": [APPROVE], "keepOld": keep_old}}


async def _strategy(shop: Shop, strategy: dict[str, Any]) -> None:
    await shop.edit(lambda release: release["spec"].__setitem__("strategy", strategy))
    await shop.until(lambda _: True)


def _worst(seconds: Iterable[float]) -> float:
    return round(max(seconds, default=0.0), 2)


def _listed(seconds: Iterable[float]) -> str:
    return ", ".join(f"{one:.2f}" for one in seconds)
