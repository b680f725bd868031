"""Whom to notify of what a decision has changed.

A notice is an effect that must be delivered: it is owed from the status write that holds the change itself, so it is
neither lost nor made twice, and nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from controller.api import times
from controller.api.effect import Effect, Owed
from controller.api.notice import MOST_MESSAGE, REASONS_OF_TROUBLE, Notice, State, Topic
from controller.api.notify import Notify
from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.api.status import KEPT, Notified, Status
from controller.api.what_runs import NOTIFY
from controller.rollout.draft import Draft
from controller.rollout.effect import Refused, Retrying
from controller.rollout.git_rollback import FAILING
from controller.rollout.incidents import KEPT_S, LOST, Announcement, Thing, begin, follow, late, unsent

KIND = "notify"
_KNOWN_AGAIN_S = 60.0
"""No watch shows that the namespace's targets can be read again."""
QUIET_S = 3_600.0
"""Trouble that comes and goes is notified of once in this time."""


def announcements(draft: Draft) -> tuple[Announcement, ...]:
    """Whom to notify of what. The status is summarized already."""
    if draft.seen.deleting:
        # the status is written with them before it goes; `at_the_end` finds what of it was never decided
        once = tuple(_to_whom(draft, late(draft)))
        known = NOTIFY not in draft.seen.spec.unread
        for said in unsent(one for one in draft.status.incidents if one.lasts or not known):
            draft.event(LOST, said, warning=True)
        return (*once, *follow(draft, (), lambda _: False))
    if NOTIFY in draft.seen.spec.unread:
        if draft.seen.notify_problem:
            draft.announce("NotifyUnknown", f"nobody is notified: {draft.seen.notify_problem}")
        begin(draft, tuple(_lasting(draft)), tuple(_once(draft)), lambda thing: _is_news(draft, thing))
        if draft.seen.notify_problem and draft.status.incidents:
            draft.again(_KNOWN_AGAIN_S)
        return ()
    once = tuple(_to_whom(draft, (*late(draft), *_once(draft))))
    return (*once, *follow(draft, tuple(_lasting(draft)), lambda thing: _is_news(draft, thing)))


def _to_whom(draft: Draft, things: Iterable[Thing]) -> Iterator[Announcement]:
    for thing in things:
        for target in draft.seen.spec.notify:
            if thing.topic in target.topics:
                yield Announcement(target, thing)


def forward(draft: Draft, owed: Sequence[Owed]) -> Iterator[Owed]:
    """What is owed from before, with each target's fields as they are now. What has no target any longer goes, but for
    the end of what it was alerted to.
    """
    targets = {target.name: target for target in draft.seen.spec.notify}
    for item in owed:
        if item.effect.kind != KIND:
            yield item
            continue
        to = item.effect.payload.get("to", "")
        target = targets.get(to)
        if draft.seen.deleting:
            yield item
        elif NOTIFY in draft.seen.spec.unread or _is_end_elsewhere(item.effect.payload, target):
            if not _is_given_up(draft, item, to):
                yield item
        elif target is not None and not _is_given_up(draft, item, to):
            payload = {**item.effect.payload, **_how(target)}
            if not target.texts:
                payload.pop("texts", None)
            yield (
                item if payload == item.effect.payload else replace(item, effect=replace(item.effect, payload=payload))
            )


def _is_end_elsewhere(payload: Mapping[str, Any], target: Notify | None) -> bool:
    """Of an alert of a target that the spec has no longer, or has in another way."""
    is_end = payload.get("notice", {}).get("state") == State.RESOLVED
    return is_end and (target is None or target.kind != payload.get("notifier"))


def _is_given_up(draft: Draft, item: Owed, to: str) -> bool:
    result = draft.seen.effects.get(item.effect.id)
    if isinstance(result, Refused):
        draft.event(LOST, f"{to}: {result.message}", warning=True)
    elif isinstance(result, Retrying):
        if draft.now - item.since > KEPT_S:
            draft.event(LOST, f"{to}: not delivered within a day: {result.message}", warning=True)
            return True
        draft.announce("NotificationFailing", f"{to}: {result.message}; Pointsman tries again", about=to)
    return False


def _once(draft: Draft) -> Iterator[Thing]:
    before, after = draft.seen.status, draft.status
    if after.stable != before.stable and not _is_rolled_back_now(draft):
        instead = f" instead of {before.stable}" if before.stable else ", the first version,"
        message = f"{after.stable}{instead} has all of the traffic"
        yield Thing(Topic.PROMOTED, after.judged, message, after.stable, before.evidence)
    if after.attempt is not None and after.attempts != before.attempts:
        beside = f"beside {after.stable}, which stays stable" if after.stable else "as the first version"
        yield Thing(Topic.STARTED, after.reason, f"{after.canary} comes out {beside}", after.canary)


