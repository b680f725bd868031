"""A version that fails or is slow, if its settings say so: what a canary analysis has to catch."""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from workloads.common.faults import Fates
from workloads.invitations import problems
from workloads.invitations.observed import PROBES
from workloads.invitations.problems import Code, ProblemError


class Faulty:
    """ASGI middleware, inside of what counts requests."""

    def __init__(self, app: ASGIApp, *, fates: Fates) -> None:
        self._app = app
        self._fates = fates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in PROBES:
            fate = self._fates.next()
            if fate.delay:
                await asyncio.sleep(fate.delay)
            if fate.fails:
                told = "this version was told to fail by its ERROR_RATE or ERRORS_ABOVE"
                refusal = ProblemError(Code.INTERNAL_ERROR, told)
                await problems.answer(refusal, scope)(scope, receive, send)
                return
        await self._app(scope, receive, send)
