"""The operator is killed at its writes, again and again, before or after the API server got them.

The end is the one of a life without kills, and no kill leaves work at a version that is not there.
"""

import asyncio
import contextlib
import json
import re

import pytest

from controller.api.resources import ANALYSIS_RUNS, CONTROLLER_REVISIONS, DEPLOYMENTS, HTTP_ROUTES, RELEASES
from tests.integration.in_process import Stall
from tests.integration.operator_fixture import APPROVE, pause, release, weight

FINALIZER = "pointsman.dev/traffic"
SEEDS = range(4)
KILLS = 40
"""At least so many in all lives of one kind together; five kinds make 200."""


async def _promoted(stall, **spec):
    await stall.given(release(weight(10), pause(0.3), weight(50), pause(0.3), drain={"quiet": "0s"}, **spec))
    await stall.commit("2")
    await stall.until_phase("Healthy")


async def _promoted_by_pods(stall):
    await _promoted(stall, traffic={"replicas": {}}, replicas=4)


async def _aborted(stall):
    await stall.given(release(weight(10), APPROVE))
    await stall.commit("2")
    canary = (await stall.until_phase("Paused"))["canaryRevision"]
    await stall.ask("abort", canary)
    await stall.until_phase("RolledBack")


async def _crashed(stall):
    await stall.given(release(weight(10), APPROVE))
    await stall.commit("2")
    canary = (await stall.until_phase("Paused"))["canaryRevision"]
    stall.node.let(canary, "crash")
    await stall.until_phase("RolledBack")


async def _replaced(stall):
    await stall.given(release(weight(10), APPROVE, drain={"quiet": "0s"}))
    await stall.commit("2")
    await stall.until_phase("Paused")
    await stall.commit("3", replicas=3, strategy={"canary": {"steps": [weight(20), pause(0.3)]}})
    await stall.until_phase("Healthy")


LIVES = {
    "promoted": _promoted,
    "promoted by pods": _promoted_by_pods,
    "aborted": _aborted,
    "crashed": _crashed,
    "replaced": _replaced,
}


@pytest.mark.parametrize("kind", LIVES)
async def test_killed_between_any_two_writes_it_ends_the_same(api_server, kube, node, tmp_path, kind):
    async with contextlib.AsyncExitStack() as stack:
        stalls = [
            await stack.enter_async_context(
                Stall.open(kube, node, api_server, tmp_path / f"web{seed}.log", name=f"web{seed}", seed=seed)
            )
            for seed in SEEDS
        ]
        calm = await stack.enter_async_context(Stall.open(kube, node, api_server, tmp_path / "calm.log", name="calm"))
        for stall in stalls:
            stall.operator.between = lambda stall=stall: _nothing_is_lost(stall)
        await asyncio.gather(*(LIVES[kind](stall) for stall in [calm, *stalls]))
        expected = await _end(calm)
        for stall in stalls:
            assert await _end(stall) == expected, f"after kills as in {stall.operator.log.read_text()}"
    kills = sum(stall.operator.kills for stall in stalls)
    assert kills >= KILLS, "the test has to kill"


async def _nothing_is_lost(stall):
    """Of the cluster, wherever the operator stopped."""
    found = await stall.kube.find(RELEASES, stall.namespace, stall.name)
    route = await stall.kube.find(HTTP_ROUTES, stall.namespace, stall.name)
    if found is None or route is None:
        return
    runs = (await stall.objects())["Deployment"]
    shares = await stall.shares()
    assert shares, "the route sends nowhere"
    assert {f"{stall.name}-{revision}" for revision in shares} <= set(runs), f"{shares}, and there run {runs}"
    if len(shares) > 1:
        assert FINALIZER in (await stall.release())["metadata"]["finalizers"]


async def _end(stall):
    """Status, route and objects, without moments and with versions for revisions."""
    status = await stall.until(lambda status: "owed" not in status)
    kept = await stall.kube.list(CONTROLLER_REVISIONS, stall.namespace, labels=f"pointsman.dev/release={stall.name}")
    versions = {
        item["metadata"]["labels"]["pointsman.dev/revision"]: item["data"]["template"]["spec"]["containers"][0]["env"][
            0
        ]["value"]
        for item in kept
    }
    deployments = await stall.kube.list(DEPLOYMENTS, stall.namespace, labels=f"pointsman.dev/release={stall.name}")
    runs = await stall.kube.list(ANALYSIS_RUNS, stall.namespace, labels=f"pointsman.dev/release={stall.name}")
    end = {
        "records": [
            [run["metadata"]["name"], run["status"]["verdict"], "podEvidence" in run["status"]] for run in runs
        ],
        "status": {name: value for name, value in status.items() if not name.endswith(("Since", "At"))},
        "shares": await stall.shares(),
        "selected": await stall.selected(),
        "sizes": {item["metadata"]["name"]: item["spec"]["replicas"] for item in deployments},
        "objects": await stall.objects(),
        "finalizers": (await stall.release())["metadata"].get("finalizers"),
    }
    end["status"].pop("conditions")
    end["status"].pop("handledActions", None)
    for rejection in [*status.get("rejected", []), status.get("lastRollback", {})]:
        rejection.pop("at", None)
    text = json.dumps(end, sort_keys=True)
    for revision, version in versions.items():
        text = text.replace(revision, f"v{version}")
    text = re.sub(rf"(?<={stall.name}-)\w+-\w+-\w+(?= crashed)", "POD", text)
    end = json.loads(text.replace(stall.name, "web"))
    return end | {"objects": {kind: sorted(names) for kind, names in end["objects"].items()}}
