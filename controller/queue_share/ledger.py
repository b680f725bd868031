"""The share ledger: how many of a queue's messages the canary may take.

Consumers compete, so nobody routes: a canary that fails fast takes more than its part. So it may only poll with a
credit in hand, and credits come after the fact, as a share of what was claimed:

    credits ≤ share × claims           both since the share was set, by running totals

Each pod writes how many messages it has claimed so far. One allocator counts what is new in those totals, and raises
the total up to which each canary pod may claim. Every number is a running total, so what is written twice, late, or
read again after a restart changes nothing; what is lost is lost for the canary, never for stable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

ROUND_S = 0.5
LASTS_S = 10.0
"""The canary goes on for so long without an allocator."""
FRESH_S = 3.0
"""A pod that has not written for so long gets no credits: it may be gone."""
GONE_S = 60.0
"""After so long its unspent credits are taken back: longer than the longest poll is open."""
TRIAL_S = 3600.0
"""A mark that no operator renews ends after so long: jobs that really are bad must end some day."""
_LEAST_CAP = 8
_SMOOTH = 0.1
"""Of a round's claims; one round has few by chance, and the credits of the one before must not be lost by that."""
_ROUNDS = 8.0
"""So many rounds' worth of credits may lie unspent: an idle canary cannot burst later.

A claim is reported up to 0.6 s late and counted up to 0.5 s later, so two rounds' worth looks unspent while all is in
use: with a bound of two, consumers at 80 messages a second lost 28 of 252 claims, with four 3. Where the broker prefers
stable, the canary is served in its turns only, every two and a half seconds: at ten messages a second a canary of 25 %
had 23.9 % with a bound of four rounds (5 credits), and has 24.99 % with eight.
"""

MOST_CLAIMS = 2**53
"""Of one consumer, and of any other number in a report: a float holds each of them."""
MOST_NEW = 1_000
"""Claims of one consumer in a round that make credits: twice of what all consumers together were simulated with."""


@dataclass(frozen=True)
class Pod:
    """What a pod has written of itself."""

    revision: str
    claims: int
    """Messages it has claimed since it began; a running total."""
    seen_at: float
    waiting: int = 0
    """Messages that its open polls have been waiting for, for longer than a moment."""


@dataclass(frozen=True)
class Ledger:
    """The control item, written as a whole, on condition that it is still what was read."""

    stable: str
    """Its pods never need a credit."""
    canary: str = ""
    draining: tuple[str, ...] = ()
    share: float = 0.0
    """Of all claims, 0 to 1."""
    epoch: int = 0
    """Rises with each change of share or versions."""
    min_epoch: int = 0
    """Jobs that the canary claimed in an earlier epoch are stopped."""
    expires_at: float = 0.0
    """The canary claims nothing after that: the allocator is gone."""
    counted: Mapping[str, int] = field(default_factory=dict)
    """By pod, the claims of which credits were made."""
    pace: float = 0.0
    """Claims in a round, as they were of late."""
    carried: float = 0.0
    """The part of a credit that is left over, 0 to 1."""
    granted: Mapping[str, int] = field(default_factory=dict)
    """By canary pod, the running total of claims it may come to."""
    unused: int = 0
    """Messages that the canary waits for, with credits it has had for a round: stable leaves them to it."""
    on_trial: str = ""
    """A version that has all of the work and may lose it again: what it fails does not count against a job."""
    trial_until: float = 0.0


def with_share(ledger: Ledger, canary: str, share: float, pods: Mapping[str, Pod], expires_at: float) -> Ledger:
    """A new share, from now on: what was claimed before makes no credits, and unspent ones are void."""
    counted = {name: pod.claims for name, pod in pods.items()}
    return replace(_void(ledger), canary=canary, share=share, expires_at=expires_at, counted=counted)


def promoted(ledger: Ledger) -> Ledger:
    """The canary is stable now, and needs no credits; what was stable ends what it has begun."""
    return replace(
        _void(ledger),
        stable=ledger.canary,
        canary="",
        draining=tuple(dict.fromkeys((*ledger.draining, ledger.stable))),
    )


def _void(ledger: Ledger) -> Ledger:
    """A new epoch: no share, and nothing that was reckoned before counts."""
    return replace(ledger, share=0.0, epoch=ledger.epoch + 1, counted={}, pace=0.0, carried=0.0, granted={}, unused=0)


