"""Whom to notify of what a decision has changed.

A notice is an effect that must be delivered: it is owed from the status write that holds the change itself, so it is
neither lost nor made twice, and nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from controller.api import times
from controller.api.effect import Effect, Owed
from controller.api.notice import MOST_MESSAGE, REASONS_OF_TROUBLE, Notice, Topic
from controller.api.notify import Notify
from controller.api.reasons import Reason
from controller.api.status import KEPT, Notified, Rejection
from controller.rollout.draft import Draft
from controller.rollout.effect import Refused, Retrying

KIND = "notify"
KEPT_S = 86_400.0
"""A notification that could not be delivered for so long is given up."""
QUIET_S = 3_600.0
"""Trouble that comes and goes is notified of once in this time."""


@dataclass(frozen=True)
class _Thing:
    """What people are notified of once: in an attempt, by `about`; where that is empty, whenever it happens."""

    topic: Topic
    reason: str
    message: str
    revision: str
    evidence: str = ""
    about: str = ""


def notify(draft: Draft) -> Iterator[Effect]:
    """Of what this decision has changed. The status is summarized already."""
    for thing in (*_ends(draft), *_waits(draft)):
        targets = [target for target in draft.seen.spec.notify if thing.topic in target.topics]
        if targets and _is_news(draft, thing):
            yield from (_effect(draft, target, thing) for target in targets)


def forward(draft: Draft, owed: Sequence[Owed]) -> Iterator[Owed]:
    """What is owed from before, with each target's fields as they are now. What has no target any longer goes."""
    targets = {target.name: target for target in draft.seen.spec.notify}
    for item in owed:
        if item.effect.kind != KIND:
            yield item
            continue
        to = item.effect.payload.get("to", "")
        target = targets.get(to)
        if draft.seen.deleting:
            yield item
        elif target is not None and not _is_given_up(draft, item, to):
            payload = {**item.effect.payload, "notifier": target.kind, "config": dict(target.raw)}
            yield (
                item if payload == item.effect.payload else replace(item, effect=replace(item.effect, payload=payload))
            )


def _is_given_up(draft: Draft, item: Owed, to: str) -> bool:
    result = draft.seen.effects.get(item.effect.id)
    if isinstance(result, Refused):
        draft.event("NotificationLost", f"{to}: {result.message}", warning=True)
    elif isinstance(result, Retrying):
        if draft.now - item.since > KEPT_S:
            draft.event("NotificationLost", f"{to}: not delivered within a day: {result.message}", warning=True)
            return True
        draft.announce("NotificationFailing", f"{to}: {result.message}; Pointsman tries again", about=to)
    return False


def _ends(draft: Draft) -> Iterator[_Thing]:
    before, after = draft.seen.status, draft.status
    rollback = after.last_rollback
    if rollback is not None and not _is_same(rollback, before.last_rollback):
        message = f"{rollback.message}. {after.stable} has all of the traffic"
        yield _Thing(Topic.ROLLED_BACK, rollback.reason, message, rollback.revision, rollback.evidence)
    elif after.stable != before.stable:
        instead = f" instead of {before.stable}" if before.stable else ", the first version,"
        message = f"{after.stable}{instead} has all of the traffic"
        yield _Thing(Topic.PROMOTED, after.judged, message, after.stable, before.evidence)


def _is_same(rollback: Rejection, other: Rejection | None) -> bool:
    """What is noted of it later makes no other one of it."""
    return other is not None and (rollback.revision, rollback.at) == (other.revision, other.at)


def _waits(draft: Draft) -> Iterator[_Thing]:
    status = draft.status
    if status.attempt is None:
        return
    if status.attempt.awaits_person or Reason.LIMIT_EXCEEDED in draft.announced:
        about = f"{Topic.AWAITING_APPROVAL}:{status.step}"
        yield _Thing(
            Topic.AWAITING_APPROVAL, status.reason, status.message, status.canary, status.evidence, about=about
        )
    for reason, topic in REASONS_OF_TROUBLE.items():
        event = draft.announced.get(reason)
        if event is not None and reason not in draft.seen.status.announced:
            yield _Thing(topic, reason, event.message, status.canary, status.evidence, about=topic)


def _is_news(draft: Draft, thing: _Thing) -> bool:
    if not thing.about:
        return True
    before = draft.attempt.notified
    known = [item.at for item in before if item.about == thing.about]
    lasts = thing.topic is Topic.AWAITING_APPROVAL
    if known and (lasts or draft.now - max(known) < QUIET_S):
        return False
    others = [item for item in before if item.about != thing.about]
    draft.update_attempt(notified=(*others, Notified(thing.about, draft.now))[-KEPT:])
    return True


def _effect(draft: Draft, target: Notify, thing: _Thing) -> Effect:
    status = draft.status
    notice = Notice(
        topic=thing.topic,
        reason=thing.reason,
        message=thing.message,
        revision=thing.revision,
        at=times.to_seconds_text(draft.now),
        attempt=status.attempts,
        stable=status.stable,
        evidence=thing.evidence,
    )
    name = f"{KIND}.{target.name}.{thing.topic}.{thing.revision}.{status.attempts}.{draft.now:.0f}"
    longest = MOST_MESSAGE
    while True:
        payload = {
            "to": target.name,
            "notifier": target.kind,
            "config": dict(target.raw),
            "notice": notice.to_raw(longest),
        }
        effect = Effect(name, KIND, payload, must_deliver=True)
        if effect.fits or not longest:
            return effect
        longest //= 2
