"""After a rollback git goes back, too, where the Release allows it. Nothing waits for that.

It is owed from the write that rejects the version on, so traffic is back before. `effects/git_rollback.py` carries it
out; what came of it is kept beside the rejection. A version that is rolled out again after all owes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from controller.api import times
from controller.api.effect import Effect, Owed
from controller.api.git_origin import GIT, Write
from controller.api.status import GitWrite, Rejection
from controller.rollout.draft import Draft
from controller.rollout.effect import Answered, Refused, Retrying

KEPT_S = 7 * 86_400.0
"""What could not be written for so long is given up."""
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
    draft.effects.append(Effect(name, GIT, payload, must_deliver=True))


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
    origin = draft.seen.spec.git_origin
    allowed = origin is not None and origin.write is not Write.NEVER
    return allowed and draft.status.is_rejected(str(item.effect.payload.get("revision")))


def _is_settled(draft: Draft, item: Owed) -> bool:
    revision, result = str(item.effect.payload.get("revision")), draft.seen.effects.get(item.effect.id)
    match result:
        case Answered():
            found = _read(result.value)
            _note(draft, revision, found)
            draft.event("GitWritten", f"{revision}: {found.sentence}", warning=not (found.commit or found.branch))
            return True
        case Refused():
            _note(draft, revision, GitWrite(note=result.message))
            draft.event("GitNotWritten", f"{revision}: {result.message}", warning=True)
            return True
        case Retrying() if draft.now - item.since > KEPT_S:
            problem = f"not written within {KEPT_S / 86_400:g} days: {result.message}"
            _note(draft, revision, GitWrite(note=problem))
            draft.event("GitNotWritten", f"{revision}: {problem}", warning=True)
            return True
        case Retrying():
            _note(draft, revision, GitWrite(note=result.message))
            draft.announce("GitFailing", f"{revision}: {result.message}; Pointsman tries again", about=revision)
            return False
        case _:
            return False


def _note(draft: Draft, revision: str, written: GitWrite) -> None:
    last = draft.status.last_rollback
    if last is not None and last.revision == revision and last.git != written:
        draft.update(last_rollback=replace(last, git=written))


def _forwarded(draft: Draft, item: Owed) -> Owed:
    origin = draft.seen.spec.git_origin
    if origin is None or draft.seen.deleting:
        return item
    payload = {**item.effect.payload, "origin": origin.to_raw()}
    return item if payload == item.effect.payload else replace(item, effect=replace(item.effect, payload=payload))


def _read(value: Mapping[str, Any]) -> GitWrite:
    texts = (str(value.get(key) or "") for key in ("commit", "branch", "pullRequest", "note"))
    return GitWrite(*texts)
