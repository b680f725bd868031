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

    def until(self, look: int) -> float:
        """A(t): what may have been spent after look t, counted from 1.

        Known horizon of T looks: min(α, α ln(1+(e−1) t/T)), the Pocock-like spending of Lan and DeMets (1983).
        Not known, as whenever a person, an outage or a bake may stretch the release: α t/(t+20).
        """
        if self.horizon is None:
            return self.alpha * look / (look + _HALF_SPENT_LOOKS)
        return min(self.alpha, self.alpha * math.log1p((math.e - 1) * look / self.horizon))
