"""Time from the first to the last answer of a bad canary: 100 requests/s, canary 10 %, looks of a second.

Ten versions that fail every request and ten that fail a fifth of them come in one after the other, on real pods behind
a real router. Nothing is fitted to them: the manifest is the demo's but for the interval.
"""

import asyncio
import statistics

from tests.bench.report import Report, Target
from tests.bench.world import Bench, bench, say

RUNS, SMALL_RUNS = 10, 1
RATE = 100.0
TARGETS: dict[str, Target] = {
    "all_bad_median_s": ("<=", 1.5),
    "all_bad_worst_s": ("<=", 2.5),
    "fifth_bad_median_s": ("<=", 5.0),
}


async def run(*, small: bool = False) -> Report:
    runs = SMALL_RUNS if small else RUNS
    async with bench("rollback") as world:
        await world.given({"weight": 10, "analyze": {"atMost": "5m"}}, interval="1s")
        all_bad = [await _one(world, "1") for _ in range(runs)]
        fifth_bad = [await _one(world, "0.2") for _ in range(runs)]
    figures = {
        "all_bad_median_s": round(statistics.median(seconds for seconds, _ in all_bad), 2),
        "all_bad_worst_s": round(max(seconds for seconds, _ in all_bad), 2),
        "fifth_bad_median_s": round(statistics.median(seconds for seconds, _ in fifth_bad), 2),
        "fifth_bad_worst_s": round(max(seconds for seconds, _ in fifth_bad), 2),
        "failed_requests_median": statistics.median(failed for _, failed in all_bad),
        "failed_requests_fifth_median": statistics.median(failed for _, failed in fifth_bad),
        "runs": runs,
    }
    return Report("rollback", figures, {} if small else TARGETS)


async def _one(world: Bench, error_rate: str) -> tuple[float, int]:
    """Seconds between the first and the last answer of the version, and how many requests failed in all."""
    async with world.load(RATE) as load:
        before = await world.offer(ERROR_RATE=error_rate)
        status = await world.until(lambda status: status.get("phase") == "RolledBack")
        await asyncio.sleep(1)
        counted = await load.stop()
    await world.restore(before)
    tally = counted.revisions[status["lastRollback"]["revision"]]
    say(f"error rate {error_rate}: {tally.last - tally.first:.2f} s, {counted.failed} failed")
    return tally.last - tally.first, counted.failed
