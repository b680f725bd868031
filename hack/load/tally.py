"""What came back: per revision as the answers name it, per code, and apart from both what never answered."""

import json
from collections import Counter
from dataclasses import dataclass, field

UNNAMED = "-"
"""Revision of an answer that names none: the router's own 404, 502 or 503."""

FIRST_BAD = 400
"""The first status that is no success."""

_MOST_REASONS = 20
_LONGEST_REASON = 160
_EDGES_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000)


@dataclass(frozen=True, slots=True)
class Tally:
    """Answers of one revision. Bad is every status from 400 on. Times are Unix seconds."""

    answers: int
    bad: int
    first: float
    last: float
    first_bad: float | None
    last_bad: float | None
    codes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`sent = answered + in_flight + transport errors`; `skipped` were due and found no room."""

    seconds: float
    sent: int
    answered: int
    in_flight: int
    skipped: int
    bad: int
    codes: dict[str, int]
    reasons: dict[str, int]
    """What bad answers said, the first of each kind, and how often."""
    revisions: dict[str, Tally]
    transport: dict[str, int]
    first_transport: float | None
    last_transport: float | None
    latency_ms: dict[str, float]

    @property
    def transport_errors(self) -> int:
        return sum(self.transport.values())

    @property
    def failed(self) -> int:
        """What a user would have called an error: bad answers and no answers."""
        return self.bad + self.transport_errors


@dataclass(slots=True)
class _Revision:
    codes: Counter[int] = field(default_factory=Counter)
    first: float = 0.0
    last: float = 0.0
    bad: int = 0
    first_bad: float | None = None
    last_bad: float | None = None

    def add(self, code: int, at: float) -> None:
        self.first = self.first or at
        self.last = at
        self.codes[code] += 1
        if code >= FIRST_BAD:
            self.bad += 1
            self.first_bad = self.first_bad or at
            self.last_bad = at

    def frozen(self) -> Tally:
        return Tally(
            answers=self.codes.total(),
            bad=self.bad,
            first=self.first,
            last=self.last,
            first_bad=self.first_bad,
            last_bad=self.last_bad,
            codes=_named(self.codes),
        )


@dataclass(slots=True)
class Ledger:
    """The counts while they grow."""

    sent: int = 0
    skipped: int = 0
    revisions: dict[str, _Revision] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    transport: Counter[str] = field(default_factory=Counter)
    first_transport: float | None = None
    last_transport: float | None = None
    latencies: Counter[int] = field(default_factory=Counter)

    def answered(self, *, revision: str, code: int, at: float, ms: float, body: bytes = b"") -> None:
        self.revisions.setdefault(revision or UNNAMED, _Revision()).add(code, at)
        self.latencies[next((edge for edge in _EDGES_MS if ms <= edge), _EDGES_MS[-1])] += 1
        if code >= FIRST_BAD:
            self._complained(code, body)

    def _complained(self, code: int, body: bytes) -> None:
        """What it said: the `detail` of its problem (RFC 9457), or how its body begins."""
        try:
            said = str(json.loads(body)["detail"])
        except (ValueError, TypeError, KeyError):
            said = body.decode(errors="replace").strip()
        reason = f"{code} {said}"[:_LONGEST_REASON]
        if reason in self.reasons or len(self.reasons) < _MOST_REASONS:
            self.reasons[reason] += 1

    def lost(self, kind: str, at: float) -> None:
        self.transport[kind] += 1
        self.first_transport = self.first_transport or at
        self.last_transport = at

    def frozen(self, *, seconds: float) -> Snapshot:
        codes: Counter[int] = Counter()
        for revision in self.revisions.values():
            codes.update(revision.codes)
        return Snapshot(
            seconds=round(seconds, 3),
            sent=self.sent,
            answered=codes.total(),
            in_flight=self.sent - codes.total() - self.transport.total(),
            skipped=self.skipped,
            bad=sum(revision.bad for revision in self.revisions.values()),
            codes=_named(codes),
            reasons=dict(self.reasons.most_common()),
            revisions={name: revision.frozen() for name, revision in sorted(self.revisions.items())},
            transport=dict(sorted(self.transport.items())),
            first_transport=self.first_transport,
            last_transport=self.last_transport,
            latency_ms={f"p{share * 100:g}": self._quantile(share) for share in (0.5, 0.95, 0.99)},
        )

    def _quantile(self, share: float) -> float:
        """The bucket edge that this share of the answers stays under; 0 before the first answer."""
        wanted, seen = share * self.latencies.total(), 0
        for edge in _EDGES_MS:
            seen += self.latencies[edge]
            if seen and seen >= wanted:
                return float(edge)
        return 0.0


def _named(codes: Counter[int]) -> dict[str, int]:
    return {str(code): count for code, count in sorted(codes.items())}
