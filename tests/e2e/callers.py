"""Callers inside the cluster, who use a Service's address and no router: the node is in the pods' network."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

_EACH_S = 0.05
_TIMEOUT = aiohttp.ClientTimeout(total=10)


async def is_answered(url: str) -> bool:
    """A Service that has pods is not yet one to which kube-proxy leads."""
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, session.get(url) as response:
            return response.ok
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


class Callers:
    """Twenty requests a second, each on a connection of its own: a Service chooses a pod per connection."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.answers: list[tuple[float, str]] = []
        """When each was sent, in Unix seconds, and which revision answered."""
        self.last: dict[str, float] = {}
        """When each revision answered last, in Unix seconds."""
        self.failures: list[tuple[float, str]] = []
        """When each was sent, and what became of it."""

    @asynccontextmanager
    async def calling(self) -> AsyncIterator["Callers"]:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True), timeout=_TIMEOUT) as session,
            asyncio.TaskGroup() as group,
        ):
            ticking = group.create_task(self._tick(session, group))
            yield self
            ticking.cancel()

    async def _tick(self, session: aiohttp.ClientSession, group: asyncio.TaskGroup) -> None:
        while True:
            group.create_task(self._call(session))
            await asyncio.sleep(_EACH_S)

    async def _call(self, session: aiohttp.ClientSession) -> None:
        sent = time.time()
        try:
            async with session.get(self._url) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            self.failures.append((sent, repr(problem)))
            return
        if response.ok:
            revision = response.headers.get("X-Revision", "")
            self.answers.append((sent, revision))
            self.last[revision] = time.time()
        else:
            self.failures.append((sent, f"status {response.status}"))

    def answered(self, *, since: float = 0.0) -> Counter[str]:
        """Answers to what was sent since then, by revision."""
        return Counter(revision for sent, revision in self.answers if sent >= since)

    def failed(self, *, since: float) -> list[str]:
        """What was sent since then and failed, and how many seconds after."""
        return [f"after {sent - since:.2f} s: {problem}" for sent, problem in self.failures if sent >= since]
