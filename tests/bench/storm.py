"""Many Releases change at once: steps 20 %, a pause of a second, 50 %, no analysis; three rounds.

A control plane without nodes, replicas 0: what is measured is the operator and the API server, not pods.
"""

import asyncio
import statistics
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from controller.api.resources import RELEASES
from controller.kube.watch import Change, ChildWatch
from tests.bench.plane import Plane, at_once, now, plane, release_of, template_of
from tests.bench.report import Report, Target
from tests.bench.tasks import meanwhile
from tests.bench.world import say

SIZES, SMALL = (100, 400), (10,)
ROUNDS = (1, 2, 3)
NAMESPACE = "storm"
REST_S, SMALL_REST_S = 6.0, 2.0
"""What the round before left to be tidied up is done then."""
_PATIENCE_S = 300.0


async def run(*, small: bool = False) -> Report:
    figures: dict[str, float] = {}
    notes: list[str] = []
    sizes, rounds = (SMALL, ROUNDS[:1]) if small else (SIZES, ROUNDS)
    for size in sizes:
        async with plane(NAMESPACE) as world:
            async with _healthy(world, 0) as done:
                await at_once([world.kube.create(RELEASES, NAMESPACE, _release(number)) for number in range(size)])
                world.start_operator(NAMESPACE)
                await _until_all(world, done, size)
            for number in rounds:
                await asyncio.sleep(SMALL_REST_S if small else REST_S)
                figures |= await _round(world, size, number, notes)
    return Report("storm", figures, {} if small else _targets(figures), notes)


async def _round(world: Plane, size: int, number: int, notes: list[str]) -> dict[str, float]:
    requests, cpu, began = world.requests(), world.cpu_s(), now()
    async with _healthy(world, number) as done:
        await at_once([world.kube.patch(RELEASES, NAMESPACE, _name(one), _version(number)) for one in range(size)])
        await _until_all(world, done, size)
    seconds, cpu = now() - began, world.cpu_s() - cpu
    took = [moment - began for moment in done.values()]
    await asyncio.sleep(1.5)  # the audit log is written in batches
    asked = {name: count - requests.get(name, 0) for name, count in world.requests().items()}
    without_leases = sum(count for name, count in asked.items() if not name.endswith(" leases"))
    key = f"{size}_{number}"
    cost = f"{without_leases / size:.1f} requests and {cpu / size:.3f} CPU s each"
    say(f"{size} Releases, round {number}: {seconds:.1f} s, {cost}")
    if number == ROUNDS[-1]:
        most = sorted(asked.items(), key=lambda item: -item[1])[:8]
        notes.append(f"{size}: requests per Release by kind: {', '.join(f'{k} {v / size:.1f}' for k, v in most)}")
    return {
        f"seconds_{key}": round(seconds, 2),
        f"requests_per_release_{key}": round(without_leases / size, 2),
        f"cpu_s_per_release_{key}": round(cpu / size, 4),
        f"slowest_over_median_{key}": round(max(took) / statistics.median(took), 2),
    }


@asynccontextmanager
async def _healthy(world: Plane, version: int) -> AsyncIterator[dict[str, float]]:
    """When each Release was Healthy with this version, by name. Watched: a list, asked for again and again, would be
    a good part of the API server's work.
    """
    done: dict[str, float] = {}

    def seen(change: Change) -> None:
        if change.item is None or change.gone:
            return
        status, metadata = change.item.get("status", {}), change.metadata
        current = status.get("observedGeneration", -1) >= metadata["generation"]
        wanted = change.item["spec"]["template"]["spec"]["containers"][0]["image"] == f"web:{version}"
        if current and wanted and status.get("phase") == "Healthy":
            done.setdefault(metadata["name"], now())

    watch = ChildWatch(world.kube, RELEASES, "", seen, namespace=NAMESPACE)
    async with meanwhile(watch.run()):
        await watch.tried.wait()
        yield done


async def _until_all(world: Plane, done: Mapping[str, float], size: int) -> None:
    deadline = now() + _PATIENCE_S
    while len(done) < size:
        if now() > deadline:
            raise AssertionError(f"{len(done)} of {size} after {_PATIENCE_S:.0f} s\n{world.operator_log()[-3000:]}")
        await asyncio.sleep(0.05)


def _name(number: int) -> str:
    return f"web-{number}"


def _version(number: int) -> dict[str, object]:
    return {"spec": {"template": template_of(f"web:{number}")}}


def _release(number: int) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"weight": 20}, {"pause": {"for": "1s"}}, {"weight": 50}]
    return release_of(_name(number), "web:0", *steps, drain={"quiet": "0s", "max": "5s"})


def _targets(figures: dict[str, float]) -> dict[str, Target]:
    targets: dict[str, Target] = {}
    for number in ROUNDS:
        targets[f"seconds_100_{number}"] = ("<=", 10.0)
        targets[f"requests_per_release_100_{number}"] = ("<=", 20.0)
        targets[f"cpu_s_per_release_100_{number}"] = ("<=", 0.1)
        targets[f"slowest_over_median_100_{number}"] = ("<=", 3.0)
        targets[f"seconds_400_{number}"] = ("<=", round(4 * figures[f"seconds_100_{number}"], 2))
        targets[f"slowest_over_median_400_{number}"] = ("<=", 3.0)
    return targets
