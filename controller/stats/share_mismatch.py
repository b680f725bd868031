"""Has the canary the share of the work that was set? One that refuses connections shows no errors, only a gap.

A fair bet against "its share is within 15 % of the weight": for each other share w1, and the edge w0 of that band that
is nearest to it,

    e = (w1/w0)^nc ((1−w1)/(1−w0))^ns      nc, ns: units of canary and stable

and the mean over w1 of half to twice the weight. It has a mean of at most 1 while the share is in the band, so by
Ville's inequality it ever reaches 1/α with a chance of at most α, however often it is looked at.

Only counts of the router that splits the work take part: elsewhere callers that pass it by look like a gap. A gap is no
verdict: it may be the router's, or the network's. So nothing is taken back for it; nothing goes on either.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence

from controller.stats.counts import NOTHING, Look
from controller.stats.log_mean import log_mean
from controller.stats.share_lag import PATIENCE_S

OF_THE_PROMISE = 0.1
"""This part of `maxFalseRollback` is the chance of waiting for nothing, per weight."""
_OTHERS = (0.5, 0.67, 1.5, 2.0)
_BAND = 0.15
_LOOKS = 720
"""The youngest since the weight was set: an hour at 5 s. What was missing before that has been waited for long ago."""


def gap(looks: Sequence[Look], names: Collection[str], weight: float, since: float, chance: float) -> str | None:
    """What is missing, in a sentence. `names`: metrics counted at the router; `weight` in percent, set at `since`."""
    if not 0 < weight < 100 or not names:  # noqa: PLR2004 - percent
        return None
    settled = since + PATIENCE_S
    recent = itertools.islice(reversed(looks), _LOOKS)
    counts = dict.fromkeys(names, NOTHING)
    for look in itertools.takewhile(lambda look: look.start >= settled and look.baseline == looks[-1].baseline, recent):
        for name in names:
            counts[name] += look.rows.get(name, NOTHING)
    most = max(counts.values(), key=lambda one: one.units)
    last = looks[-1] if looks else None
    share = weight / 100 if last is None else last.share
    if last is not None and last.lacks_baseline:
        return None  # it is waited for
    if share >= 1 or log_e(most.canary_total, most.stable_total, share) < -math.log(chance):
        return None
    fresh = last is not None and last.baseline is not None
    other = "baseline" if fresh else "stable version"
    whose = "canary" if most.canary_total < share * most.units else other
    return (
        f"at {weight:g} % the router has counted {most.canary_total} of {most.units} units "
        f"{'of canary and baseline ' if fresh else ''}on the canary: work of the {whose} is missing"
    )


def log_e(canary: int, stable: int, share: float) -> float:
    """Ln of the bet. `share`: the weight, above 0 and below 1."""
    logs = []
    for other in _OTHERS:
        there, edge = other * share, share * (1 - _BAND if other < 1 else 1 + _BAND)
        if there < 1:
            logs.append(canary * math.log(there / edge) + stable * (math.log1p(-there) - math.log1p(-edge)))
    return log_mean(logs)
