"""Two hundred blue/green switches in a row in one operator: what they leave behind, and its memory.

An API server without nodes; pods are played by writing what the Deployment and EndpointSlice controllers would, and the
application's counts are written once a second. Some Releases take their switches one after the other, each with a
preview, a copy of its configuration and looks at a limit; every third switch is returned by `abort`.
"""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from controller.api.names import RELEASE_LABEL
from controller.api.resources import (
    ANALYSIS_RUNS,
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    HTTP_ROUTES,
    RELEASE_ACTIONS,
    RELEASES,
    SERVICES,
    Resource,
)
from controller.kube.watch import Change, ChildWatch
from hack.node import build
from hack.node.influx import InfluxDB
from tests.bench.plane import Plane, plane, release_of
from tests.bench.pods import Pods
from tests.bench.report import Report, Target
from tests.bench.tasks import meanwhile
from tests.bench.traffic import count
from tests.bench.world import say
from tests.e2e.patience import until
from tests.integration.metric_source import offer

NAMESPACE = "switches"
SIZE, SMALL = (8, 25), (2, 3)
"""Releases, and switches of each."""
SEEN_AT = (50, 100, 200)
_RETURNED = 3
"""One switch of so many."""
_HISTORY, _RUNS = 5, 5
_RATE = 20
_PATIENCE_S = 180.0
_LOOK_S = 0.05
MOST: dict[Resource, int] = {
    DEPLOYMENTS: 1,
    SERVICES: 2,  # NAME, and that of its version
    HTTP_ROUTES: 2,  # with the preview's
    CONTROLLER_REVISIONS: _HISTORY + 3,  # and those that spec and status name: stable, the one before, the rejected
    CONFIG_MAPS: _HISTORY + 3,
    ANALYSIS_RUNS: _RUNS,
}
"""At rest, of one Release."""
TARGETS: dict[str, Target] = {"left_over": ("<=", 0), "rss_growth_mib": ("<=", 10)}


async def run(*, small: bool = False) -> Report:
    releases, each = SMALL if small else SIZE
    build.ensure("influxd")
    with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as directory, InfluxDB(Path(directory)) as influx:
        async with plane(NAMESPACE, controllers=False) as world:
            await offer(world.kube, NAMESPACE, influx, ("http-errors-app",), patience="5s")
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"A": "1"}}
            await world.kube.create(CONFIG_MAPS, NAMESPACE, body)
            world.start_operator(NAMESPACE)
            seen = _Seen(world)
            counting = count(world.kube, NAMESPACE, influx, rate=_RATE, again_s=1.0)
            async with meanwhile(seen.run(), Pods(world.kube, NAMESPACE).run(), counting):
                names = [f"web-{number}" for number in range(releases)]
                say(f"{releases} Releases, each with {each} switches in a row")
                async with asyncio.TaskGroup() as group:
                    for name in names:
                        group.create_task(_switches(seen, name, each))
                figures = seen.figures | await _left_over(world, names)
            world.stop_operator()
    figures["rss_growth_mib"] = round(figures["rss_mib_last"] - figures.get("rss_mib_100", figures["rss_mib_first"]), 1)
    targets = {name: target for name, target in TARGETS.items() if not small or name == "left_over"}
    return Report("switches", figures, targets, seen.notes)


