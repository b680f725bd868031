"""As many requests at once as can be answered in time, and the rest refused at once.

Without a bound, each second of too much work makes every later answer later, until the callers have given up, the
kubelet's probes as well: then all pods of an overloaded service are killed one after the other.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from workloads.invitations import problems
from workloads.invitations.observed import PROBES


class Bounded:
    """ASGI middleware, inside of what counts requests. Probes that come this way always pass."""

    def __init__(self, app: ASGIApp, *, at_once: int, probes: frozenset[str] = PROBES) -> None:
        self._app = app
        self._at_once = at_once
        self._probes = probes
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._probes:
            await self._app(scope, receive, send)
            return
        if self._under_way >= self._at_once:
            refusal = problems.unavailable(f"{self._at_once} requests are under way; this one was not begun")
            await problems.answer(refusal, scope)(scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1
