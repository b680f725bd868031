"""Releases under analysis that one process carries: looks of 5 s, three metrics each, a local InfluxDB.

An API server without controllers; pods are played by writing what the Deployment and EndpointSlice controllers would.
The application's counts are written once a second for both versions of every Release. How late a look is, is what the
operator's own metric says: from the moment at which the look's counts were complete until the look was made.
"""

import asyncio
import re
import tempfile
from pathlib import Path
from typing import Any

import aiohttp

from controller.api.resources import RELEASES
from controller.kube.client import KubeClient
from hack.node import build
from hack.node.influx import InfluxDB
from tests.bench.plane import Plane, at_once, now, plane, release_of, template_of
from tests.bench.pods import Pods
from tests.bench.report import Report, Target
from tests.bench.tasks import meanwhile
from tests.bench.traffic import EDGES, count
from tests.bench.world import say
from tests.e2e.patience import until
from tests.integration.metric_source import offer

SIZES = (50, 100, 200, 300, 400)
"""One after the other, until looks are too late."""
NAMESPACE = "looks"
LAG_S = 1.0
MEASURED_S, SMALL_MEASURED_S = 60.0, 10.0
_FRESH_S = 60.0
"""The first half minute of a weight asks more often. It is left out, and as long again, in which a hundred Releases
that came out together catch up; but of the small size.
"""
SMALL = (5,)
_INTERVAL_S = 5
_RATE = 50
_PATIENCE_S = 300.0
_QUESTIONS = 3
"""Metrics of a look."""
_QUERY = re.compile(r'http_api_requests_total\{.*path="(/api/v2)?/query"')
_BUCKET = re.compile(r'pointsman_look_lag_seconds_bucket\{le="([^"]+)"\}')
TARGETS: dict[str, Target] = {"releases": (">=", 300), "lag_p99_s": ("<=", LAG_S)}


async def run(*, small: bool = False) -> Report:
    figures: dict[str, float] = {"releases": 0}
    notes: list[str] = []
    measured_s = SMALL_MEASURED_S if small else MEASURED_S
    build.ensure("influxd")
    with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as directory, InfluxDB(Path(directory)) as influx:
        async with plane(NAMESPACE, controllers=False) as world:
            await offer(world.kube, NAMESPACE, influx, ("http-errors-app", "http-latency"), patience="5s")
            world.start_operator(NAMESPACE)
            async with meanwhile(Pods(world.kube, NAMESPACE).run(), count(world.kube, NAMESPACE, influx, rate=_RATE)):
                made = 0
                for size in SMALL if small else SIZES:
                    await _grow(world.kube, made, size)
                    made = size
                    found = await _measure(world, influx, size, measured_s)
                    note = f"{size} Releases: {found}"
                    say(note)
                    notes.append(note)
                    figures |= {f"{name}_{size}": value for name, value in found.items()}
                    if found["lag_p99_s"] > LAG_S or found["looks"] < 0.9 * size * measured_s / _INTERVAL_S:
                        break
                    figures |= {"releases": size, "lag_p99_s": found["lag_p99_s"]}
            world.stop_operator()
    figures.setdefault("lag_p99_s", found["lag_p99_s"])
    return Report("looks", figures, {} if small else TARGETS, notes)


async def _measure(world: Plane, influx: InfluxDB, size: int, measured_s: float) -> dict[str, float]:
    await asyncio.sleep(_FRESH_S if measured_s >= _FRESH_S else _INTERVAL_S)
    before, cpu, asked, began = await world.metrics(), world.cpu_s(), await _queries(influx), now()
    await asyncio.sleep(measured_s)
    after, seconds = await world.metrics(), now() - began
    lags = _lags(before, after)
    return {
        "lag_p99_s": _quantile(lags, 0.99),
        "looks": lags[-1][1],
        "cpu_percent": round(100 * (world.cpu_s() - cpu) / seconds, 1),
        "rss_mib": round(world.rss_mib(), 1),
        "influxdb_queries_per_s": round((await _queries(influx) - asked) / seconds, 1),
        "questions_per_s": round(_QUESTIONS * lags[-1][1] / seconds, 1),
        "under_analysis": size,
    }


async def _queries(influx: InfluxDB) -> float:
    """That it has been asked so far, as it says."""
    async with aiohttp.ClientSession() as session, session.get(f"{influx.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if _QUERY.match(line))


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


def _release(name: str) -> dict[str, Any]:
    metrics: list[dict[str, Any]] = [{"name": "errors", "template": "http-errors-app"}]
    metrics += [
        {"name": f"slow-{number}", "template": "http-latency", "parameters": {"threshold": float(edge)}}
        for number, edge in enumerate(EDGES)
    ]
    analysis = {"interval": f"{_INTERVAL_S}s", "metrics": metrics}
    step = {"weight": 10, "analyze": {"atLeast": "2h", "atMost": "3h"}}
    return release_of(name, "web:0", step, replicas=1, analysis=analysis)
