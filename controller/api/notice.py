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
_MOST_EVIDENCE = 256


class Topic(StrEnum):
    ROLLED_BACK = "RolledBack"
    PROMOTED = "Promoted"
    AWAITING_APPROVAL = "AwaitingApproval"
    SOURCE_OUTAGE = "SourceOutage"
    METRIC_BROKEN = "MetricBroken"


TOPICS = tuple(str(topic) for topic in Topic)

_TITLES = {
    Topic.ROLLED_BACK: "{revision} was rolled back",
    Topic.PROMOTED: "{revision} is promoted",
    Topic.AWAITING_APPROVAL: "{revision} waits for a person",
    Topic.SOURCE_OUTAGE: "a metric source does not answer",
    Topic.METRIC_BROKEN: "a metric cannot be used",
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
    evidence: str = field(Text(_MOST_EVIDENCE), "The counts.", default=Absent(""))

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
            "evidence": one_line(self.evidence, min(longest, _MOST_EVIDENCE)),
        }


@dataclass(frozen=True)
class Notification:
    """A notice on its way to somebody."""

    id: str
    """The same for every try. A receiver that knows it already has this notification."""
    namespace: str
    release: str
    notice: Notice

    @property
    def title(self) -> str:
        what = _TITLES[self.notice.topic].format(revision=self.notice.revision)
        return f"{self.namespace}/{self.release}: {what} ({self.notice.reason})"

    @property
    def next(self) -> tuple[str, ...]:
        """What a person can do about it: commands, or a sentence."""
        rejected = self.notice.revision if self.notice.topic is Topic.ROLLED_BACK else ""
        about = self.notice.revision
        facts = Facts(self.namespace, self.release, stable=self.notice.stable, canary=about, rejected=rejected)
        explain = f"pointsman explain {facts.here}"
        if self.notice.topic is Topic.PROMOTED:
            return (explain, f"pointsman rollback {facts.here} --reason TEXT")
        return (*meaning_of(self.notice.reason).lines(facts), explain)


REASONS_OF_TROUBLE = {
    Reason.SOURCE_OUTAGE: Topic.SOURCE_OUTAGE,
    Reason.METRIC_BROKEN: Topic.METRIC_BROKEN,
    Reason.METRIC_INVALID: Topic.METRIC_BROKEN,
    Reason.METRICS_MISSING: Topic.METRIC_BROKEN,
}
