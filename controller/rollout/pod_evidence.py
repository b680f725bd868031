"""What a rejected version's pods say is kept before they go, and they wait for that for seconds only.

The effect is owed from the write that rejects the version on; `effects/pod_evidence.py` carries it out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from controller.api import times
from controller.api.effect import Effect, Owed
from controller.api.job import KIND as JOB
from controller.api.job import VERDICTS
from controller.api.status import Rejection
from controller.rollout.draft import Draft
from controller.rollout.effect import Answered, Refused, Retrying, given_up, is_settled

KIND = "podEvidence"
WAIT_S = 10.0
"""Logs and events are given 4 s, and the AnalysisRun has to be written."""
KEPT_S = 600.0
"""An AnalysisRun that cannot be written for so long is given up."""
_MOST_MESSAGE = 512


def keep_evidence(draft: Draft, rejection: Rejection, verdict: str) -> None:
    """`verdict`: as the attempt's AnalysisRun says it, or will where one has to be made."""
    attempt = draft.status.attempts
    payload = {
        "revision": rejection.revision,
        "stable": draft.status.stable,
        "attempt": attempt,
        "at": times.to_text(rejection.at),
        "verdict": verdict,
        "message": rejection.message[:_MOST_MESSAGE],
        "owned": draft.seen.owned,
    }
    if draft.seen.status.run and draft.seen.status.attempts == attempt:
        payload["run"] = draft.seen.status.run
    job = judged_by(draft)
    if job:
        payload["job"] = job
    draft.effects.append(Effect(f"{KIND}.{rejection.revision}.{attempt}", KIND, payload, must_deliver=True))


def judged_by(draft: Draft) -> str:
    """The id of the Job that has rejected the version: it stays until its log is kept."""
    for item in draft.seen.status.owed:
        result = draft.seen.effects.get(item.effect.id)
        if item.effect.kind == JOB and isinstance(result, Answered) and result.value.get("state") in VERDICTS:
            return item.effect.id
    return ""


def still_owed(draft: Draft, owed: Iterable[Owed]) -> Iterator[Owed]:
    """Without what was given up, which is said."""
    for item in owed:
        problem = _given_up(draft, item) if item.effect.kind == KIND else ""
        if problem:
            draft.event("EvidenceNotKept", f"{item.effect.payload.get('revision')}: {problem}", warning=True)
        else:
            yield item


def _given_up(draft: Draft, item: Owed) -> str:
    match given_up(draft.seen.effects.get(item.effect.id), draft.now - item.since, KEPT_S):
        case Refused(message):
            return message
        case Retrying(message):
            return f"not written within {KEPT_S / 60:g} minutes: {message}"
        case None:
            return ""


def seconds_to_wait(draft: Draft, revisions: Collection[str]) -> float:
    """Until these may go, as far as this is concerned; 0: now."""
    awaited = {item.effect.payload.get("revision"): item for item in draft.seen.status.owed if item.effect.kind == KIND}
    since = [
        awaited[one].since
        for one in revisions
        if one in awaited and not is_settled(draft.seen.effects.get(awaited[one].effect.id))
    ]
    new = [draft.now for effect in draft.effects if effect.kind == KIND and effect.payload["revision"] in revisions]
    return max((begun + WAIT_S - draft.now for begun in (*since, *new)), default=0.0)
