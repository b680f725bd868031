"""After a rollback git goes back, too, where the Release allows it. Nothing waits for that.

It is owed from the write that rejects the version on, so traffic is back before. `effects/git_rollback.py` carries it
out; what came of it is kept beside the rejection. After a retry it owes the opposite: the commit is taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from controller.api import times
from controller.api.effect import Effect, Owed
from controller.api.git_origin import GIT, Write, Writing
from controller.api.status import GitWrite, Rejection, Status
from controller.api.what_runs import GIT_ORIGIN
from controller.rollout.draft import Draft
from controller.rollout.effect import Answered, Refused, Result, Retrying, is_settled

KEPT_S = 7 * 86_400.0
"""What could not be written for so long is given up."""
FAILING = "GitFailing"
_MOST_TEXT = 512


def write_to_git(draft: Draft, rejection: Rejection) -> None:
    origin, status = draft.seen.spec.git_origin, draft.status
    if origin is None or origin.write is Write.NEVER or not status.stable:
        return
    payload = {
        "origin": origin.to_raw(),
        "revision": rejection.revision,
        "stable": status.stable,
        "attempt": status.attempts,
        "at": times.to_text(rejection.at),
        "message": rejection.message[:_MOST_TEXT],
        "evidence": rejection.evidence[:_MOST_TEXT],
    }
    name = f"{GIT}.{rejection.revision}.{status.attempts}"
    # a retry in the same pass, of a version that still crashes
    draft.effects[:] = [one for one in draft.effects if one.payload.get("writing") != Writing.RETRY]
    draft.effects.append(Effect(name, GIT, payload, must_deliver=True))


def bring_back_in_git(draft: Draft, revision: str, by: str) -> None:
    """After a retry, while the version is still among the rejected: the commit of its rollback was a false alarm."""
    origin, status = draft.seen.spec.git_origin, draft.status
    if origin is None or origin.write is Write.NEVER or not status.stable:
        return
    payload = {
        "origin": origin.to_raw(),
        "writing": str(Writing.RETRY),
        "revision": revision,
        "stable": status.stable,
        "attempt": status.attempts,
        "at": times.to_text(draft.now),
        "message": f"retry by {by}"[:_MOST_TEXT],
    }
    draft.effects.append(Effect(f"{GIT}.{revision}.{status.attempts}.retry", GIT, payload, must_deliver=True))
    _note(draft, revision, GitWrite(retried=True))


def say_forgotten(draft: Draft, revision: str) -> None:
    """What is still to be written of a rejection that the status has no room for goes with it."""
    for item in draft.seen.status.owed:
        about, result = item.effect.payload.get("revision"), draft.seen.effects.get(item.effect.id)
        if item.effect.kind == GIT and about == revision and not _is_retry(item) and not is_settled(result):
            draft.event("GitNotWritten", f"{revision}: dropped, because its rejection is forgotten", warning=True)


def not_written(draft: Draft, owed: Iterable[Owed]) -> Iterator[Owed]:
    """What is still to be written, with the repository as the spec has it now. What came of the others is noted."""
    for item in owed:
        if item.effect.kind != GIT:
            yield item
        elif not _is_wanted(draft, item):
            continue
        elif not _is_settled(draft, item):
            yield _forwarded(draft, item)


def _is_wanted(draft: Draft, item: Owed) -> bool:
    """A version is rolled back, or tried again: what is owed for the other is of the past."""
    spec = draft.seen.spec
    allowed = GIT_ORIGIN in spec.unread or (spec.git_origin is not None and spec.git_origin.write is not Write.NEVER)
    return allowed and draft.status.is_rejected(str(item.effect.payload.get("revision"))) is not _is_retry(item)


def _is_retry(item: Owed) -> bool:
    return item.effect.payload.get("writing") == Writing.RETRY


def _is_settled(draft: Draft, item: Owed) -> bool:
    revision, result = str(item.effect.payload.get("revision")), draft.seen.effects.get(item.effect.id)
    given_up = isinstance(result, Retrying) and draft.now - item.since > KEPT_S
    found = _outcome(item, result, given_up=given_up)
    if found is None:
        return False
    _note(draft, revision, found)
    if isinstance(result, Answered):
        nothing = not (found.commit or found.branch)
        # after a retry most branches have the version already
        draft.event("GitWritten", f"{revision}: {found.sentence}", warning=nothing and not found.retried)
    elif given_up or isinstance(result, Refused):
        draft.event("GitNotWritten", f"{revision}: {found.note}", warning=True)
    else:
        draft.announce(FAILING, f"{revision}: {found.note}; Pointsman tries again", about=revision)
    return given_up or is_settled(result)


def _outcome(item: Owed, result: Result | None, *, given_up: bool = False) -> GitWrite | None:
    """None: nothing is known yet."""
    retried = _is_retry(item)
    match result:
        case Answered(value):
            return replace(_read(value), retried=retried)
        case Retrying(message) if given_up:
            return GitWrite(note=f"not written within {KEPT_S / 86_400:g} days: {message}", retried=retried)
        case Refused(message) | Retrying(message):
            return GitWrite(note=message, retried=retried)
        case None:
            return None


def with_outcome(status: Status, item: Owed, result: Result | None) -> Status:
    """What is known of it stands beside the rejection, of whatever kind it is."""
    found = _outcome(item, result) if item.effect.kind == GIT else None
    return status if found is None else _noted(status, str(item.effect.payload.get("revision")), found)


def _note(draft: Draft, revision: str, written: GitWrite) -> None:
    draft.status = _noted(draft.status, revision, written)


def _noted(status: Status, revision: str, written: GitWrite) -> Status:
    last = status.last_rollback
    if last is None or last.revision != revision or last.git == written:
        return status
    return status.changed(last_rollback=replace(last, git=written))


def _forwarded(draft: Draft, item: Owed) -> Owed:
    origin = draft.seen.spec.git_origin
    if origin is None or draft.seen.deleting:
        return item
    payload = {**item.effect.payload, "origin": origin.to_raw()}
    return item if payload == item.effect.payload else replace(item, effect=replace(item.effect, payload=payload))


def _read(value: Mapping[str, Any]) -> GitWrite:
    commit, branch, pull_request, note = (
        str(value.get(key) or "") for key in ("commit", "branch", "pullRequest", "note")
    )
    return GitWrite(commit, branch, pull_request, note)
