"""Every change of who serves, on kept and on new connections: what fails of 100,000 requests, 500 a second.

The service is the invitation API on PostgreSQL, without its sender: four of five requests look at its page, the fifth
invites somebody, and each that was answered with an invitation must be in the database afterwards.
Promotion, rollback, pods deleted as `kubectl delete` does, pods evicted as a drained node's are, the operator killed, a
blue/green switch and return: `switching.py` says how their time is counted, and who is counted apart there.
Then ports, host names and the router are edited, at rest and in mid-release: `edits.py` says what is counted there.
Last, and counted apart, a pod that is killed without a word: what was in flight on it is lost, and no more may be.
That is asked of a gateway that tries another pod when one refuses a connection: any other sends on to the dead one
until the kubelet has noticed, whoever controls the release. What is lost through such a one is told beside it.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from controller.api.resources import PODS
from hack.demonstration.invitations import MANIFEST, Invitations
from hack.demonstration.service_story import NAME
from hack.install import INVITATIONS, Kubectl
from hack.load.tally import Snapshot
from tests.bench.edits import edited
from tests.bench.report import Report, Target
from tests.bench.switching import Switched, switched
from tests.bench.world import Bench, bench, say
from tests.e2e import containers
from tests.e2e.operator_pod import OperatorPod
from tests.e2e.patience import until
from tests.e2e.shop import APPROVE, NOT_JUDGED, Shop, pause, weight

RATE, SMALL_RATE = 500.0, 150.0
"""Requests a second. The small size has to work on a machine that cannot serve 500."""
FRESH = 0.2
ENOUGH = 100_000
REPLICAS, SMALL_REPLICAS = 4, 2
"""Each pod is deleted, evicted, and started again for each version: the time that a slow machine takes goes there."""
DRAIN, SMALL_DRAIN = {"quiet": "3s", "max": "10s"}, {"quiet": "1s", "max": "10s"}
_PATIENCE_S = 120.0
AT_ANY_SIZE = ("failed", "lost", "service_failed_by_switch", "failed_by_edits", "failed_by_edits_at_service")
TARGETS: dict[str, Target] = {
    "requests": (">=", ENOUGH),
    "failed": ("<=", 0),
    "lost": ("<=", 0),
    "switch_s": ("<=", 2),
    "return_s": ("<=", 2),
    "service_failed_by_switch": ("<=", 0),
    "failed_by_edits": ("<=", 0),
    "failed_by_edits_at_service": ("<=", 0),
    "failed_by_kill_above_in_flight": ("<=", 0),
}


async def run(*, small: bool = False, rate: float | None = None) -> Report:
    """`rate`: requests a second; None: those of its size."""
    notes: list[str] = []
    total = failed = skipped = made = rounds = 0
    switches, rate = Switched(), rate or (SMALL_RATE if small else RATE)
    async with bench("switch", workload=INVITATIONS) as world, invited(world) as invitations:
        kube = world.kube
        shop = Shop(world.cluster, kube, world.namespace, NAME, MANIFEST, invitations.visit)
        await shop.given(
            weight(10), pause(3), weight(50), APPROVE, analysis=NOT_JUDGED,
            replicas=SMALL_REPLICAS if small else REPLICAS, drain=SMALL_DRAIN if small else DRAIN,
        )  # fmt: skip
        while total < (1 if small else ENOUGH):
            rounds += 1
            counted, found = await _round(shop, OperatorPod(kube), rounds, rate)
            switches.add(found)
            p99 = counted.latency_ms["p99"]
            note = f"round {rounds}: {counted.sent} requests, {counted.failed} failed, p99 {p99:g} ms"
            note += f"; codes {counted.codes}, without an answer {counted.transport}, said {counted.reasons}"
            note += f"; {found.note()}"
            say(note)
            notes.append(note)
            total, failed, skipped = total + counted.sent, failed + counted.failed, skipped + counted.skipped
            made += counted.codes.get("201", 0)
        edits = await edited(shop)
        for note in edits.notes():
            say(note)
        notes += edits.notes()
        made += edits.invited
        kept = await invitations.kept()
        killed = await _kill(shop, rate, retrying=True)
        plain = await _kill(shop, rate, retrying=False)
    apart = {"failed_by_kill_without_retries": plain["failed_by_kill"]}
    figures: dict[str, float] = {"requests": total, "failed": failed, "skipped": skipped, "rounds": rounds}
    figures["rate"] = rate
    figures |= {"invited": made, "lost": kept.missing(made)}
    figures |= switches.figures()
    figures |= {"edits": edits.edits, "requests_during_edits": edits.sent, "failed_by_edits": edits.failed}
    figures |= {"requests_at_service": edits.at_service, "failed_by_edits_at_service": len(edits.failed_at_service)}
    figures |= killed | apart
    targets = {name: target for name, target in TARGETS.items() if not small or name in AT_ANY_SIZE}
    return Report("switch", figures, targets, notes)


@asynccontextmanager
async def invited(world: Bench) -> AsyncIterator[Invitations]:
    """The API's database and what stands beside its Release; the database goes afterwards."""
    invitations = Invitations(world.cluster, world.namespace)
    await invitations.prepare(Kubectl(world.cluster), DELIVERY="queue")
    try:
        yield invitations
    finally:
        await invitations.remove()


