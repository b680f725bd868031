"""`dlq list` and `dlq redrive`, as the command line of each workload has them."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from workloads.common.dead_jobs import DeadJobs, Redriven

Json = Annotated[bool, typer.Option("--json", help="JSON, one object a line.")]
Most = Annotated[int, typer.Option("--most", min=1, max=100_000, help="How many at most.")]


async def tell_dead(jobs: DeadJobs, *, most: int, as_json: bool) -> None:
    for dead in await jobs.dead(most=most):
        line = f"{dead.job_id or '(no job)'}  attempts {dead.attempts or '?'}  {dead.version}  {dead.last_error}"
        say(asdict(dead), line, as_json=as_json)


async def tell_redriven(jobs: DeadJobs, *, most: int, only: str, as_json: bool) -> None:
    """Raises typer.Exit(1) in the end where some could not be brought back."""
    bad = False
    async for job_id, outcome in jobs.redrive(most=most, only=only):
        bad = bad or outcome is Redriven.UNREADABLE
        say({"job_id": job_id, "outcome": outcome}, f"{job_id or '(no job)'}  {outcome}", as_json=as_json)
    if bad:
        raise typer.Exit(1)


def say(value: dict[str, Any], line: str, *, as_json: bool) -> None:
    print(json.dumps(value) if as_json else line)
