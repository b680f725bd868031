"""Healthy versions are recorded in git, and a cluster that was built anew begins with the one that was healthy last.

Without a history everything looks like a first deployment, also a manifest whose version the old cluster was still
judging. So a first deployment waits for the record, for a time: nothing of it runs yet, and nobody else waits. Then the
recorded version is deployed like a first one, and that of the manifest follows it from step one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controller.api import times
from controller.api.effect import Effect, Owed
from controller.api.git_origin import GitOrigin, Write
from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.api.what_runs import GIT_ORIGIN
from controller.rollout.desired import Desired, Summary
from controller.rollout.draft import Draft
from controller.rollout.effect import Answered, Refused, Result, Retrying

RECORD, RECOVERY = "gitRecord", "gitRecovery"
_FAILING = "GitRecordFailing"
WAIT_S = 900.0
"""A repository that does not answer for so long keeps no version from being deployed."""
_WAY_OUT = "annotate the Release with pointsman.dev/without-record: allow, to deploy it at once"


def record(draft: Draft) -> Iterator[Effect]:
    """Of the stable version, until it is written."""
    origin, status = _writable(draft), draft.status
    if not status.stable or status.recorded == status.stable or draft.seen.deleting:
        return
    known = next((item for item in draft.seen.status.owed if item.effect.id == _name(status.stable)), None)
    if origin is None:
        if known is not None and GIT_ORIGIN in draft.seen.spec.unread:
            yield known.effect
        return
    at = times.to_text(draft.now if known is None else known.since)
    yield Effect(_name(status.stable), RECORD, {"origin": origin.to_raw(), "revision": status.stable, "at": at})


def note_recorded(draft: Draft, owed: Iterable[Owed]) -> Iterator[Owed]:
    """What came of it. A record that cannot be written is said and stays owed: nothing else needs it.

    One that is refused as it stands is not recorded either: with another origin it is tried again.
    """
    for item in owed:
        if item.effect.kind == RECORD:
            _note(draft, str(item.effect.payload.get("revision")), draft.seen.effects.get(item.effect.id))
        yield item


def _note(draft: Draft, revision: str, result: Result | None) -> None:
    match result:
        case Answered():
            if revision == draft.status.stable:
                draft.update(recorded=revision)
        case Retrying(message):
            draft.announce(_FAILING, f"{revision}: {message}; Pointsman tries again", about=revision)
        case Refused(message):
            draft.announce(
                _FAILING, f"{revision}: {message}; Pointsman tries again once gitOrigin differs", about=revision
            )
        case None:
            pass


def wait_for_record(draft: Draft) -> Desired | None:
    """What should be while the record is read; None: there is nothing to wait for."""
    seen, origin = draft.seen, _writable(draft)
    if draft.status.restored or seen.without_record or origin is None or not _is_without_history(draft):
        return None
    name = f"{RECOVERY}.{seen.spec_revision}"
    since = next((item.since for item in seen.status.owed if item.effect.id == name), draft.now)
    left = since + WAIT_S - draft.now
    match seen.effects.get(name):
        case Answered(value):
            return _restored(draft, str(value.get("revision") or ""), str(value.get("note") or ""))
        case Refused(message):
            draft.event(Reason.RECORD_UNREADABLE, f"{message}; it is deployed as a first version", warning=True)
            return None
        case result if left <= 0:
            why = result.message if isinstance(result, Retrying) else "no answer"
            message = f"not read within {WAIT_S / 60:g} minutes: {why}; it is deployed as a first version"
            draft.event(Reason.RECORD_UNREADABLE, message, warning=True)
            return None
        case result:
            draft.again(left)
            draft.effects.append(Effect(name, RECOVERY, {"origin": origin.to_raw(), "revision": seen.spec_revision}))
            if isinstance(result, Retrying):
                message = f"{result.message}. Pointsman waits for the record of healthy versions; {_WAY_OUT}"
                return Desired(Summary(Phase.WAITING, Reason.RECORD_UNREADABLE, message))
            message = "branch pointsman/state is read for the version that was healthy last"
            return Desired(Summary(Phase.PENDING, Reason.READING_RECORD, message))


def _restored(draft: Draft, revision: str, note: str) -> Desired | None:
    if note:
        draft.event(Reason.RECORD_UNREADABLE, f"{note}; it is deployed as a first version", warning=True)
    if not revision or revision == draft.seen.spec_revision:
        return None
    wanted = draft.seen.spec_revision
    message = f"{revision} was healthy last, so it is deployed first; {wanted} was never promoted, and follows"
    draft.event(Reason.READING_RECORD, message)
    draft.update(restored=revision)
    draft.again(0)  # the next decision begins with it
    return Desired(Summary(Phase.PENDING, Reason.READING_RECORD, message))


def _is_without_history(draft: Draft) -> bool:
    status = draft.status
    return status.attempt is None and not status.attempts and not draft.seen.revisions and not draft.seen.deleting


def _writable(draft: Draft) -> GitOrigin | None:
    origin = draft.seen.spec.git_origin
    return None if origin is None or origin.write is Write.NEVER else origin


def _name(revision: str) -> str:
    return f"{RECORD}.{revision}"