def _is_rolled_back_now(draft: Draft) -> bool:
    """What is noted of a rollback later makes no other one of it."""
    before, after = draft.seen.status.last_rollback, draft.status.last_rollback
    return after is not None and (before is None or (before.revision, before.at) != (after.revision, after.at))


def _lasting(draft: Draft) -> Iterator[Thing]:
    yield from _rollback(draft)
    yield from _commits(draft)
    if draft.status.phase is Phase.INVALID:
        yield _thing(draft, Topic.INVALID)
    elif draft.status.attempt is not None:
        yield from _waits(draft)


def _rollback(draft: Draft) -> Iterator[Thing]:
    """Until the Release is healthy again."""
    status = draft.status
    rollback = status.last_rollback
    if rollback is None:
        return
    about = f"{Topic.ROLLED_BACK}:{rollback.revision}:{rollback.at:.0f}"
    lasts = status.phase is not Phase.HEALTHY and any(one.about == about for one in status.incidents)
    if lasts or _is_rolled_back_now(draft):
        message = f"{rollback.message}. {status.stable} has all of the traffic"
        yield Thing(Topic.ROLLED_BACK, rollback.reason, message, rollback.revision, rollback.evidence, about)


def _commits(draft: Draft) -> Iterator[Thing]:
    rollback = draft.status.last_rollback
    if rollback is None:
        return
    event = draft.announced.get(f"{FAILING}:{rollback.revision}")
    if event is not None:
        about = f"{Topic.COMMIT_OWED}:{rollback.revision}:{rollback.at:.0f}"
        yield Thing(Topic.COMMIT_OWED, FAILING, event.message, rollback.revision, about=about)


def _waits(draft: Draft) -> Iterator[Thing]:
    status, awaits_person = draft.status, draft.attempt.awaits_person or Reason.LIMIT_EXCEEDED in draft.announced
    troubles = {
        topic: Thing(topic, reason, event.message, status.canary, status.evidence, f"{topic}:{status.attempts}")
        for reason, topic in REASONS_OF_TROUBLE.items()
        if (event := draft.announced.get(reason)) is not None
    }
    yield from troubles.values()
    if awaits_person:
        yield _thing(draft, Topic.AWAITING_APPROVAL, f":{status.step}")
    elif status.phase is Phase.WAITING and not troubles:
        yield _thing(draft, Topic.WAITING)
    if draft.seen.evidence.held_back is not None:
        yield _thing(draft, Topic.SUSPICIOUS)


def _thing(draft: Draft, topic: Topic, at: str = "") -> Thing:
    status = draft.status
    about = f"{topic}:{status.attempts}{at}"
    return Thing(topic, status.reason, status.message, status.canary or status.stable, status.evidence, about)


def _is_news(draft: Draft, thing: Thing) -> bool:
    """Waits that come and go in a rollout are told of once in QUIET_S, and a person's step once."""
    if draft.status.attempt is None or thing.topic in (Topic.ROLLED_BACK, Topic.COMMIT_OWED, Topic.INVALID):
        return True
    lasts = thing.topic is Topic.AWAITING_APPROVAL
    about = f"{thing.topic}:{draft.status.step}" if lasts else str(thing.topic)
    before = draft.attempt.notified
    known = [item.at for item in before if item.about == about]
    if known and (lasts or draft.now - max(known) < QUIET_S):
        return False
    others = [item for item in before if item.about != about]
    draft.update_attempt(notified=(*others, Notified(about, draft.now))[-KEPT:])
    return True


def effect_of(status: Status, announcement: Announcement, now: float) -> Effect:
    target, thing = announcement.target, announcement.thing
    at = now if thing.at is None else thing.at
    attempt = status.attempts if thing.attempt is None else thing.attempt
    message = thing.message
    if target.after and announcement.state is State.OPEN:
        message = f"nobody has acted for {announcement.lasted_s / 60:.0f} min: {message}"
    notice = Notice(
        topic=thing.topic,
        reason=thing.reason,
        message=message,
        revision=thing.revision,
        at=times.to_seconds_text(at),
        attempt=attempt,
        stable=status.stable,
        evidence=thing.evidence,
        state=announcement.state,
        incident=thing.about,
    )
    state = "" if announcement.state is State.OPEN else f".{announcement.state}"
    name = f"{KIND}.{target.name}.{thing.topic}.{thing.revision}.{attempt}.{at:.0f}{state}"
    longest = MOST_MESSAGE
    while True:
        payload = {"to": target.name, **_how(target), "notice": notice.to_raw(longest)}
        effect = Effect(name, KIND, payload, must_deliver=True)
        if effect.fits or not longest:
            return effect
        longest //= 2


def _how(target: Notify) -> dict[str, Any]:
    """As the spec has it now."""
    how = {"notifier": target.kind, "config": dict(target.raw)}
    return how | ({"texts": dict(target.texts)} if target.texts else {})
