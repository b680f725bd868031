"""As many requests begun as can be answered in time; the others wait their turn, and too many are refused at once.

Without a bound, each second of too much work makes every later answer later, until the callers have given up, the
kubelet's probes as well: then all pods of an overloaded service are killed one after the other. A bound alone is not
enough: 256 that are begun together share ten connections and one core, each waits for each, and most give up with half
of their work done. (One process on a busy machine, 90 requests a second, about twice what it could do: 84 of 1,800 were
served; with 40 begun at most, 823 were.)
"""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from workloads.invitations import problems
from workloads.invitations.observed import PROBES


class Bounded:
    """ASGI middleware, inside of what counts requests. Probes that come this way always pass."""

    def __init__(
        self, app: ASGIApp, *, at_once: int, begun: int, wait_s: float, probes: frozenset[str] = PROBES
    ) -> None:
        """`at_once`: begun and waiting; `wait_s`: for one that was begun to end."""
        self._app = app
        self._at_once = at_once
        self._places = asyncio.Semaphore(begun)
        self._wait_s = wait_s
        self._probes = probes
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._probes:
            await self._app(scope, receive, send)
            return
        if self._under_way >= self._at_once:
            await _refuse(f"{self._at_once} requests are being processed", scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._in_turn(scope, receive, send)
        finally:
            self._under_way -= 1

    async def _in_turn(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._wait_s):
                await self._places.acquire()
        except TimeoutError:
            await _refuse(f"the request waited for {self._wait_s:g} s", scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._places.release()


async def _refuse(why: str, scope: Scope, receive: Receive, send: Send) -> None:
    refusal = problems.unavailable(f"{why}. It was not processed: try again")
    await problems.answer(refusal, scope)(scope, receive, send)
