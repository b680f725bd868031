"""Why pods are not ready, read from what they say of themselves.

They are the largest objects of all, so a bounded number of them is read. Nothing selects them by readiness: those that
have not started are selected by their phase, the others are the first by name, whose last letters are drawn. So what
most pods show is found. What one of hundreds shows while it runs may be missed: then the Release waits without saying
why, and its deadline decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from controller.api.names import RELEASE_LABEL, REVISION_LABEL
from controller.api.reasons import Reason
from controller.api.resources import PODS
from controller.kube.cache import ObjectCache
from controller.kube.objects import Key
from controller.rollout.observation import PodTrouble

MOST = 100
"""Pods that are read at once."""
_LIVING = "status.phase!=Failed,status.phase!=Succeeded"
_STARTING = "status.phase=Pending"
_CRASHES = 3
"""Restarts before a crash loop counts: a start that fails once while a dependency comes up is not one."""
_ENDED = {"Failed", "Succeeded"}
"""Phases of pods that never run again: evicted ones lie about for days."""
_CONFIG_REASONS = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_PULL_REASONS = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}


async def pods_of(kube: ObjectCache, key: Key, revision: str) -> list[dict[str, Any]]:
    """Enough to tell why some are not ready. Raises KubeError."""
    labels = f"{RELEASE_LABEL}={key.name},{REVISION_LABEL}={revision}"
    pods, more = await kube.first_page(PODS, key.namespace, labels=labels, fields=_LIVING, most=MOST)
    if more:
        starting, _ = await kube.first_page(PODS, key.namespace, labels=labels, fields=_STARTING, most=MOST)
        pods += starting
    return pods


def trouble_of(pods: Iterable[Mapping[str, Any]], deployment: Mapping[str, Any]) -> PodTrouble | None:
    """The plainest sign of all pods, or what keeps the Deployment from making any (quota, admission)."""
    found = [trouble for pod in pods if _counts(pod) and (trouble := _pod_trouble(pod)) is not None]
    for reason in (Reason.CRASH_LOOP, Reason.CONTAINER_CONFIG, Reason.IMAGE_PULL, Reason.NO_CAPACITY):
        for trouble in found:
            if trouble.reason == reason:
                return trouble
    for condition in deployment.get("status", {}).get("conditions", []):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return PodTrouble(Reason.NO_CAPACITY, f"no pod could be created: {condition.get('message', '')}"[:500])
    return None


def _counts(pod: Mapping[str, Any]) -> bool:
    return pod.get("status", {}).get("phase") not in _ENDED and "deletionTimestamp" not in pod["metadata"]


def _pod_trouble(pod: Mapping[str, Any]) -> PodTrouble | None:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting", {})
        reason = waiting.get("reason", "")
        restarts = int(container.get("restartCount", 0))
        if restarts >= _CRASHES and not container.get("ready"):
            ended = container.get("lastState", {}).get("terminated", {})
            last = f", last exit code {ended['exitCode']}" if "exitCode" in ended else ""
            message = f"container {container['name']} of {name} crashed {restarts} times{last}"
            return PodTrouble(Reason.CRASH_LOOP, message)
        if reason in _CONFIG_REASONS:
            message = f"container {container['name']} of {name}: {waiting.get('message', '')} ({reason})"
            return PodTrouble(Reason.CONTAINER_CONFIG, message[:500])
        if reason in _PULL_REASONS:
            message = f"image of {container['name']}: {waiting.get('message', reason)}"
            return PodTrouble(Reason.IMAGE_PULL, message[:500])
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return PodTrouble(Reason.NO_CAPACITY, f"{name} cannot be scheduled: {condition.get('message', '')}"[:500])
    return None
