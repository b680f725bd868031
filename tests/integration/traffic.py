"""Requests as Traefik reports them: played, pushed once a second to a real InfluxDB.

The split is that of the route as it stands, so what the operator writes is what is counted.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator

import httpx

from controller.api.resources import HTTP_ROUTES
from controller.kube.client import KubeClient
from hack.node.influx import InfluxDB
from tests.beside import beside

PUSH_S = 0.25


class Traffic:
    """`rate` requests per second; `bad[version]` of them fail. Exact, without noise: remainders are carried over."""

    def __init__(self, kube: KubeClient, namespace: str, name: str, influx: InfluxDB, rate: float = 200.0) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._influx = influx
        self.rate = rate
        self.bad: dict[str, float] = defaultdict(float)
        """Share of a revision's requests that fail."""
        self.uncounted: set[str] = set()
        """Revisions whose requests nobody counts, as with a wrong tag."""
        self.beats = True
        """A series that never rests is pushed."""
        self.silent = False
        """Nothing is pushed, though there is work."""
        self.lost: dict[str, float] = defaultdict(float)
        """Share of a revision's requests that reach nobody, and are counted nowhere."""
        self.stuck: dict[str, float] = {}
        """Requests per second that a revision gets past the route, from clients that hold their connections."""
        self.slower: dict[str, dict[float, float]] = {}
        """By revision and edge in seconds, the share of requests that take longer; a histogram is pushed for these."""
        self._left: dict[tuple[str, str], float] = defaultdict(float)
        self._turn = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Traffic"]:
        async with beside(self._run()):
            yield self

    async def _run(self) -> None:
        headers = {"Authorization": f"Token {self._influx.token}"}
        params = {"org": self._influx.org, "bucket": self._influx.bucket}
        async with httpx.AsyncClient(headers=headers, trust_env=False) as client:
            while True:
                route = await self._kube.find(HTTP_ROUTES, self._namespace, self._name)
                lines = self._lines(route["spec"]["rules"][0]["backendRefs"]) if route else []
                if self.beats:
                    lines.append(f"alive count=1 {time.time_ns()}")
                with contextlib.suppress(httpx.TransportError):  # a stopped InfluxDB loses what a router pushes
                    await client.post(f"{self._influx.url}/api/v2/write", params=params, content="\n".join(lines))
                await asyncio.sleep(PUSH_S)

    def _lines(self, backends: list[dict]) -> list[str]:
        now, lines = time.time_ns(), []
        if self.silent:
            return []
        parts = sum(backend["weight"] for backend in backends)
        for backend in backends:
            revision = backend["name"].removeprefix(f"{self._name}-")
            if revision in self.uncounted:
                continue
            units = self.rate * PUSH_S * backend["weight"] / parts * (1 - self.lost[revision])
            for code, share in (("200", 1 - self.bad[revision]), ("500", self.bad[revision])):
                whole = self._whole(revision, code, units * share)
                service = f"{self._namespace}-{self._name}-{revision}-http-80@kubernetesgateway"
                if whole:
                    tags = f"traefik.service.requests.total,code={code},service={service}"
                    lines.append(f"{tags} count={whole} {now}")
            count = self._whole(revision, "count", units)
            if revision in self.slower and count:
                slower = {
                    edge: self._whole(revision, f"{edge:g}", units * part)
                    for edge, part in self.slower[revision].items()
                }
                fields = ",".join(f"le_{edge:g}={max(0, count - units)}i" for edge, units in slower.items())
                self._turn += 1
                pod = f"web-{'bz'[self._turn // 4 % 2]}"  # each in turn, one in either half
                tags = f"http.server.request.duration,service={self._name},revision={revision},pod={pod}"
                lines.append(f"{tags} count={count}i,{fields} {now}")
        for revision, rate in self.stuck.items():
            if whole := self._whole(revision, "stuck", rate * PUSH_S):
                service = f"{self._namespace}-{self._name}-{revision}-http-80@kubernetesgateway"
                lines.append(f"traefik.service.requests.total,code=200,service={service} count={whole} {now}")
        return lines

    def _whole(self, revision: str, code: str, units: float) -> int:
        self._left[revision, code] += units
        whole = int(self._left[revision, code])
        self._left[revision, code] -= whole
        return whole