async def _round(shop: Shop, operator: OperatorPod, number: int, rate: float) -> tuple[Snapshot, Switched]:
    async with shop.load(rate=rate, fresh=FRESH) as load:
        # promoted, with the operator killed on the way
        await shop.commit(VERSION=f"good-{number}")
        await shop.until_weight(10)
        leader = await operator.leader()
        # the kubelet holds back a container that keeps on dying, also between two runs of this
        await operator.kill(leader, with_its_pod=number % 2 == 1)
        await operator.until_another_leads(leader)
        await shop.until_phase("Paused", seconds=120)
        await shop.ask("approve")
        stable = (await shop.until_phase("Healthy", seconds=120))["stableRevision"]
        # taken back
        await shop.commit(VERSION=f"unwanted-{number}")
        await shop.until_phase("Paused", seconds=120)
        await shop.ask("abort")
        await shop.until_phase("RolledBack", seconds=120)
        # pods deleted one after the other, then evicted
        for how in (_delete, _evict):
            for pod in await shop.pods(stable):
                if "deletionTimestamp" not in pod["metadata"]:
                    await how(shop, pod)
                    await _until_whole(shop, stable)
        found = await switched(shop, load, number)
        return await load.stop(), found


async def _kill(shop: Shop, rate: float, *, retrying: bool) -> dict[str, float]:
    stable = (await shop.status())["stableRevision"]
    restarts = 1 + await _restarts(shop, stable)
    async with shop.load(rate=rate, fresh=FRESH, retrying=retrying) as load:
        await asyncio.sleep(5)
        pods = sorted(await shop.pods(stable), key=_restarts_of)  # the kubelet holds back what was killed before
        before = load.snapshot()  # nothing else runs between this and the kill
        assert containers.send(signal.SIGKILL, pods[:1])
        await _until_whole(shop, stable, restarts=restarts)
        await asyncio.sleep(2)
        after = await load.stop()
    lost = after.failed - before.failed
    in_flight = max(1, before.in_flight)
    return {
        "failed_by_kill": lost,
        "in_flight_at_kill_per_pod": round(in_flight / len(pods), 1),
        "failed_by_kill_above_in_flight": max(0, lost - in_flight),
    }


async def _delete(shop: Shop, pod: dict[str, Any]) -> None:
    await shop.kube.delete(PODS, shop.namespace, pod["metadata"]["name"])


async def _evict(shop: Shop, pod: dict[str, Any]) -> None:
    """What `kubectl drain` does to each pod of a node."""
    name = pod["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": shop.namespace}}
    await shop.kube.request("POST", PODS.path(shop.namespace, name, "eviction"), body=eviction)


async def _restarts(shop: Shop, revision: str) -> int:
    return sum(_restarts_of(pod) for pod in await shop.pods(revision) if "deletionTimestamp" not in pod["metadata"])


def _restarts_of(pod: dict[str, Any]) -> int:
    return sum(one["restartCount"] for one in pod["status"].get("containerStatuses", []))


async def _until_whole(shop: Shop, revision: str, *, restarts: int = 0) -> None:
    replicas = (await shop.release())["spec"]["replicas"]

    async def is_whole() -> bool:
        pods = [pod for pod in await shop.pods(revision) if "deletionTimestamp" not in pod["metadata"]]
        ready = [
            condition["status"] == "True"
            for pod in pods
            for condition in pod["status"].get("conditions", [])
            if condition["type"] == "Ready"
        ]
        return len(ready) >= replicas and all(ready) and await _restarts(shop, revision) >= restarts

    await until(is_whole, f"all pods of {revision} are ready", _PATIENCE_S)
