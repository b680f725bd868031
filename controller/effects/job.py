"""`job`: makes the Job of a step, and says what has become of it.

Each time it is carried out it looks, and makes the Job where there is none: its name follows from the effect's id, so
there is one, whoever leads. The template is that of the step in the spec, which the payload's digest names.

The Release owns the Job, also under deletionPolicy Orphan: once the Release is gone, its test is of no use.
`effects/job_deletion.py` takes it away when its step is over.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

from controller import registry
from controller.api import times
from controller.api.effect import Effect
from controller.api.fields import Absent, field, record
from controller.api.job import KIND as JOB
from controller.api.job import JobState, job_name
from controller.api.names import JOB_LABEL, RELEASE_LABEL, REVISION_LABEL
from controller.api.reading import SpecError
from controller.api.release import parse_release
from controller.api.resources import EVENTS, JOBS, POD_LOGS, PODS, RELEASES, SERVICES, Rule
from controller.api.shapes import Integer, Text
from controller.effects.carrier import (
    CarriedOut,
    Carrier,
    EffectContext,
    EffectFailedError,
    EffectRefusedError,
    Limits,
    Owner,
    payload_of,
)
from controller.effects.job_state import Seen, last_lines, latest, pods_first, seen_of, sentence
from controller.kube.client import ConflictError, InvalidError, KubeError
from controller.kube.objects import Key, child_metadata, child_name, owner_reference, taken
from controller.kube.pod_logs import log_tail
from controller.rollout.steps.job import Job

KIND = JOB
RULES = (
    Rule(JOBS, ("get", "create", "delete")),
    Rule(PODS, ("list",)),
    Rule(EVENTS, ("list",)),
    Rule(POD_LOGS, ("get",)),
)
LIMITS = Limits(at_once=64, per_namespace=8, timeout_s=30.0)
EXAMPLE: dict[str, Any] = {
    "stableRevision": "aaaaaaaaaa",
    "canaryRevision": "bbbbbbbbbb",
    "attempt": 3,
    "step": 0,
    "digest": "0123abcd",
}
BLOCKED_AGAIN_S = 15.0
"""What cannot be made, or came to nothing, is tried again so often."""
_TTL_S = 86_400
"""Kubernetes deletes the Job after this time if the operator does not."""
_SLOW_S = 10.0
"""A start that takes longer is asked for its events."""
_STUCK_S = 60.0
_MOST_PODS = 20
_MOST_EVENTS = 20
_LOG_S = 4.0
_MOST_LOG_BYTES = 16 * 1024


@record("A payload.")
class Config:
    canary: str = field(Text(63, 1), "The version that is tested.", key="canaryRevision")
    attempt: int = field(Integer(0), "The number of the rollout.")
    step: int = field(Integer(0), "Index of the step.")
    digest: str = field(Text(63, 1), "Of the step as it was written.")
    stable: str = field(Text(63), "The version that is stable.", default=Absent(""), key="stableRevision")


class JobCarrier:
    def __init__(self, context: EffectContext) -> None:
        self._kube = context.kube
        self._clock = context.clock

    async def carry_out(self, owner: Owner, effect: Effect) -> CarriedOut:
        config = payload_of(Config, effect)
        name = job_name(owner.name, effect.id)
        try:
            return await self._carry_out(owner, config, name)
        except InvalidError as error:
            return _blocked(name, f"cannot be watched: {sentence(str(error))}")
        except KubeError as error:
            message = f"Job {name}: {sentence(str(error))}"
            raise EffectFailedError(message, retry_after=error.retry_after) from error

    async def _carry_out(self, owner: Owner, config: Config, name: str) -> CarriedOut:
        """Raises KubeError, EffectRefusedError."""
        release = await self._kube.find(RELEASES, owner.namespace, owner.name)
        if release is None:
            raise EffectRefusedError("the Release is gone")
        job = await self._kube.find(JOBS, owner.namespace, name)
        if job is None:
            step = step_of(release, config)
            try:
                job = await self._make(release, step, config, name)
            except InvalidError as error:
                return _blocked(name, f"cannot be made: {sentence(str(error))}")
        whose = _whose(job, release)
        if whose is None:
            return _blocked(name, taken(JOBS, owner.namespace, name))
        if not whose or "deletionTimestamp" in job["metadata"]:
            if "deletionTimestamp" not in job["metadata"]:
                await self._kube.delete(JOBS, owner.namespace, name, seen=job)
            raise EffectFailedError(f"Job {name} of before is being deleted")
        return await self._look(job)

    async def _make(self, release: Mapping[str, Any], step: Job, config: Config, name: str) -> dict[str, Any]:
        """As it is there now. Raises KubeError."""
        key = Key(release["metadata"]["namespace"], release["metadata"]["name"])
        service = await self._kube.find(SERVICES, key.namespace, child_name(key.name, config.canary))
        ports = (service or {}).get("spec", {}).get("ports") or []
        metadata = child_metadata(
            key, name, {REVISION_LABEL: config.canary, JOB_LABEL: key.name}, owner_reference(release)
        )
        made = {
            "apiVersion": JOBS.api_version,
            "kind": JOBS.kind,
            "metadata": metadata,
            "spec": job_spec(step, key.name, variables(key, config, ports)),
        }
        try:
            return await self._kube.create(JOBS, key.namespace, made, strict=True)
        except ConflictError:
            # made by a try whose answer was lost, or something else has the name
            return await self._kube.get(JOBS, key.namespace, name)

    async def _look(self, job: Mapping[str, Any]) -> CarriedOut:
        """Raises KubeError."""
        metadata = job["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        labels = f"batch.kubernetes.io/controller-uid={metadata['uid']}"
        pods, _ = await self._kube.first_page(PODS, namespace, labels=labels, fields="", most=_MOST_PODS)
        seen = seen_of(job, pods)
        if seen.again:
            await self._kube.delete(JOBS, namespace, name, seen=job)
            return _blocked(name, seen.message)
        age = max(0.0, self._clock() - times.from_text(metadata["creationTimestamp"]))
        match seen.state:
            case JobState.SUCCEEDED:
                return CarriedOut(_value(name, seen.state))
            case JobState.FAILED | JobState.LATE:
                return CarriedOut(_value(name, seen.state, await self._with_log(namespace, seen)))
            case JobState.STARTING if age > _SLOW_S:
                why = await self._events(namespace, [job, *pods_first(pods)[:1]])
                if why or age > _STUCK_S:
                    message = f"cannot start: {why or 'no container has been started for a minute'}"
                    return CarriedOut(_value(name, JobState.BLOCKED, message), again_in=_pause_s(age))
        return CarriedOut(_value(name, seen.state, seen.message), again_in=_pause_s(age))

    async def _events(self, namespace: str, objects: list[Mapping[str, Any]]) -> str:
        """The last warning about one of them: a quota, an admission, a volume. Raises KubeError."""
        for item in reversed(objects):
            fields = f"involvedObject.uid={item['metadata']['uid']},type=Warning"
            try:
                found, _ = await self._kube.first_page(EVENTS, namespace, labels="", fields=fields, most=_MOST_EVENTS)
            except InvalidError:
                return ""  # without the right to read them it is not known why
            said = latest(found)
            if said:
                return said
        return ""

    async def _with_log(self, namespace: str, seen: Seen) -> str:
        if seen.log is None:
            return seen.message
        pod, container = seen.log
        try:
            tail = await log_tail(
                self._kube, namespace, pod, container,
                previous=False, lines=_MOST_EVENTS, most=_MOST_LOG_BYTES, within_s=_LOG_S,
            )  # fmt: skip
        except KubeError as error:
            return f"{seen.message}; its log cannot be read: {sentence(str(error))}"
        said = last_lines(tail.decode(errors="backslashreplace"))
        return f"{seen.message}; it said: {said}" if said else f"{seen.message}, and said nothing"


create = JobCarrier
_is_carrier: type[Carrier] = JobCarrier


def step_of(release: Mapping[str, Any], config: Config) -> Job:
    """As the spec has it now. Raises EffectRefusedError."""
    try:
        spec = parse_release(release["metadata"]["name"], release["spec"], registry.kinds())
    except SpecError as error:
        raise EffectRefusedError(str(error)) from error
    for step in spec.steps:
        if isinstance(step, Job) and step.digest == config.digest:
            return step
    raise EffectRefusedError("the spec has this job no longer")


def variables(key: Key, config: Config, ports: list[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What tells the containers what they test."""
    found = {
        "POINTSMAN_RELEASE": key.name,
        "POINTSMAN_REVISION": config.canary,
        "POINTSMAN_STABLE_REVISION": config.stable,
        "POINTSMAN_SERVICE": f"{child_name(key.name, config.canary)}.{key.namespace}.svc",
    }
    if ports:
        found["POINTSMAN_PORT"] = str(ports[0]["port"])
    for port in ports:
        if port.get("name"):
            found[f"POINTSMAN_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    return [{"name": name, "value": value} for name, value in found.items()]


def job_spec(step: Job, release: str, env: list[dict[str, str]]) -> dict[str, Any]:
    """Evictions and lost nodes do not count as tries. The deadline is the pod's, so that its logs outlive it."""
    template = copy.deepcopy(dict(step.template))
    metadata = template["metadata"] = dict(template.get("metadata") or {})
    metadata["labels"] = {**(metadata.get("labels") or {}), JOB_LABEL: release}
    pod = template["spec"]
    pod["restartPolicy"] = "Never"
    own = pod.get("activeDeadlineSeconds")
    most = math.ceil(step.at_most)
    pod["activeDeadlineSeconds"] = min(most, own) if isinstance(own, int) and not isinstance(own, bool) else most
    for container in [*(pod.get("initContainers") or []), *pod["containers"]]:
        container["env"] = [*copy.deepcopy(env), *(container.get("env") or [])]
    return {
        "backoffLimit": step.retries,
        "ttlSecondsAfterFinished": _TTL_S,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
        },
        "template": template,
    }


def _whose(job: Mapping[str, Any], release: Mapping[str, Any]) -> bool | None:
    """None: somebody else's. False: of an earlier Release that had this name."""
    metadata = job["metadata"]
    if (metadata.get("labels") or {}).get(RELEASE_LABEL) != release["metadata"]["name"]:
        return None
    return any(one.get("uid") == release["metadata"]["uid"] for one in metadata.get("ownerReferences") or [])


def _pause_s(age: float) -> float:
    """A short test is answered soon, and a long one costs little."""
    return min(10.0, max(1.0, age / 10))


def _value(name: str, state: JobState, message: str = "") -> dict[str, str]:
    return {"job": name, "state": state, "message": message}


def _blocked(name: str, message: str) -> CarriedOut:
    return CarriedOut(_value(name, JobState.BLOCKED, message), again_in=BLOCKED_AGAIN_S)
