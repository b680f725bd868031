"""What the old version did before a switch, and the margin it is compared by; `before_after.py` has the test.

Apart from it, because a spec is read with these numbers alone, and commands that only read one need no numpy, which the
tests import.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

RATIO, SLACK = 2.0, 0.005
"""The margin where none is said."""
LOOKS = 20
"""Before the switch, of the same length as those after it."""
_LEAST_LOOKS = 5
"""With units: of fewer there is no worst fifth."""
_WORST = 5
_MOST_RATE = 0.999


@dataclass(frozen=True)
class Before:
    """The old version's last looks before the switch: bad and all units, of all of them and of their worst fifth."""

    bad: int = 0
    total: int = 0
    worst_bad: int = 0
    worst_total: int = 0

    @classmethod
    def of(cls, looks: Sequence[tuple[int, int]]) -> Before:
        """`looks`: bad and all units of each. Where too few have units nothing can be compared with them."""
        counted = sorted((look for look in looks if look[1] > 0), key=lambda look: look[0] / look[1], reverse=True)
        if len(counted) < _LEAST_LOOKS:
            return cls()
        worst = counted[: math.ceil(len(counted) / _WORST)]
        return cls(
            sum(bad for bad, _ in counted),
            sum(total for _, total in counted),
            sum(bad for bad, _ in worst),
            sum(total for _, total in worst),
        )

    def edge(self, ratio: float, slack: float) -> float | None:
        """The rate, 0 to 1, that is still tolerated; None where nothing is known."""
        if not self.worst_total:
            return None
        # half a unit more, so that a worst fifth without bad units is no promise of none
        return min(_MOST_RATE, ratio * (self.worst_bad + 0.5) / (self.worst_total + 1) + slack)
