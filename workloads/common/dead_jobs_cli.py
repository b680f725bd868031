"""`dlq list` and `dlq redrive`, as the command line of each workload has them."""

import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from workloads.common.dead_jobs import LEFT, DeadJobs

Json = Annotated[bool, typer.Option("--json", help="JSON, one object a line.")]
Most = Annotated[int, typer.Option("--most", min=1, max=100_000, help="How many at most.")]

_NOTHING = "the dead letter queue is empty (or somebody looks at it now: try again in a minute)"


async def tell_dead(jobs: DeadJobs, *, most: int, as_json: bool) -> None:
    found = await jobs.dead(most=most)
    if not found:
        print(_NOTHING, file=sys.stderr)
    for dead in found:
        line = f"{dead.job_id or '(no job)'}  attempts {dead.attempts or '?'}  {dead.version}  {dead.last_error}"
        say(asdict(dead), line, as_json=as_json)


async def tell_redriven(jobs: DeadJobs, *, most: int, only: str, as_json: bool) -> None:
    """Raises typer.Exit(1) in the end where some could not be brought back, or `only` is not there."""
    bad = found = False
    async for job_id, outcome in jobs.redrive(most=most, only=only):
        bad, found = bad or outcome in LEFT, True
        say({"job_id": job_id, "outcome": outcome}, f"{job_id or '(no job)'}  {outcome}", as_json=as_json)
    if not found:
        print(f"job {only!r} is not in the dead letter queue" if only else _NOTHING, file=sys.stderr)
    if bad or (only and not found):
        raise typer.Exit(1)


def say(value: dict[str, Any], line: str, *, as_json: bool) -> None:
    print(json.dumps(value) if as_json else line)
