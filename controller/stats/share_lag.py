"""Has the router followed? Its status says nothing about it, the share of the work that is seen does.

From the write of a weight until that share lies in its band the looks feed the relative tests alone, which go by the
share that is seen. A share that stays away is told, and stops nothing by itself: callers that pass the router by would
look the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Sequence

from controller.stats.counts import NOTHING, Counts, Look

PATIENCE_S = 10.0
"""Routers were seen to follow within 1.6 s."""
_SIGMAS = 4.0
_SLACK = 0.15
"""Of the smaller share: requests are counted when they end, so a slower version's share comes later."""
_UNITS = 20.0
"""Looks are taken together until so many units are expected on the smaller side: fewer say nothing."""


def share_lag(
    looks: Sequence[Look], weight: float, since: float, *, names: Collection[str] | None = None
) -> str | None:
    """A sentence when the share was not once in its band though the time for it is over. `weight` in percent; `names`:
    of the rows that count; None: all.
    """
    after = list(itertools.takewhile(lambda look: look.start >= since, reversed(looks)))[::-1]
    if not after or after[-1].end < since + PATIENCE_S or not 0 < weight < 100:  # noqa: PLR2004 - percent
        return None
    share = after[-1].share
    if share >= 1 or after[-1].lacks_baseline:  # nothing is beside the canary
        return None
    seen = dict.fromkeys(name for look in after for name in look.rows if names is None or name in names)
    heard = [_in_band((look.rows.get(name) for look in after), share) for name in seen]
    if True in heard or False not in heard:
        return None
    return f"{PATIENCE_S:g} s after the weight was set to {weight:g} % the share that is seen still differs from it"


def _in_band(rows: Iterable[Counts | None], share: float) -> bool | None:
    """Whether it ever was; None where there were too few units to say."""
    counts, said = NOTHING, None
    for row in rows:
        counts += row or NOTHING
        total = counts.units
        smaller = min(share, 1 - share)
        if total * smaller < _UNITS:
            continue
        band = _SIGMAS * math.sqrt(total * share * (1 - share)) + _SLACK * total * smaller
        if abs(counts.canary_total - total * share) <= band:
            return True
        counts, said = NOTHING, False
    return said
