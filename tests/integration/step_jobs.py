"""Jobs of a step and their pods: what they do, and what there is of them."""

import asyncio

from controller.api.names import JOB_LABEL
from controller.api.resources import JOBS, PODS

DEADLINE_S = 60.0


def smoke(**fields):
    container = {"name": "smoke", "image": "smoke:1", "args": ["http://$(POINTSMAN_SERVICE):$(POINTSMAN_PORT)/"]}
    return {"job": {"template": {"spec": {"containers": [container]}}, **fields}}


def let_jobs(stall, state):
    """What pods of Jobs do from now on; all others serve."""
    stall.node.behave = lambda pod: state if JOB_LABEL in pod["metadata"]["labels"] else "ready"


async def jobs(stall):
    return await stall.kube.list(JOBS, stall.namespace, labels=f"{JOB_LABEL}={stall.name}")


async def pods(stall):
    return await stall.kube.list(PODS, stall.namespace, labels=f"{JOB_LABEL}={stall.name}")


async def until(condition, what):
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not (found := await condition()):  # noqa: ASYNC110 - the API server's view
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"did not happen within {DEADLINE_S:g} s: {what}") from None
    return found


async def until_nothing_is_left(stall):
    async def nothing():
        return not await jobs(stall) and not await pods(stall)

    await until(nothing, "no Job and no pod of one is left")


async def a_running_pod(stall):
    async def running():
        found = [pod for pod in await pods(stall) if pod.get("status", {}).get("phase") == "Running"]
        return found and found[0]

    return await until(running, "a pod of the Job runs")
