"""What people are notified of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from controller.api.fields import Absent, field, record
from controller.api.reasons import Facts, Reason, meaning_of
from controller.api.shapes import Integer, Text, Word
from controller.api.text import one_line

MOST_MESSAGE = 1024
_MOST_REASON = 63
MOST_EVIDENCE = 256


class Topic(StrEnum):
    ROLLED_BACK = "RolledBack"
    PROMOTED = "Promoted"
    AWAITING_APPROVAL = "AwaitingApproval"
    SOURCE_OUTAGE = "SourceOutage"
    METRIC_BROKEN = "MetricBroken"
    COMMIT_OWED = "CommitOwed"
    STARTED = "Started"
    WAITING = "Waiting"
    SUSPICIOUS = "Suspicious"
    INVALID = "Invalid"


TOPICS = tuple(str(topic) for topic in Topic)
DEFAULT_TOPICS = TOPICS[: TOPICS.index(Topic.STARTED)]
"""The others come with every rollout, or with every typing error."""
LASTING = tuple(topic for topic in TOPICS if topic not in (Topic.PROMOTED, Topic.STARTED))
"""They begin and end. Somebody can act, or fail to."""


class State(StrEnum):
    """Of what lasts."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    """Somebody has begun to act."""
    RESOLVED = "resolved"


@dataclass(frozen=True)
class Incident:
    """Something that lasts, and who was notified of it; or something that happened while nobody knew whom to notify."""

    about: str
    topic: Topic
    revision: str
    since: float
    """Seconds since the epoch."""
    notified: tuple[str, ...] = ()
    """Names of targets."""
    acknowledged: bool = False
    quiet: bool = False
    """People have heard of the same lately: only those who wait for it to last are notified."""
    reason: str = ""
    """Of what is kept until it is known whom to notify, with the next three: the status says something else by then."""
    message: str = ""
    evidence: str = ""
    attempt: int = 0

    @property
    def lasts(self) -> bool:
        return self.topic in LASTING


_STATES = tuple(str(state) for state in State)

_TITLES = {
    Topic.ROLLED_BACK: "{revision} was rolled back",
    Topic.PROMOTED: "{revision} is promoted",
    Topic.AWAITING_APPROVAL: "{revision} waits for a person",
    Topic.SOURCE_OUTAGE: "a metric source does not answer",
    Topic.METRIC_BROKEN: "a metric cannot be used",
    Topic.COMMIT_OWED: "the rollback of {revision} is not in git",
    Topic.STARTED: "{revision} comes out",
    Topic.WAITING: "{revision} waits",
    Topic.SUSPICIOUS: "{revision} looks worse",
    Topic.INVALID: "the manifest cannot be used",
}


@record("What happened.")
class Notice:
    topic: Topic = field(Word(TOPICS), "What it is about.", convert=Topic)
    reason: str = field(Text(_MOST_REASON), "The reason, as in the status.")
    message: str = field(Text(MOST_MESSAGE), "What is.")
    revision: str = field(Text(_MOST_REASON), "The version that it is about.")
    at: str = field(Text(40), "When, in RFC 3339.")
    attempt: int = field(Integer(0), "The number of the rollout.", default=Absent(0))
    stable: str = field(Text(_MOST_REASON), "The version that is stable now.", default=Absent(""))
    evidence: str = field(Text(MOST_EVIDENCE), "The counts.", default=Absent(""))
    state: State = field(
        Word(_STATES), "Of what lasts: whether it still does.", default=Absent(State.OPEN), convert=State
    )
    incident: str = field(
        Text(128), "Of what lasts: the same from its first notice to its last one.", default=Absent("")
    )

    def to_raw(self, longest: int = MOST_MESSAGE) -> dict[str, Any]:
        """With a message of at most `longest` characters."""
        return {
            "topic": str(self.topic),
            "reason": str(self.reason)[:_MOST_REASON],
            "message": one_line(self.message, min(longest, MOST_MESSAGE)),
            "revision": self.revision,
            "at": self.at,
            "attempt": self.attempt,
            "stable": self.stable,
            "evidence": one_line(self.evidence, min(longest, MOST_EVIDENCE)),
        } | ({"incident": self.incident, "state": str(self.state)} if self.incident else {})


@dataclass(frozen=True)
class Wording:
    """What a target's own templates have become, in its markup. Empty: the default."""

    title: str = ""
    text: str = ""


@dataclass(frozen=True)
class Notification:
    """A notice on its way to somebody."""

    id: str
    """The same for every try. A receiver that knows it already has this notification."""
    namespace: str
    release: str
    notice: Notice
    wording: Wording = Wording()

    @property
    def title(self) -> str:
        if self.wording.title:
            return self.wording.title
        what = _TITLES[self.notice.topic].format(revision=self.notice.revision)
        what = what if self.notice.state is State.OPEN else f"{self.notice.state}: {what}"
        return one_line(f"{self.namespace}/{self.release}: {what} ({self.notice.reason})", MOST_MESSAGE)

    @property
    def lines(self) -> tuple[str, ...]:
        """What is, below the title."""
        if self.wording.text:
            return tuple(self.wording.text.splitlines())
        notice = self.notice
        with_evidence = notice.evidence and notice.evidence not in notice.message
        lines = [notice.message, notice.evidence] if with_evidence else [notice.message]
        return tuple(one_line(line, MOST_MESSAGE) for line in lines)

    @property
    def next(self) -> tuple[str, ...]:
        """What a person can do about it: commands, or a sentence. A text of the target's own has its own."""
        return () if self.wording.text else self.commands

    @property
    def commands(self) -> tuple[str, ...]:
        rejected = self.notice.revision if self.notice.topic is Topic.ROLLED_BACK else ""
        about = self.notice.revision
        facts = Facts(self.namespace, self.release, stable=self.notice.stable, canary=about, rejected=rejected)
        explain = f"pointsman explain {facts.here}"
        if self.notice.topic is Topic.PROMOTED:
            lines = [explain, f"pointsman rollback {facts.here} --reason TEXT"]
        else:
            lines = [*meaning_of(self.notice.reason).lines(facts), explain]
        return tuple(one_line(line, MOST_MESSAGE) for line in lines)


REASONS_OF_TROUBLE = {
    Reason.SOURCE_OUTAGE: Topic.SOURCE_OUTAGE,
    Reason.METRIC_BROKEN: Topic.METRIC_BROKEN,
    Reason.METRIC_INVALID: Topic.METRIC_BROKEN,
    Reason.METRICS_MISSING: Topic.METRIC_BROKEN,
}
