"""What the versions of an application would count, written into InfluxDB once a second."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import aiohttp

from controller.api.resources import RELEASES
from controller.kube.client import KubeClient
from hack.node.influx import InfluxDB
from tests.bench.plane import now

_ONE_BAD_OF = 225
"""Units of either version, whatever their weights: no look may convict."""
EDGES = ("0.25", "0.5")
_READ_AGAIN_S = 10.0


async def count(
    kube: KubeClient, namespace: str, influx: InfluxDB, *, rate: int, again_s: float = _READ_AGAIN_S
) -> None:
    """For every Release of the namespace, `rate` units a second, split by weight; which weight that is, is read every
    `again_s`.
    """
    headers = {"Authorization": f"Token {influx.token}"}
    params = {"org": influx.org, "bucket": influx.bucket, "precision": "ms"}
    statuses: list[tuple[str, dict[str, Any]]] = []
    asked = 0.0
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=30)) as session:
        while True:
            began = now()
            if began - asked >= again_s or not statuses:
                releases = await kube.list(RELEASES, namespace)
                statuses = [(release["metadata"]["name"], release["status"]) for release in releases]
                asked = began
            body = "\n".join(_lines(statuses, rate))
            async with session.post(f"{influx.url}/api/v2/write", params=params, data=body) as answer:
                assert answer.status < 300, await answer.text()
            await asyncio.sleep(max(0.0, 1 - (now() - began)))


def _lines(statuses: list[tuple[str, dict[str, Any]]], rate: int) -> Iterator[str]:
    at = time.time_ns() // 10**6
    for name, status in statuses:
        weight = status.get("weight", 0)
        for role, share in (("stable", 100 - weight), ("canary", weight)):
            revision, units = status.get(f"{role}Revision"), round(rate * share / 100)
            if revision and units:
                tags = f"service={name},revision={revision}"
                second = at // 1000
                bad = units * (second + 1) // _ONE_BAD_OF - units * second // _ONE_BAD_OF
                yield f"http.server.requests,{tags},code=200 count={units - bad}i {at}"
                yield f"http.server.requests,{tags},code=500 count={bad}i {at}"
                edges = ",".join(f"le_{edge}={units - bad}i" for edge in EDGES)
                yield f"http.server.request.duration,{tags} count={units}i,{edges} {at}"
