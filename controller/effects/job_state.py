"""What a Job and its pods say of its test: pure. The one question is whether a container ran, and how it ended.

| seen | meaning |
|---|---|
| condition Complete | it succeeded |
| condition Failed, and each try ended by its own exit code | it failed |
| a pod beyond its activeDeadlineSeconds, in which a container had started | it was late |
| an eviction, a lost node, a container that could not be started | nothing: it runs again |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.api.job import JobState
from controller.api.text import one_line, printable
from controller.effects.masking import masked, without_keys

Object = Mapping[str, Any]
_BEFORE_START = {"", "ContainerCreating", "PodInitializing"}
_NEVER_STARTED = {"StartError", "ContainerCannotRun", "ContainerStatusUnknown"}
"""With the last of these it is unknown whether the container was started."""
_DEADLINE = "DeadlineExceeded"
_MOST_SENTENCE = 256
_LAST_LINES = 3


@dataclass(frozen=True)
class Seen:
    state: JobState
    message: str = ""
    """What to add to its name."""
    log: tuple[str, str] | None = None
    """Pod and container that say more."""
    again: bool = False
    """It came to nothing, and has to be made anew."""


def seen_of(job: Object, pods: Sequence[Object]) -> Seen:
    conditions = {one["type"] for one in job.get("status", {}).get("conditions") or [] if one.get("status") == "True"}
    if conditions & {"Complete", "SuccessCriteriaMet"}:
        return Seen(JobState.SUCCEEDED)
    if "Failed" in conditions:
        return _failed(int(job["spec"].get("backoffLimit", 0)), pods)
    living = [pod for pod in pods if not _is_leaving(pod) and _phase(pod) not in ("Failed", "Succeeded")]
    for pod in living:
        trouble = _trouble(pod)
        if trouble:
            return Seen(JobState.BLOCKED, f"cannot start: {trouble}")
    if any(_started(one) for pod in living for one in _statuses(pod)):
        return Seen(JobState.RUNNING)
    return Seen(JobState.STARTING)


def pods_first(pods: Iterable[Object]) -> list[Object]:
    """Those that were made last first."""
    return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)


def latest(events: Iterable[Object]) -> str:
    """What the last of these events says."""
    when = ("lastTimestamp", "eventTime", "firstTimestamp")
    found = sorted(events, key=lambda event: next((str(event[at]) for at in when if event.get(at)), ""))
    return sentence(found[-1].get("message") or found[-1].get("reason") or "") if found else ""


def last_lines(text: str) -> str:
    """Of a log, in one line."""
    lines = [line.strip() for line in without_keys(text).split("\n") if line.strip()]
    return " / ".join(printable(masked(line[:1024]))[:_MOST_SENTENCE] for line in lines[-_LAST_LINES:])


def sentence(text: str) -> str:
    return printable(masked(one_line(without_keys(text), 1024)))[:_MOST_SENTENCE]


# -- how it ended ----------------------------------------------------------------------------------------------------


def _failed(retries: int, pods: Sequence[Object]) -> Seen:
    ends = [_end(pod) for pod in pods_first(pods)]
    verdicts = [end for end in ends if not end.again]
    if len(verdicts) > retries:
        return verdicts[0]
    unseen = Seen(JobState.BLOCKED, "failed, and its pods went before it was seen how; it runs again", again=True)
    return next((end for end in ends if end.again), unseen)


def _end(pod: Object) -> Seen:
    """Of one try."""
    name, reason = pod["metadata"]["name"], pod.get("status", {}).get("reason") or ""
    if _phase(pod) != "Failed" or _is_leaving(pod) or _is_disrupted(pod) or reason not in ("", _DEADLINE):
        why = sentence(pod.get("status", {}).get("message") or "")
        said = f"lost {name} ({reason or 'it was deleted'}{f': {why}' if why else ''}); it runs again"
        return Seen(JobState.BLOCKED, said, again=True)
    started = [one for one in _statuses(pod) if _started(one)]
    if reason == _DEADLINE and started:
        last = started[-1]["name"]
        return Seen(JobState.LATE, f"container {last} of {name}", log=(name, last))
    for one in started if not reason else ():
        ended = one["state"].get("terminated") or {}
        if ended.get("exitCode", 0) != 0:
            return Seen(JobState.FAILED, _exit(name, one["name"], ended), log=(name, one["name"]))
    trouble = _trouble(pod) or "none of its containers was started"
    return Seen(JobState.BLOCKED, f"cannot start: {trouble}; it is tried again", again=True)


def _exit(pod: str, container: str, ended: Object) -> str:
    reason, why = ended.get("reason") or "", sentence(ended.get("message") or "")
    said = f"container {container} of {pod} ended with exit code {ended['exitCode']}"
    return said + (f" ({reason})" if reason not in ("", "Error") else "") + (f": {why}" if why else "")


def _is_disrupted(pod: Object) -> bool:
    """Evicted, preempted, or its node is gone."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(one.get("type") == "DisruptionTarget" and one.get("status") == "True" for one in conditions)


# -- whether it starts -----------------------------------------------------------------------------------------------


def _trouble(pod: Object) -> str:
    for one in _statuses(pod):
        for state in (one.get("state") or {}).values():
            reason = (state or {}).get("reason") or ""
            if reason in _NEVER_STARTED or ("waiting" in one["state"] and reason not in _BEFORE_START):
                return sentence(f"container {one['name']}: {state.get('message') or ''} ({reason})")
    for condition in pod.get("status", {}).get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return sentence(f"{pod['metadata']['name']} cannot be scheduled: {condition.get('message') or ''}")
    return ""


def _started(container: Object) -> bool:
    state = container.get("state") or {}
    ended = state.get("terminated")
    return "running" in state or (ended is not None and ended.get("reason") not in _NEVER_STARTED)


def _statuses(pod: Object) -> Iterator[Object]:
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses") or []
    yield from status.get("containerStatuses") or []


def _phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase", ""))


def _is_leaving(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]
