"""`job`: a Kubernetes Job tests the new version; only one that ran and failed rejects it.

The step only says which Job it wants; `effects/job.py` makes it and watches it. A Job that cannot start, for want of
an image, a Secret, room or a right, says nothing about the version, and is waited for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, assert_never

from controller.api.effect import Effect
from controller.api.fields import Place, field, record
from controller.api.job import KIND as JOB
from controller.api.job import OWN_ENV, VERDICTS, JobState
from controller.api.names import GROUP
from controller.api.phase import Phase
from controller.api.pod_template import POD_TEMPLATE_IN_A_LIST
from controller.api.reasons import Reason
from controller.api.shapes import Duration, Integer
from controller.rollout.effect import Answered, Refused, Result, Retrying
from controller.rollout.step import Done, Fail, Outcome, StepView, Wait

KIND = JOB
EXAMPLE: dict[str, Any] = {
    "job": {
        "template": {
            "spec": {
                "containers": [{"name": "smoke", "image": "registry.example.com/smoke:1.4", "args": ["--fast"]}],
            }
        },
        "atMost": "5m",
        "retries": 1,
    }
}
_DIGITS = 8
_PATIENCE_S = 60.0
"""From the begin of the step until a person may approve it without its Job."""


def _never_restarts(job: Job, place: Place) -> None:
    policy = job.pods.get("restartPolicy")
    if policy not in (None, "Never"):
        here = place.at("template").at("spec").at("restartPolicy")
        raise here.refuse(f"{policy!r} is not Never: retries says how often the Job is tried again")


def _has_no_variable_of_ours(job: Job, place: Place) -> None:
    for key in ("initContainers", "containers"):
        for index, container in enumerate(_list(job.pods.get(key))):
            for number, variable in enumerate(_list(container.get("env"))):
                if str(variable.get("name", "")).startswith(OWN_ENV):
                    here = place.at("template").at("spec").at(key).item(index).at("env").item(number).at("name")
                    raise here.refuse(f"Pointsman sets the variables that begin with {OWN_ENV}: use another name")


def _has_no_label_of_ours(job: Job, place: Place) -> None:
    """By such a label a Service would send it requests."""
    metadata = job.template.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, Mapping) else None
    for name in labels if isinstance(labels, Mapping) else ():
        if str(name).startswith(f"{GROUP}/"):
            here = place.at("template").at("metadata").at("labels")
            raise here.refuse(f"{name!r}: labels of {GROUP} are Pointsman's own: leave it out")


def _list(value: Any) -> Iterable[Mapping[str, Any]]:
    """What is no object in it is refused elsewhere."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


@record(
    "Run a Job against the new version: if it fails, roll back. A Job that cannot start is waited for. Analysis and "
    "rollbacks go on.",
    checks=[_never_restarts, _has_no_variable_of_ours, _has_no_label_of_ours],
)
class Job:
    template: Mapping[str, Any] = field(
        POD_TEMPLATE_IN_A_LIST,
        "The Job's pod, as in a Job; restartPolicy is Never. Variables POINTSMAN_RELEASE, POINTSMAN_REVISION, "
        "POINTSMAN_STABLE_REVISION, POINTSMAN_SERVICE and POINTSMAN_PORT tell its containers what they test.",
    )
    at_most: float = field(
        Duration("1s", "24h"),
        "How long one try may take from when its pod is on a node: 1s to 24h. One that started and takes longer rolls "
        "back.",
        default="10m",
    )
    retries: int = field(Integer(0, 10), "How often it is tried again when it fails.", default=0)
    weight: None = None
    analyzes: bool = False

    @property
    def pods(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.template["spec"]
        return found

    @cached_property
    def digest(self) -> str:
        """Of all that makes it the Job it is: another one is another question."""
        text = json.dumps([self.template, self.at_most, self.retries], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]

    def verdict(self, effects: Mapping[str, Result], *, canary: str, attempt: int, step: int) -> Fail | None:
        """What rejects the version, also while the step is held up and not asked."""
        result = effects.get(self._id(canary, attempt, step))
        if not isinstance(result, Answered) or result.value["state"] not in VERDICTS:
            return None
        job, said = f"Job {result.value['job']}", result.value["message"]
        if result.value["state"] == JobState.FAILED:
            return Fail(Reason.JOB_FAILED, f"{job} failed: {said}")
        return Fail(Reason.JOB_TIMEOUT, f"{job} was still running after {self.at_most:g} s (the step's atMost); {said}")

    def _id(self, canary: str, attempt: int, step: int) -> str:
        return f"{KIND}.{canary}.{attempt}.{step}.{self.digest}"

    def advance(self, view: StepView) -> Outcome:
        failed = self.verdict(view.effects, canary=view.canary, attempt=view.attempt, step=view.step)
        if failed is not None:
            return failed
        effect = self._effect(view)
        result = view.effects.get(effect.id)
        match result:
            case None:
                return Wait(Reason.AWAITING_JOB, "the Job is being made", effects=(effect,))
            case Answered(value):
                return self._answered(view, effect, value)
            case Retrying():
                message = f"{result.message}; it is tried again"
                return Wait(Reason.AWAITING_JOB, message, phase=Phase.WAITING, effects=(effect,))
            case Refused():
                return self._blocked(view, effect, result.message)
            case _:
                assert_never(result)

    def _answered(self, view: StepView, effect: Effect, value: Mapping[str, Any]) -> Outcome:
        job, said = f"Job {value['job']}", value["message"]
        state = JobState(value["state"])
        match state:
            case JobState.SUCCEEDED:
                return Done(f"{job} succeeded")
            case JobState.BLOCKED:
                return self._blocked(view, effect, f"{job} {said}")
            case _:
                return Wait(Reason.AWAITING_JOB, f"{job} is {state}", effects=(effect,))

    def _blocked(self, view: StepView, effect: Effect, message: str) -> Outcome:
        """No verdict, also after `atMost`. Nobody is asked for what is over in a minute."""
        if view.approved_by is not None:
            return Done(f"approved by {view.approved_by}, though {message}")
        left = _PATIENCE_S - view.elapsed
        return Wait(
            Reason.AWAITING_JOB,
            message,
            again_in=left if left > 0 else None,
            phase=Phase.WAITING,
            approvable=left <= 0,
            effects=(effect,),
        )

    def _effect(self, view: StepView) -> Effect:
        """The template is too large for a status: it is read from the spec, as long as that has this very step."""
        payload: dict[str, Any] = {
            "stableRevision": view.stable,
            "canaryRevision": view.canary,
            "attempt": view.attempt,
            "step": view.step,
            "digest": self.digest,
        }
        return Effect(self._id(view.canary, view.attempt, view.step), KIND, payload)


Config = Job