def allocate(ledger: Ledger, pods: Mapping[str, Pod], now: float, lasts_s: float) -> Ledger:
    """One round: credits for what was claimed since the last one. They are good for `lasts_s` seconds.

    Never more than the share of what was claimed, however often it is called, and by whomever: the sum of credits only
    depends on the totals it has seen.
    """
    if ledger.share <= 0:
        return ledger
    before = ledger.counted
    rounds = max(1.0, (now - (ledger.expires_at - lasts_s)) / ROUND_S)
    # what was claimed before a pod was first seen may be older than the share: an operator that keeps ledgers in its
    # memory has forgotten all of them when it starts again
    most = int(MOST_NEW * rounds)
    new = sum(min(most, max(0, pod.claims - before.get(name, pod.claims))) for name, pod in pods.items())
    canaries = {name: pod for name, pod in pods.items() if pod.revision == ledger.canary}
    kept = {name: pod for name, pod in canaries.items() if now - pod.seen_at <= GONE_S}
    granted = {name: max(pod.claims, ledger.granted.get(name, 0)) for name, pod in kept.items()}
    # nobody allocated for so long that the canary had stopped: it does not make up for that
    counts = new if now < ledger.expires_at else 0
    entitled = ledger.carried + ledger.share * counts
    of_a_round = counts / rounds
    pace = max(of_a_round, ledger.pace + _SMOOTH * (of_a_round - ledger.pace))
    cap = max(_LEAST_CAP, _ROUNDS * ledger.share * pace)
    unspent = sum(granted[name] - pod.claims for name, pod in kept.items())
    fresh = [(granted[name] - pod.claims, name) for name, pod in kept.items() if now - pod.seen_at <= FRESH_S]
    # by what its polls wait for and not by what it could ask for: stable would wait for one that hangs in vain, and for
    # one that has spent everything and not said so yet
    unused = sum(min(kept[name].waiting, left) for left, name in fresh)
    give = min(int(entitled), max(0, int(cap) - unspent)) if fresh else 0
    for name, more in _levelled(fresh, give).items():
        granted[name] += more
    return replace(
        ledger,
        # a pod that is gone is not kept: one that comes back into sight is new, and what it claimed makes no credits
        counted={name: max(pod.claims, before.get(name, 0)) for name, pod in pods.items()},
        pace=pace,
        carried=entitled - int(entitled),
        granted=granted,
        unused=unused,
        expires_at=now + lasts_s,
    )


def _levelled(left: list[tuple[int, str]], give: int) -> dict[str, int]:
    """Credits for those who have fewest left, as if each went to the last of all in its turn."""
    if not give:
        return {}
    ordered, total = sorted(left), 0
    for count, (fewest, _) in enumerate(ordered, start=1):
        total += fewest
        level, rest = divmod(total + give, count)
        if count == len(ordered) or level < ordered[count][0]:
            break
    lowest = sorted(ordered[:count], key=lambda one: one[1])
    return {name: level - fewest + (number < rest) for number, (fewest, name) in enumerate(lowest)}


def shares_of(ledger: Ledger) -> dict[str, float]:
    """Percent of the work by revision, as it is written."""
    if not ledger.canary or ledger.share <= 0:
        return {ledger.stable: 100.0}
    return {ledger.stable: 100 * (1 - ledger.share), ledger.canary: 100 * ledger.share}


@dataclass(frozen=True)
class Wanted:
    """`shares`: percent by revision, of one or two. `stable`: which of two needs no credits. `hard_stop`: where the
    canary has no share, what it has claimed is stopped as well. `on_trial`: the one that has all, where it may lose it.
    """

    shares: Mapping[str, float]
    stable: str
    hard_stop: bool = False
    on_trial: str = ""


def on_trial_at(ledger: Ledger, now: float) -> str:
    """The version that is marked, and need not be again for a while."""
    return ledger.on_trial if ledger.trial_until - now > TRIAL_S / 2 else ""


def towards(wanted: Wanted, ledger: Ledger | None, pods: Mapping[str, Pod], now: float) -> Ledger:
    """The ledger that says so; the same one where it does already. One write, so no version has work unmarked."""
    shared = _shared(wanted, ledger, pods, now)
    if not wanted.on_trial:
        return replace(shared, on_trial="", trial_until=0.0) if shared.on_trial else shared
    if on_trial_at(shared, now) == wanted.on_trial:
        return shared
    return replace(shared, on_trial=wanted.on_trial, trial_until=now + TRIAL_S)


def _shared(wanted: Wanted, ledger: Ledger | None, pods: Mapping[str, Pod], now: float) -> Ledger:
    served = [revision for revision, share in wanted.shares.items() if share > 0]
    if ledger is None:
        # epochs never come twice, also where a ledger was lost
        ledger = Ledger(stable=wanted.stable if wanted.stable in served else served[0], epoch=int(now))
    if len(served) == 1:
        return _to_one(ledger, served[0], hard_stop=wanted.hard_stop)
    stable = wanted.stable if wanted.stable in served else ledger.stable
    canary = next(revision for revision in served if revision != stable)
    share = wanted.shares[canary] / 100
    if ledger.stable != stable:
        ledger = replace(_void(ledger), stable=stable, canary="")
    if ledger.canary == canary and math.isclose(ledger.share, share):
        return ledger
    ledger = replace(ledger, draining=tuple(one for one in ledger.draining if one not in (stable, canary)))
    return with_share(ledger, canary, share, pods, now + LASTS_S)


def _to_one(ledger: Ledger, revision: str, *, hard_stop: bool) -> Ledger:
    if revision == ledger.canary and ledger.share > 0:
        return promoted(ledger)
    if revision != ledger.stable:
        # back to what was stable before: what came after it takes nothing more
        back = replace(_void(ledger), stable=revision, canary="", draining=())
    elif ledger.share > 0:
        back = _void(ledger)
    else:
        back = ledger
    # also over a rollback that let jobs end, and once: the epoch stands until there is another share
    return replace(back, min_epoch=back.epoch) if hard_stop and back.min_epoch < back.epoch else back
