"""Releases under analysis that one process carries: looks of 5 s, three metrics each, a local InfluxDB.

An API server without controllers; pods are played by writing what the Deployment and EndpointSlice controllers would.
The application's counts are written once a second for both versions of every Release. How late a look is, is what the
operator's own metric says: from the moment at which the look's counts were complete until the look was made.
"""

import asyncio
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from controller.api.names import RELEASE_LABEL, REVISION_LABEL
from controller.api.resources import (
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    RELEASES,
)
from controller.kube.client import KubeClient
from hack.node import build
from hack.node.influx import InfluxDB
from tests.bench.plane import Plane, at_once, now, plane, release_of, template_of
from tests.bench.report import Report, Target
from tests.bench.tasks import meanwhile
from tests.bench.world import say
from tests.e2e.patience import until
from tests.integration.metric_source import offer

SIZES = (50, 100, 200, 300, 400)
"""One after the other, until looks are too late."""
NAMESPACE = "looks"
LAG_S = 1.0
MEASURED_S = 60.0
_INTERVAL_S = 5
_RATE = 50
_ONE_BAD_OF = 225
"""Units of either version: no look may convict."""
_PATIENCE_S = 300.0
_BUCKET = re.compile(r'pointsman_look_lag_seconds_bucket\{le="([^"]+)"\}')
_EDGES = ("0.25", "0.5")
TARGETS: dict[str, Target] = {"releases": (">=", 300), "lag_p99_s": ("<=", LAG_S)}


async def run() -> Report:
    figures: dict[str, float] = {"releases": 0}
    notes: list[str] = []
    build.ensure("influxd")
    with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as directory, InfluxDB(Path(directory)) as influx:
        async with plane(NAMESPACE, controllers=False) as world:
            await offer(world.kube, NAMESPACE, influx, ("http-errors-app", "http-latency"), patience="5s")
            world.start_operator(NAMESPACE)
            async with meanwhile(_pods(world.kube), _traffic(world.kube, influx)):
                made = 0
                for size in SIZES:
                    await _grow(world.kube, made, size)
                    made = size
                    found = await _measure(world, size)
                    note = f"{size} Releases: {found}"
                    say(note)
                    notes.append(note)
                    figures |= {f"{name}_{size}": value for name, value in found.items()}
                    if found["lag_p99_s"] > LAG_S or found["looks"] < 0.9 * size * MEASURED_S / _INTERVAL_S:
                        break
                    figures |= {"releases": size, "lag_p99_s": found["lag_p99_s"]}
            world.stop_operator()
    figures.setdefault("lag_p99_s", found["lag_p99_s"])
    return Report("looks", figures, TARGETS, notes)


async def _measure(world: Plane, size: int) -> dict[str, float]:
    await asyncio.sleep(35)  # the first half minute of a weight asks more often
    before, cpu, began = await world.metrics(), world.cpu_s(), now()
    await asyncio.sleep(MEASURED_S)
    after, seconds = await world.metrics(), now() - began
    lags = _lags(before, after)
    return {
        "lag_p99_s": _quantile(lags, 0.99),
        "looks": lags[-1][1],
        "cpu_percent": round(100 * (world.cpu_s() - cpu) / seconds, 1),
        "rss_mib": round(world.rss_mib(), 1),
        "influxdb_queries_per_s": round(3 * lags[-1][1] / seconds, 1),
        "under_analysis": size,
    }


def _lags(before: dict[str, float], after: dict[str, float]) -> list[tuple[float, float]]:
    """Upper edge and number of looks up to it, in between."""
    found = [
        (float(match[1]), count - before.get(name, 0.0))
        for name, count in after.items()
        if (match := _BUCKET.fullmatch(name))
    ]
    return sorted(found)


def _quantile(lags: list[tuple[float, float]], share: float) -> float:
    """The upper edge of the bucket in which it lies."""
    wanted = share * lags[-1][1]
    return next((edge for edge, count in lags if count >= wanted), float("inf"))


# -- the world -----------------------------------------------------------------------------------------------------


async def _grow(kube: KubeClient, made: int, size: int) -> None:
    """All of them under analysis at 10 %."""
    names = [f"web-{number}" for number in range(made, size)]
    await at_once([kube.create(RELEASES, NAMESPACE, _release(name)) for name in names])
    await _until_all(kube, size, lambda status: status.get("stableRevision"))
    template = template_of("web:1")
    await at_once([kube.patch(RELEASES, NAMESPACE, name, {"spec": {"template": template}}) for name in names])
    await _until_all(kube, size, lambda status: status.get("weight") == 10)


