"""What lasts: who is told of it, who is told once nobody has acted for a while, and who hears of its end.

It stands in the status from its first decision to its last one, so that a crash neither loses nor repeats anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from controller.api.effect import Owed
from controller.api.notice import MOST_EVIDENCE, MOST_MESSAGE, Incident, State, Topic
from controller.api.notify import Notify
from controller.api.status import Status
from controller.api.text import one_line
from controller.rollout.draft import Draft

LOST = "NotificationLost"
"""The event of a notification that is given up."""
MOST = 10
KEPT_S = 86_400.0
"""A notification that could not be sent for so long is given up."""


@dataclass(frozen=True)
class Thing:
    """What people are notified of."""

    topic: Topic
    reason: str
    message: str
    revision: str
    evidence: str = ""
    about: str = ""
    """What it is told apart by while it lasts; empty: it does not last."""
    at: float | None = None
    """When it happened, in seconds since the epoch; None: now."""
    attempt: int | None = None
    """The number of the rollout; None: of the one under way, or the last one."""


@dataclass(frozen=True)
class Announcement:
    target: Notify
    thing: Thing
    state: State = State.OPEN
    lasted_s: float = 0.0


def follow(draft: Draft, lasting: Iterable[Thing], is_news: Callable[[Thing], bool]) -> Iterator[Announcement]:
    """Whom to tell now. `lasting` is all that lasts; `is_news` is asked once, when one of it begins."""
    known = {incident.about: _as_it_lasts(incident) for incident in draft.status.incidents}
    hearing = _hearing(draft)
    kept: list[Incident] = []
    for thing in lasting:
        targets = [target for target in draft.seen.spec.notify if thing.topic in target.topics]
        before = known.get(thing.about)
        if not targets:
            continue
        known.pop(thing.about, None)
        if before is None:
            incident = Incident(thing.about, thing.topic, thing.revision, draft.now, quiet=not is_news(thing))
        else:
            incident = replace(before, acknowledged=before.acknowledged or _has_acted(draft, thing))
        acted = before is not None and incident != before
        staying = _staying(draft, incident, targets)
        for name in incident.notified:
            if name not in staying and name in hearing:
                over = replace(thing, message=f"{name} is notified of it no longer: {thing.message}")
                yield Announcement(hearing[name], over, State.RESOLVED, draft.now - incident.since)
        incident = replace(incident, notified=staying)
        for target in targets:
            state = _due(draft, incident, target, acted=acted)
            if state is not None:
                yield Announcement(target, thing, state, draft.now - incident.since)
            if state is State.OPEN:
                incident = replace(incident, notified=(*incident.notified, target.name))
        kept.append(incident)
    for incident in known.values():
        yield from _ended(draft.status, incident, hearing, draft.now)
    notified = {name for incident in kept[-MOST:] for name in incident.notified}
    alerted = [target for target in draft.seen.spec.notify if target.name in notified and target.hears_ends]
    draft.update(incidents=tuple(kept[-MOST:]), alerted=tuple(_as_alerted(target) for target in alerted))


def begin(draft: Draft, lasting: Iterable[Thing], happened: Iterable[Thing], is_news: Callable[[Thing], bool]) -> None:
    """While nobody knows whom to tell: what begins now is told once that is known, if it lasts until then, and so is
    what happened, for a day. That takes no room from what lasts; beyond MOST the oldest of it goes.
    """
    things = {thing.about: thing for thing in lasting}
    kept = [one for one in draft.status.incidents if one.notified or one.about in things]
    known = {one.about for one in kept}
    new = [
        _as_kept(draft, thing, thing.about, quiet=not is_news(thing))
        for thing in things.values()
        if thing.about not in known
    ]
    going_on = (*kept, *new)[:MOST]
    waiting = [one for one in draft.status.incidents if not one.lasts]
    waiting += [_as_kept(draft, thing, f"{thing.topic}:{thing.revision}:{draft.status.attempts}") for thing in happened]
    fresh = [one for one in waiting if draft.now - one.since <= KEPT_S]
    fitting = fresh[max(0, len(fresh) - (MOST - len(going_on))) :]
    for one in waiting:
        if one not in fitting:
            until = "for a day" if one not in fresh else "before newer ones took its place"
            draft.event(LOST, _unsent(one, until), warning=True)
    draft.update(incidents=(*going_on, *fitting))


def late(draft: Draft) -> Iterator[Thing]:
    """What happened while nobody knew whom to tell. It is an incident no longer once `follow` has been there."""
    for one in draft.status.incidents:
        if not one.lasts:
            yield Thing(
                one.topic, one.reason, one.message, one.revision, one.evidence, at=one.since, attempt=one.attempt
            )


def unsent(incidents: Iterable[Incident]) -> Iterator[str]:
    """A sentence for each that nobody was notified of before the Release was deleted, as nobody knew whom to notify."""
    for one in incidents:
        if not one.lasts or (one.message and not one.quiet):
            yield _unsent(one, "before the Release was deleted")


def _unsent(one: Incident, until: str) -> str:
    return f"{one.topic} of {one.revision}: it was not known {until} whom to notify: {one.message}"


def _as_kept(draft: Draft, thing: Thing, about: str, *, quiet: bool = False) -> Incident:
    """Until it is known whom to notify, with what it is about."""
    return Incident(
        about,
        thing.topic,
        thing.revision,
        draft.now,
        quiet=quiet,
        reason=str(thing.reason),
        message=one_line(thing.message, MOST_MESSAGE),
        evidence=one_line(thing.evidence, MOST_EVIDENCE),
        attempt=draft.status.attempts,
    )


def _as_it_lasts(incident: Incident) -> Incident:
    """Once it is known whom to notify."""
    return replace(incident, reason="", message="", evidence="", attempt=0)


def ends(status: Status, now: float) -> Iterator[Announcement]:
    """Of all that lasts, to whoever was notified of it."""
    hearing = {target.name: target for target in status.alerted}
    for incident in status.incidents:
        yield from _ended(status, incident, hearing, now)


def superseded(owed: Iterable[Owed], announcements: Iterable[Announcement]) -> Iterator[Owed]:
    """Without what was not delivered before the same thing was acknowledged or over: it could arrive last."""
    gone = {
        (announcement.target.name, announcement.thing.about)
        for announcement in announcements
        if announcement.state is not State.OPEN
    }
    for item in owed:
        payload = item.effect.payload
        if (payload.get("to"), payload.get("notice", {}).get("incident", "")) not in gone:
            yield item


def _due(draft: Draft, incident: Incident, target: Notify, *, acted: bool) -> State | None:
    if target.name in incident.notified:
        return State.ACKNOWLEDGED if acted and target.hears_ends else None
    if incident.acknowledged if target.after else incident.quiet:
        return None
    left = incident.since + target.after - draft.now
    if left <= 0:
        return State.OPEN
    draft.again(left)
    return None


def _has_acted(draft: Draft, thing: Thing) -> bool:
    """A person has asked for something, or pushed another version after a rollback."""
    pushed = thing.topic is Topic.ROLLED_BACK and draft.status.attempt is not None
    return pushed or any(answer.accepted for answer in draft.answers)


def _ended(status: Status, incident: Incident, hearing: Mapping[str, Notify], now: float) -> Iterator[Announcement]:
    thing = Thing(incident.topic, status.reason, status.message, incident.revision, about=incident.about)
    for name in incident.notified:
        if name in hearing:
            yield Announcement(hearing[name], thing, State.RESOLVED, now - incident.since)


def _hearing(draft: Draft) -> dict[str, Notify]:
    """Who hears of ends: as the spec has it, or as it was when it was notified, where that was another one."""
    found = {target.name: target for target in draft.status.alerted}
    for target in draft.seen.spec.notify:
        before = found.get(target.name)
        if target.hears_ends if before is None else before.kind == target.kind:
            found[target.name] = target
    return found


def _staying(draft: Draft, incident: Incident, targets: Iterable[Notify]) -> tuple[str, ...]:
    """Who was notified and still is to be, in the same way."""
    before = {target.name: target.kind for target in draft.status.alerted}
    wanted = {target.name for target in targets if before.get(target.name, target.kind) == target.kind}
    return tuple(name for name in incident.notified if name in wanted)


def _as_alerted(target: Notify) -> Notify:
    """As the status keeps it."""
    return Notify(target.name, frozenset(), target.kind, target.raw, hears_ends=True)
