"""How an error budget is spent over the looks; fixed before the first one."""

from __future__ import annotations

import math
from dataclasses import dataclass

_HALF_SPENT_LOOKS = 20


@dataclass(frozen=True)
class Spending:
    """α for the whole release. `horizon` is the number of looks where that is known beforehand, or None."""

    alpha: float
    horizon: int | None = None
    reserve: float = 0.0
    """Part of α, 0 to 1, that is kept for later looks; of a horizon that is not known."""

    def until(self, look: int, opened: int | None = None) -> float:
        """A(t): what may have been spent after look t, counted from 1.

        Known horizon of T looks: min(α, α ln(1+(e−1) t/T)), the Pocock-like spending of Lan and DeMets (1983).
        Not known, as whenever a person, an outage or a bake may stretch the release: α t/(t+20).
        `opened`: the first look that may spend of the reserve, of which it goes by the same rule.
        """
        if self.horizon is not None:
            return min(self.alpha, self.alpha * math.log1p((math.e - 1) * look / self.horizon))
        reserved = 0.0 if opened is None else self.alpha * self.reserve * _part(look - opened + 1)
        return self.alpha * (1 - self.reserve) * _part(look) + reserved


def _part(looks: int) -> float:
    return looks / (looks + _HALF_SPENT_LOOKS)