class _Seen:
    """The Releases as their watch shows them, and what was counted."""

    def __init__(self, world: Plane) -> None:
        self.world = world
        self.figures: dict[str, float] = {"switches": 0, "returns": 0}
        self.notes: list[str] = []
        self._items: dict[str, dict[str, Any]] = {}

    async def run(self) -> None:
        await ChildWatch(self.world.kube, RELEASES, "", self._note, namespace=NAMESPACE).run()

    def _note(self, change: Change) -> None:
        if change.item is not None and not change.gone:
            self._items[change.metadata["name"]] = change.item

    async def until(self, name: str, image: str, met: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The status of a Release whose spec asks for this image, once it is about it and meets the condition."""
        status: dict[str, Any] = {}

        def is_met() -> bool:
            item = self._items.get(name, {"spec": {}, "metadata": {}})
            containers = item["spec"].get("template", {}).get("spec", {}).get("containers", [{}])
            status.update(item.get("status", {}))
            current = status.get("observedGeneration", -1) >= item["metadata"].get("generation", 0)
            return containers[0].get("image") == image and current and bool(met(item.get("status", {})))

        try:
            await until(is_met, f"{name} is where it should be with {image}", _PATIENCE_S)
        except AssertionError as error:
            raise AssertionError(f"{error}: {status}\n{self.world.operator_log()[-3000:]}") from None
        return dict(self._items[name]["status"])

    def switched(self) -> None:
        self.figures["switches"] += 1
        self.figures.setdefault("rss_mib_first", round(self.world.rss_mib(), 1))
        self.figures["rss_mib_last"] = round(self.world.rss_mib(), 1)
        done = round(self.figures["switches"])
        if done in SEEN_AT:
            self.figures[f"rss_mib_{done}"] = self.figures["rss_mib_last"]
            self.notes.append(f"after {done} switches: {self.figures['rss_mib_last']} MiB")
            say(self.notes[-1])


async def _switches(seen: _Seen, name: str, each: int) -> None:
    kube = seen.world.kube
    await kube.create(RELEASES, NAMESPACE, _release(name))
    await seen.until(name, "web:0", lambda status: status.get("phase") == "Healthy")
    for number in range(1, each + 1):
        image = f"web:{number}"
        await kube.patch(RELEASES, NAMESPACE, name, {"spec": {"template": _template(image)}})
        status = await seen.until(name, image, lambda status: status.get("reason") == "KeepingOld")
        seen.switched()
        if number % _RETURNED:
            await seen.until(name, image, lambda status: status.get("phase") == "Healthy")
            continue
        await kube.create(RELEASE_ACTIONS, NAMESPACE, _abort(name, status["canaryRevision"]))
        await seen.until(name, image, lambda status: status.get("phase") == "RolledBack")
        seen.figures["returns"] += 1
    # at rest: the spec asks for what serves
    last = f"web:{each if each % _RETURNED else each - 1}"
    await kube.patch(RELEASES, NAMESPACE, name, {"spec": {"template": _template(last)}})
    await seen.until(name, last, lambda status: status.get("phase") == "Healthy")


async def _left_over(world: Plane, names: list[str]) -> dict[str, float]:
    """Beyond what a Release may have at rest; what goes last may take some seconds."""
    found: dict[str, float] = {}

    async def nothing_is() -> bool:
        found.clear()
        found["left_over"] = 0
        for kind, most in MOST.items():
            items = await world.kube.list(kind, NAMESPACE, labels=RELEASE_LABEL)
            of_each = [sum(item["metadata"]["labels"][RELEASE_LABEL] == name for item in items) for name in names]
            found[f"most_{kind.plural}"] = max(of_each)
            found["left_over"] += sum(max(0, one - most) for one in of_each)
        return not found["left_over"]

    try:
        await until(nothing_is, "nothing is left over", _PATIENCE_S / 3)
    except AssertionError:
        say(f"left over: {found}")
    return found


def _template(image: str) -> dict[str, Any]:
    settings = [{"configMapRef": {"name": "settings"}}]
    return {"spec": {"containers": [{"name": "web", "image": image, "envFrom": settings}]}}


def _release(name: str) -> dict[str, Any]:
    body = release_of(
        name,
        "web:0",
        replicas=1,
        analysis={
            "interval": "1s",
            "metrics": [{"name": "floor", "template": "http-errors-app", "limit": {"max": "5%"}}],
        },
        drain={"quiet": "0s", "max": "1s"},
        revisionHistoryLimit=_HISTORY,
        strategy={"blueGreen": {"preview": {"hostnames": [f"preview-{name}.localhost"]}, "keepOld": "4s"}},
    )
    body["spec"]["template"] = _template("web:0")
    return body


def _abort(name: str, revision: str) -> dict[str, Any]:
    return {
        "apiVersion": RELEASE_ACTIONS.api_version,
        "kind": RELEASE_ACTIONS.kind,
        "metadata": {"generateName": f"{name}-abort-"},
        "spec": {
            "release": name,
            "revision": revision,
            "action": "abort",
            "requestedBy": "admin",
            "reason": "a benchmark returns it",
        },
    }
