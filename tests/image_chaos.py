"""Image workers that die, stand still and fail while jobs come twice, and what becomes of the jobs."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.image_jobs import Jobs, names
from workloads.common.job_row import State

CHECKOUT = Path(__file__).resolve().parents[1]
MAX_ATTEMPTS = 30
VISIBILITY_S = 3
WORKER = {
    "HOST": "127.0.0.1", "PORT": "0", "REVISION": "aaaaaaaaaa", "POD": "worker",
    "VISIBILITY_SECONDS": str(VISIBILITY_S), "CLOCK_SKEW_SECONDS": "0.3", "WAIT_SECONDS": "1", "SLOTS": "2",
    "RETRY_SECONDS": "0.2", "LONGEST_RETRY_SECONDS": "1", "DRAIN_SECONDS": "5",
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """`died`, `stalled` and `failed` are shares: of stages, of jobs, of attempts."""

    jobs: int
    processes: int
    deaths: int = 0
    died: float = 0.0
    stalled: float = 0.0
    failed: float = 0.0
    twice: float = 0.0
    without: str = ""


@dataclass(frozen=True)
class Aftermath:
    jobs: int
    deaths: int
    stages: Counter[str]
    """Deaths by the stage that they came at."""
    completed: int
    objects: int
    uploaded_twice: int
    stuck: int
    """Jobs that nobody may take although nobody works on them, and jobs given up."""
    lost: int
    """Jobs without a row and without a message."""
    requests: Counter[str]
    seconds: float

    @property
    def jobs_per_s(self) -> float:
        return self.completed / self.seconds


@asynccontextmanager
async def nest(jobs: Jobs, directory: Path, chaos: dict[str, object], **more: str) -> AsyncIterator[None]:
    """Worker processes as `tests.image_worker_process` says; drained at the end."""
    (directory / "deaths").mkdir(parents=True)
    plan = {"deaths": str(directory / "deaths"), "requests": str(directory / "requests"), "enough": 0, **chaos}
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.image_worker_process",
            cwd=CHECKOUT, stdout=log, stderr=log,
            env={**os.environ, **jobs.environment, **WORKER, **more, "CHAOS": json.dumps(plan)},
        )  # fmt: skip
        try:
            yield
            assert process.returncode is None, (directory / "log").read_text()[-2000:]
        finally:
            if process.returncode is None:
                process.terminate()
            try:
                async with asyncio.timeout(30):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
                raise


async def suffer(plan: Plan, directory: Path, *, seconds: float) -> Aftermath:
    """Until all jobs are completed, or nothing has moved for four visibility timeouts, or `seconds` are over."""
    draws = random.Random(plan.jobs)  # noqa: S311
    every = names("job-", plan.jobs)
    async with Jobs.open(max_attempts=MAX_ATTEMPTS, visibility_s=VISIBILITY_S) as jobs:
        twice = [name for name in every if draws.random() < plan.twice]
        for name in [*every, *twice]:
            await jobs.send(name)
        chaos: dict[str, object] = {
            "processes": plan.processes, "random": plan.died, "enough": plan.deaths,
            "stall": plan.stalled, "without": plan.without,
        }  # fmt: skip
        faults = {"ALLOW_FAULTS": "true", "ERROR_RATE": str(plan.failed), "MAX_ATTEMPTS": str(MAX_ATTEMPTS)}
        begun = time.monotonic()
        async with nest(jobs, directory, chaos, **faults):
            took = await _until_done(jobs, plan.jobs, begun, seconds)
        rows = await jobs.rows()
        uploads = await jobs.uploads()
        somewhere = {json.loads(each["body"])["job_id"] for each in await jobs.in_dead_letters()}
        somewhere |= await jobs.waiting()
    completed = sum(row.state is State.COMPLETED for row in rows.values())
    deaths = [death.name.split("-")[0] for death in (directory / "deaths").iterdir()]
    return Aftermath(
        jobs=plan.jobs,
        deaths=len(deaths),
        stages=Counter(deaths),
        completed=completed,
        objects=len(uploads),
        uploaded_twice=sum(count > 1 for count in uploads.values()),
        stuck=sum(row.state is not State.COMPLETED for row in rows.values()),
        lost=len(set(every) - set(rows) - somewhere),
        requests=Counter((directory / "requests").read_text().split()),
        seconds=took,
    )


async def _until_done(jobs: Jobs, count: int, begun: float, seconds: float) -> float:
    seen, moved = Counter[State](), time.monotonic()
    while True:
        states = Counter(row.state for row in (await jobs.rows()).values())
        now = time.monotonic()
        if states != seen:
            seen, moved = states, now
        if states[State.COMPLETED] == count:
            took = now - begun
            await jobs.until_empty(seconds=60)
            return took
        if now - begun > seconds or now - moved > 4 * VISIBILITY_S:
            return now - begun
        await asyncio.sleep(0.5)
