"""What a consumer makes of a ledger of the core: what the operator writes, held against the workloads' own rules."""

import math

from controller.queue_share.ledger import Ledger
from workloads.common import share_rules as rules
from workloads.common.share_ledger import Consumer, Control
from workloads.common.share_rules import Answer, Pace, Standing

PACE = Pace()


def heard(ledger: Ledger, now: float) -> Answer:
    """As a consumer reads it at this moment."""
    control = Control(
        version=1,
        stable=ledger.stable,
        canary=ledger.canary,
        draining=frozenset(ledger.draining),
        share=ledger.share,
        epoch=ledger.epoch,
        min_epoch=ledger.min_epoch,
        expires_in=ledger.expires_at - now,
        unused=ledger.unused,
        granted=ledger.granted,
        on_trial=ledger.on_trial,
        trial_left=ledger.trial_until - now,
    )
    return Answer(control, now)


def may_claim(answer: Answer, pod: str, revision: str, claims: int, *, reserved: int = 0) -> float:
    """How many messages it may ask for at the moment of the answer; infinitely many without a credit."""
    if rules.standing(answer, revision) is Standing.FREE:
        return math.inf
    who = Consumer("shop/thumbnails", pod, revision)
    return rules.credit(answer, who, claims=claims, reserved=reserved, now=answer.at)


def credits_of(ledger: Ledger, pod: str, revision: str, claims: int, now: float) -> float:
    """`claims`: its own running total, as it knows it."""
    return may_claim(heard(ledger, now), pod, revision, claims)


def yields(answer: Answer) -> bool:
    """Whether a stable slot waits before its next poll. Time begins with a turn of stable's."""
    return rules.yields(answer, answer.at, stale_after=PACE.yields) and rules.until_turn(answer.at) > 0
