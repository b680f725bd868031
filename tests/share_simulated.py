"""Two hours of a shared queue, simulated: consumers by the workloads' rules, credits by the operator's."""

import math
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product

from controller.api.strategy import Scale
from controller.rollout.sizing import Sizing, sizes
from tests.unit.queue_share.yield_world import SLOTS, STABLE_JOB_S, YieldWorld

RATES = (1, 10, 200, 1000)
"""Messages a second."""
SHARES = (1, 5, 10, 25, 50)
"""Percent."""
SIMULATED_S = 7200.0
_ROOM = 1.5
"""Stable's slots, of those it would need at least."""


@dataclass(frozen=True)
class Cell:
    rate: int
    share: int
    stable_first: bool
    """The broker serves stable's open polls before any of the canary's."""

    @property
    def name(self) -> str:
        return f"{self.share}_at_{self.rate}_per_s{'_stable_first' if self.stable_first else ''}"


@dataclass(frozen=True)
class Simulated:
    percent: float
    hunger_s: float


CELLS = [Cell(*cell) for cell in product(RATES, SHARES, (False, True))]


def simulated(seconds: float = SIMULATED_S) -> dict[Cell, Simulated]:
    """With as many pods as the operator gives them. All cores are busy for some minutes."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(CELLS, pool.map(_one, CELLS, [seconds] * len(CELLS)), strict=True))


def _one(cell: Cell, seconds: float) -> Simulated:
    stable = max(3, math.ceil(_ROOM * cell.rate * STABLE_JOB_S / SLOTS))
    both = sizes(Sizing.BY_CLAIMS, Scale(), stable, cell.share)
    world = YieldWorld(
        "waiting",
        rate=cell.rate,
        share=cell.share / 100,
        prefers="v1" if cell.stable_first else "",
        pods=(both.stable, both.canary),
    ).run(seconds)
    canary, everything = world.claims("v2"), world.claims("v1") + world.claims("v2")
    return Simulated(100 * canary / everything, world.longest_unused_s)