async def _until_all(kube: KubeClient, size: int, met: Any) -> None:
    async def all_have() -> bool:
        found = await kube.list(RELEASES, NAMESPACE)
        return sum(bool(met(release["status"])) for release in found) >= size

    await until(all_have, f"{size} Releases are where they should be", _PATIENCE_S)


async def _pods(kube: KubeClient) -> None:
    """What is asked of a Deployment is there at once."""
    done: dict[str, int] = {}
    while True:
        for deployment in await kube.list(DEPLOYMENTS, NAMESPACE):
            name, wanted = deployment["metadata"]["name"], deployment["spec"]["replicas"]
            if done.get(name) == wanted:
                continue
            pods = {"replicas": wanted, "readyReplicas": wanted, "availableReplicas": wanted}
            status = {"observedGeneration": deployment["metadata"]["generation"], **pods}
            await kube.patch(DEPLOYMENTS, NAMESPACE, name, {"status": status}, "status")
            await _endpoints(kube, deployment, wanted, known=name in done)
            done[name] = wanted
        await asyncio.sleep(1)


async def _endpoints(kube: KubeClient, deployment: dict[str, Any], wanted: int, *, known: bool) -> None:
    labels, name = deployment["metadata"]["labels"], deployment["metadata"]["name"]
    kept = {label: labels[label] for label in (RELEASE_LABEL, REVISION_LABEL)}
    body = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {**kept, "kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [f"10.1.{number // 250}.{number % 250 + 1}"], "conditions": {"ready": True}}
            for number in range(wanted)
        ],
    }
    if known:
        await kube.patch(ENDPOINT_SLICES, NAMESPACE, name, body)
    else:
        await kube.create(ENDPOINT_SLICES, NAMESPACE, body)


async def _traffic(kube: KubeClient, influx: InfluxDB) -> None:
    """Once a second, what each version of each Release counted in it."""
    headers = {"Authorization": f"Token {influx.token}"}
    params = {"org": influx.org, "bucket": influx.bucket, "precision": "ms"}
    statuses: list[tuple[str, dict[str, Any]]] = []
    asked = 0.0
    async with aiohttp.ClientSession(headers=headers) as session:
        while True:
            began = now()
            if began - asked > 10 or not statuses:
                releases = await kube.list(RELEASES, NAMESPACE)
                statuses = [(release["metadata"]["name"], release["status"]) for release in releases]
                asked = began
            body = "\n".join(_lines(statuses))
            async with session.post(f"{influx.url}/api/v2/write", params=params, data=body) as answer:
                assert answer.status < 300, await answer.text()
            await asyncio.sleep(max(0.0, 1 - (now() - began)))


def _lines(statuses: list[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    at = time.time_ns() // 10**6
    for name, status in statuses:
        weight = status.get("weight", 0)
        for role, share in (("stable", 100 - weight), ("canary", weight)):
            revision, units = status.get(f"{role}Revision"), round(_RATE * share / 100)
            if revision and units:
                tags = f"service={name},revision={revision}"
                bad = int(at // 1000 % max(1, round(_ONE_BAD_OF / units)) == 0)
                yield f"http.server.requests,{tags},code=200 count={units - bad}i {at}"
                yield f"http.server.requests,{tags},code=500 count={bad}i {at}"
                edges = ",".join(f"le_{edge}={units - bad}i" for edge in _EDGES)
                yield f"http.server.request.duration,{tags} count={units}i,{edges} {at}"


def _release(name: str) -> dict[str, Any]:
    metrics: list[dict[str, Any]] = [{"name": "errors", "template": "http-errors-app"}]
    metrics += [
        {"name": f"slow-{number}", "template": "http-latency", "parameters": {"threshold": float(edge)}}
        for number, edge in enumerate(_EDGES)
    ]
    analysis = {"interval": f"{_INTERVAL_S}s", "metrics": metrics}
    step = {"weight": 10, "analyze": {"atLeast": "2h", "atMost": "3h"}}
    return release_of(name, "web:0", step, replicas=1, analysis=analysis)
