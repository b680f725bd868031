"""`podEvidence`: keeps what the pods of a rejected version say, before they go: log lines, events, exits, top errors.

It all goes into the attempt's AnalysisRun; where nothing was measured, one is made for it. A pass waits for this for
seconds (`rollout/pod_evidence.py`) and never for a kubelet: what does not answer in time is named under `notKept`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from controller.api import times
from controller.api.effect import Effect
from controller.api.fields import Absent, field, record
from controller.api.job import job_name
from controller.api.names import RELEASE_LABEL, REVISION_LABEL
from controller.api.pod_evidence import RejectedVersion
from controller.api.resources import EVENTS, POD_LOGS, PODS, RELEASES, Rule
from controller.api.shapes import Flag, Integer, Text
from controller.effects.carrier import (
    CarriedOut,
    Carrier,
    Cluster,
    EffectContext,
    EffectFailedError,
    EffectRefusedError,
    Limits,
    Owner,
    payload_of,
)
from controller.effects.job_state import pods_first
from controller.effects.pod_summary import MOST_PODS_READ, Log, Object, Read, evidence, logs_of, worst_first
from controller.kube.client import KubeError, NotFoundError
from controller.kube.objects import child_name, owner_reference
from controller.kube.pod_logs import log_tail

KIND = "podEvidence"
RULES = (Rule(EVENTS, ("list",)), Rule(POD_LOGS, ("get",)))
READ_S = 4.0
"""For logs and events, all of them at once."""
LIMITS = Limits(at_once=32, per_namespace=4, timeout_s=30.0)
_MOST_PODS = 30
"""That are looked at; of few of them logs are read."""
_MOST_EVENTS = 50
"""Of one object."""
_MOST_LOG_BYTES = 64 * 1024
_LINES, _LONG_LINES = 200, 3
"""Runtimes split lines at 16 KiB: so few always fit."""
_FORBIDDEN = 403

EXAMPLE: dict[str, Any] = {
    "revision": "bbbbbbbbbb",
    "stable": "aaaaaaaaaa",
    "attempt": 3,
    "at": "2026-11-29T12:00:00.000000Z",
    "verdict": "regression",
    "message": "container app of web-bbbbbbbbbb-x crashed 3 times, last exit code 1",
    "owned": True,
}


@record("A payload.")
class Config:
    revision: str = field(Text(63, 1), "The version that was rejected.")
    attempt: int = field(Integer(0), "The number of the rollout.")
    at: float = field(Text(40), "When it was rejected, in RFC 3339.", convert=times.from_text)
    verdict: str = field(Text(20), "As in an AnalysisRun.")
    message: str = field(Text(1024), "Why.")
    owned: bool = field(Flag(), "What is made goes with the Release.")
    stable: str = field(Text(63), "The version that is stable.", default=Absent(""))
    run: str = field(Text(253), "The AnalysisRun that has rejected it, where it measured anything.", default=Absent(""))
    job: str = field(Text(253), "The id of the effect whose Job has rejected it.", default=Absent(""))

    @property
    def rejected(self) -> RejectedVersion:
        return RejectedVersion(self.revision, self.stable, self.attempt, self.at, self.verdict, self.message, self.run)


class PodEvidence:
    def __init__(self, context: EffectContext) -> None:
        self._context = context

    async def carry_out(self, owner: Owner, effect: Effect) -> CarriedOut:
        config = payload_of(Config, effect)
        try:
            await self._keep(owner, config)
        except KubeError as error:
            raise EffectFailedError(str(error), retry_after=error.retry_after) from error
        return CarriedOut({})

    async def _keep(self, owner: Owner, config: Config) -> None:
        """Raises KubeError, EffectRefusedError."""
        records, rejected = self._context.records, config.rejected
        if records is None:
            raise EffectRefusedError("this operator keeps no AnalysisRuns")
        if await records.has_pod_evidence(owner.namespace, owner.name, rejected):
            return
        release = await self._context.kube.find(RELEASES, owner.namespace, owner.name)
        if release is None:
            raise EffectRefusedError("the Release is gone")
        found = await _read(self._context.kube, owner, config, times.to_text(self._context.clock()))
        reference = owner_reference(release) if config.owned else None
        await records.keep_pod_evidence(owner.namespace, owner.name, rejected, found, owner=reference)


create = PodEvidence
_is_carrier: type[Carrier] = PodEvidence


async def _read(kube: Cluster, owner: Owner, config: Config, at: str) -> dict[str, Any]:
    """Raises KubeError where the pods cannot be listed now."""
    labels = f"{RELEASE_LABEL}={owner.name},{REVISION_LABEL}={config.revision}"
    listed, more = await kube.first_page(PODS, owner.namespace, labels=labels, fields="", most=_MOST_PODS)
    pods = [*await _of_job(kube, owner, config.job), *worst_first(listed)]
    logs, objects = logs_of(pods), _objects(pods, child_name(owner.name, config.revision))
    notes = [f"only {len(pods)} of the pods were looked at"] if more else []
    if not listed:
        notes.append("logs and exits: the version has no pods, or they were gone before they could be read")
    elif not logs:
        notes.append("logs: no container has run")
    reads = asyncio.gather(*(_log(kube, owner.namespace, log) for log in logs))
    lists = asyncio.gather(*(_events(kube, owner.namespace, fields) for fields in objects))
    of_logs, of_events = await asyncio.gather(reads, lists)
    (read, trouble), (events, problems) = _sorted_out(of_logs), _sorted_out(of_events)
    of_all = [event for found in events for event in found]
    summarize = partial(evidence, at, pods, of_all, read, [*notes, *trouble, *problems])
    # what somebody prints can take a tenth of a second, in which nothing else would be done
    found = await asyncio.to_thread(summarize) if read else summarize()
    return {**found, "pods": len(listed)}


async def _of_job(kube: Cluster, owner: Owner, job: str) -> list[Object]:
    """The last try of the Job that has rejected the version. Raises KubeError."""
    if not job:
        return []
    labels = f"batch.kubernetes.io/job-name={job_name(owner.name, job)}"
    pods, _ = await kube.first_page(PODS, owner.namespace, labels=labels, fields="", most=_MOST_PODS)
    return pods_first(pods)[:1]


def _objects(pods: list[Object], deployment: str) -> list[str]:
    """Whose events are asked for, as field selectors."""
    names = dict.fromkeys(pod["metadata"]["name"] for pod in pods[:MOST_PODS_READ])
    owners = [one["name"] for pod in pods for one in pod["metadata"].get("ownerReferences") or []]
    return [f"involvedObject.name={name},type=Warning" for name in (*names, *owners[:1], deployment)]


async def _log(kube: Cluster, namespace: str, log: Log) -> Read | str:
    """Or why there is none."""
    try:
        async with asyncio.timeout(READ_S):
            return Read(log, await _tail(kube, namespace, log))
    except TimeoutError:
        return f"the log of {log.name}: no answer within {READ_S:g} s"
    except NotFoundError:
        return f"the log of {log.name}: the pod was gone"
    except KubeError as error:
        if error.status == _FORBIDDEN:
            return "logs: the operator may not read them (get pods/log)"
        return f"the log of {log.name}: {error}"


async def _tail(kube: Cluster, namespace: str, log: Log) -> str:
    """Raises KubeError."""
    found = b""
    for lines in (_LINES, _LONG_LINES):
        found = await log_tail(
            kube,
            namespace,
            log.pod,
            log.container,
            previous=log.previous,
            lines=lines,
            most=_MOST_LOG_BYTES,
            within_s=READ_S,
        )
        if len(found) < _MOST_LOG_BYTES:
            break
    return found.decode(errors="backslashreplace")


async def _events(kube: Cluster, namespace: str, fields: str) -> list[Object] | str:
    """Or why there are none."""
    try:
        async with asyncio.timeout(READ_S):
            found, _ = await kube.first_page(EVENTS, namespace, labels="", fields=fields, most=_MOST_EVENTS)
            return list(found)
    except TimeoutError:
        return f"events: no answer within {READ_S:g} s"
    except KubeError as error:
        if error.status == _FORBIDDEN:
            return "events: the operator may not read them (list events)"
        return f"events: {error}"


def _sorted_out(answers: list[Any]) -> tuple[list[Any], list[str]]:
    """What was found, and each reason why something was not."""
    return (
        [answer for answer in answers if not isinstance(answer, str)],
        list(dict.fromkeys(answer for answer in answers if isinstance(answer, str))),
    )
