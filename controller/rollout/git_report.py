"""What the forge shows beside the commit that caused a release: its share while it goes on, then how it ended.

Of each release the newest state is owed and nothing else, so a forge that is away for an hour hears of the last one
only. `effects/git_report.py` carries it out, and no decision waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from controller.api.effect import Effect, Owed
from controller.api.git_origin import GitOrigin, Report
from controller.api.text import one_line
from controller.api.what_runs import GIT_ORIGIN
from controller.rollout.draft import Draft
from controller.rollout.effect import Answered, Refused, Retrying, is_settled

KIND = "gitReport"
KEPT_S = 86_400.0
"""What could not be reported for so long is given up."""
MOST_OWED = 3
"""Releases of which the end is still to be reported."""
_FAILING = "CommitReportFailing"
_MOST_MESSAGE = 140
_MOST_EVIDENCE = 512


@dataclass(frozen=True)
class _Said:
    revision: str
    attempt: int
    state: str
    message: str
    evidence: str = ""


def report(draft: Draft) -> Iterator[Effect]:
    """Of what this decision leaves. The status is summarized already."""
    origin = draft.seen.spec.git_origin
    if origin is not None and origin.report is not Report.NEVER:
        yield from (_effect(draft, origin, said) for said in (*_ends(draft), *_goes_on(draft)))


def _ends(draft: Draft) -> Iterator[_Said]:
    before, after = draft.seen.status, draft.status
    old, rollback = before.attempt, after.last_rollback
    known = before.last_rollback
    if rollback is not None and (known is None or (rollback.revision, rollback.at) != (known.revision, known.at)):
        # `errors 12/240 vs 3/4600` is read in a list of checks, and the sentence in the comment
        why = draft.failed_by or rollback.message
        yield _Said(rollback.revision, before.attempts, "failure", f"rolled back, {why}", rollback.message)
        if old is not None and old.canary == rollback.revision:
            return
    if old is None or (
        after.attempt is not None and (after.attempt.canary, after.attempts) == (old.canary, before.attempts)
    ):
        if old is not None and draft.seen.deleting:
            yield _Said(old.canary, before.attempts, "ended", "the Release was deleted")
        return
    if after.stable == old.canary:
        yield _Said(
            old.canary, before.attempts, "success", "promoted" if before.stable else "deployed", before.evidence
        )
    else:
        instead = f": {after.canary} came instead" if after.canary else ""
        yield _Said(old.canary, before.attempts, "ended", f"not promoted{instead}")


def _goes_on(draft: Draft) -> Iterator[_Said]:
    """Without what moves with each look: each other payload is a write of the status, and a call."""
    status, attempt = draft.status, draft.status.attempt
    if attempt is None or draft.seen.deleting:
        return
    what = f"{status.weight:g} %"
    if not status.stable:
        what = "first version"
    elif status.weight <= 0:
        what = "no work yet"
    if status.stable and status.steps:
        what += f", step {min(attempt.step + 1, status.steps)} of {status.steps}"
    if attempt.paused_by:
        what += ", paused"
    elif attempt.awaits_person:
        what += ", waits for a person"
    yield _Said(attempt.canary, status.attempts, "pending", what)


def _effect(draft: Draft, origin: GitOrigin, said: _Said) -> Effect:
    name = f"{KIND}.{said.revision}.{said.attempt}"
    goes_on = said.state == "pending"
    payload: dict[str, Any] = {
        "origin": origin.to_raw(),
        "revision": said.revision,
        "attempt": said.attempt,
        "stable": draft.status.stable,
        "state": said.state,
        "message": one_line(said.message, _MOST_MESSAGE),
        "evidence": one_line(said.evidence, _MOST_EVIDENCE),
    }
    commit = _commit(draft, name, said.revision)
    if commit:
        payload["commit"] = commit
    return Effect(name if goes_on else f"{name}.end", KIND, payload, must_deliver=not goes_on)


def _commit(draft: Draft, name: str, revision: str) -> str:
    """Of the whole release the one that it was reported to first; empty: it is looked up in git."""
    result = draft.seen.effects.get(name)
    found = str(result.value.get("commit", "")) if isinstance(result, Answered) else ""
    payloads = (one.effect.payload for one in draft.seen.status.owed if one.effect.id == name)
    known = next((str(one.get("commit", "")) for one in payloads), "")
    return found or known or (draft.seen.commit if draft.seen.spec_revision == revision else "")


def still_reported(draft: Draft, owed: Iterable[Owed]) -> Iterator[Owed]:
    """What is still to be reported, as the spec has it now, without what was given up."""
    items = list(owed)
    origin = draft.seen.spec.git_origin
    mine = [item for item in items if item.effect.kind == KIND]
    newest = sorted(mine, key=lambda item: item.since, reverse=True)[:MOST_OWED]
    for item in items:
        if item.effect.kind != KIND or draft.seen.deleting:
            yield item
        elif GIT_ORIGIN in draft.seen.spec.unread:
            if not _given_up(draft, item):
                yield item
        elif origin is None or origin.report is Report.NEVER:
            continue
        elif item not in newest:
            _say_dropped(draft, item)
        elif not _given_up(draft, item):
            payload = {**item.effect.payload, "origin": origin.to_raw()}
            changed = payload != item.effect.payload
            yield replace(item, effect=replace(item.effect, payload=payload)) if changed else item


def _say_dropped(draft: Draft, item: Owed) -> None:
    """Of an end that nobody has heard of; a state in between has a newer one in its place."""
    if item.effect.must_deliver and not is_settled(draft.seen.effects.get(item.effect.id)):
        message = f"dropped, because {MOST_OWED} newer ones are still to be reported"
        draft.event("CommitNotReported", f"{item.effect.payload.get('revision')}: {message}", warning=True)


def _given_up(draft: Draft, item: Owed) -> bool:
    revision, result = str(item.effect.payload.get("revision")), draft.seen.effects.get(item.effect.id)
    match result:
        case Refused() if item.effect.must_deliver:
            draft.event("CommitNotReported", f"{revision}: {result.message}", warning=True)
        case Refused():
            draft.announce("CommitNotReported", f"{revision}: {result.message}", about=revision)
        case Retrying() if draft.now - item.since > KEPT_S and item.effect.must_deliver:
            draft.event("CommitNotReported", f"{revision}: not reported within a day: {result.message}", warning=True)
            return True
        case Retrying():
            message = f"{revision}: {result.message}; Pointsman tries again"
            draft.announce(_FAILING, message, about=revision)
        case None if f"{_FAILING}:{revision}" in draft.seen.status.announced:
            # another state is tried; whether that works is not known yet
            draft.announce(_FAILING, f"{revision}: Pointsman tries again", about=revision)
        case _:
            pass
    return item.effect.must_deliver and is_settled(result)
