"""Kills the process that writes rollbacks to git, at random moments, and counts what stands in the log.

python -m tests.unit.git.killed --kills 120
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from controller.git.rollback import Rollback
from tests.git_server import Origin, git
from tests.unit.git.story import FILE, GOOD, carried_out, manifest, rollback

KILLS_EACH = 8
"""Of one rollback, before it may come to its end."""
DEADLINE_S = 120.0


@dataclass
class Killed:
    rollbacks: int = 0
    kills: int = 0
    after_the_push: int = 0
    """Kills that found the commit in git already: the next process has to find it, too."""
    twice: int = 0
    lost: int = 0
    """Rollbacks that are not in the log, and commits of people that are not."""
    seconds: float = 0.0


def carry_out(url: str, order: Rollback) -> None:
    asyncio.run(carried_out(url, order))


def kill_at_random(origin: Origin, kills: int, *, seed: int = 7) -> Killed:
    """SIGKILL to a process of its own each time; what it started lives on, as after a node's memory ran out."""
    pauses = random.Random(seed)  # noqa: S311 - any moments will do
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    found, began, longest = Killed(), time.monotonic(), 1.0
    while found.kills < kills:
        found.rollbacks += 1
        origin.pull()
        bad = manifest(f"shop/web:bad{found.rollbacks}")
        origin.commit(f"bad {found.rollbacks}", {FILE: bad})
        order = rollback(GOOD, bad, attempt=found.rollbacks)
        for _ in range(KILLS_EACH):
            process = processes.Process(target=carry_out, args=(origin.url, order))
            process.start()
            process.join(pauses.uniform(0, longest))
            if process.is_alive():
                process.kill()
                found.kills += 1
                found.after_the_push += origin.subjects()[0].startswith("Roll back")
            process.join(DEADLINE_S)
        since = time.monotonic()
        process = processes.Process(target=carry_out, args=(origin.url, order))
        process.start()
        process.join(DEADLINE_S)
        assert process.exitcode == 0, process.exitcode
        longest = 1.5 * (time.monotonic() - since)
    _count(origin, found)
    found.seconds = round(time.monotonic() - began, 1)
    return found


def _count(origin: Origin, found: Killed) -> None:
    shown = "--format=%(trailers:key=Pointsman-Attempt,valueonly,separator=%x2C)"
    attempts = Counter(git(origin.bare, "log", shown, "main").split())
    subjects = set(origin.subjects())
    for number in range(1, found.rollbacks + 1):
        found.twice += attempts[str(number)] > 1
        found.lost += not attempts[str(number)] or f"bad {number}" not in subjects
    found.lost += origin.read(FILE) != GOOD


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=120)
    with tempfile.TemporaryDirectory() as folder:
        origin = Origin(Path(folder) / "git")
        origin.commit("first", {FILE: GOOD})
        print(json.dumps(asdict(kill_at_random(origin, parser.parse_args().kills))))  # noqa: T201 - a program


if __name__ == "__main__":
    main()
