"""`python -m workloads.common.jobs`: jobs of any worker on the claim library, from the command line."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from workloads.common import provisioning
from workloads.common.aws import Aws
from workloads.common.dead_jobs_cli import Json, Most, say, tell_dead, tell_redriven
from workloads.common.environment import Environment, SettingError
from workloads.common.http_metrics import Identity
from workloads.common.job import BadMessageError
from workloads.common.job_row import Row
from workloads.common.producer import OtherBodyError, Producer
from workloads.common.tracing import tracing

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Jobs of a worker. QUEUE_URL, DEAD_LETTER_QUEUE_URL and JOBS_TABLE say where; `setup` prints them.",
)
dead_letters = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The dead letter queue.")
app.add_typer(dead_letters, name="dlq")


@dataclass(frozen=True, slots=True)
class _Places:
    queue: str
    dead_letters: str
    jobs: str


@app.command(epilog='Examples:  eval "$(setup)"   |   setup --name reports --max-attempts 3')
def setup(
    *,
    name: Annotated[str, typer.Option(help="Names begin with it.")] = "jobs",
    max_attempts: Annotated[int, typer.Option(min=1, max=100, help="As the worker's MAX_ATTEMPTS.")] = 6,
    visibility: Annotated[int, typer.Option(min=2, max=43_200, help="As the worker's VISIBILITY_SECONDS.")] = 60,
) -> None:
    """Make queues and the table of jobs for development, and print the variables that name them."""

    async def run() -> None:
        async with Aws() as aws:
            made = await provisioning.jobs(aws, name, max_attempts=max_attempts, visibility_s=visibility)
        print("\n".join(f"export {variable}={value}" for variable, value in made.items()))

    reporting(run)


@app.command(
    epilog="Examples:  enqueue --kind report --body report.json --id r1   |   "
    "echo '{}' | enqueue --kind report --body - --json"
)
def enqueue(
    *,
    body: Annotated[Path, typer.Option(help="A file with the job's body as JSON, - for standard input.")],
    kind: Annotated[str, typer.Option(help="The kind of job.")] = "",
    job_id: Annotated[str, typer.Option("--id", help="The job's id; one is made up without.")] = "",
    as_json: Json = False,
) -> None:
    """Send a job. One that is known already is not sent again; its id with another body is an error."""
    name = job_id or uuid.uuid4().hex
    sent = {**read_body(body), **({"kind": kind} if kind else {}), "job_id": name}

    async def run(producer: Producer) -> None:
        known = await producer.enqueue(sent)
        state = known.state if known else "SENT"
        say({"job_id": name, "state": state}, f"{name}  {state}", as_json=as_json)

    _run(run)


@app.command(epilog="Examples:  status r1   |   status r1 --json")
def status(job_id: str, *, as_json: Json = False) -> None:
    """How a job stands. Exit code 1: there is no such job."""

    async def run(producer: Producer) -> None:
        row = await producer.status(job_id)
        if row is None:
            print(f"there is no job {job_id!r} (or its row was purged)", file=sys.stderr)
            raise typer.Exit(1)
        say(asdict(row), "\n".join(row_lines(row)), as_json=as_json)

    _run(run)


@dead_letters.command("list", epilog="Examples:  dlq list   |   dlq list --most 1000 --json")
def list_dead(*, most: Most = 100, as_json: Json = False) -> None:
    """What lies in the dead letter queue, and why."""
    _run(lambda producer: tell_dead(producer, most=most, as_json=as_json))


@dead_letters.command(epilog="Examples:  dlq redrive   |   dlq redrive --job r1 --json")
def redrive(
    *,
    job: Annotated[str, typer.Option(help="Only this job.")] = "",
    most: Most = 100,
    as_json: Json = False,
) -> None:
    """Send dead jobs again, with all their attempts before them. Exit code 1: some could not be."""
    _run(lambda producer: tell_redriven(producer, most=most, only=job, as_json=as_json))


def row_lines(row: Row) -> list[str]:
    """For people: times as ISO 8601, what the work brought beside the row's own values, and nothing that is empty."""
    values = {name: value for name, value in asdict(row).items() if value and name != "result"}
    for name in ("created_at", "started_at", "completed_at", "lease_until", "dead_lettered_at"):
        if name in values:
            values[name] = datetime.fromtimestamp(values[name] / 1000, UTC).isoformat(timespec="milliseconds")
    own = asdict(row)
    values |= {f"result.{name}" if name in own else name: value for name, value in row.result.items()}
    width = max(len(name) for name in values)
    return [f"{name:<{width}}  {value}" for name, value in values.items()]


def read_body(file: Path) -> Mapping[str, Any]:
    """Of a job, from a file or - for standard input."""
    try:
        body = json.loads(sys.stdin.read() if str(file) == "-" else file.read_text())
    except (OSError, ValueError) as problem:
        raise typer.BadParameter(str(problem), param_hint="--body") from None
    if not isinstance(body, dict):
        raise typer.BadParameter("must be a JSON object", param_hint="--body")
    return body


def reporting(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        asyncio.run(run())
    except (SettingError, BadMessageError, OtherBodyError, BotoCoreError, ClientError) as problem:
        print(f"jobs: {problem}", file=sys.stderr)
        raise typer.Exit(2) from None


def _run(command: Callable[[Producer], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        variables = Environment(os.environ)
        with variables.all_at_once():
            places = _Places(
                queue=variables.required("QUEUE_URL", "the URL of the job queue"),
                dead_letters=variables.required("DEAD_LETTER_QUEUE_URL", "the URL of the dead letter queue"),
                jobs=variables.required("JOBS_TABLE", "the name of the DynamoDB table of jobs"),
            )
        traces = tracing(os.environ, Identity("producer", "cli", "cli"), queue=places.queue)
        try:
            async with Aws() as aws:
                await command(Producer(aws, places, send=traces.send))
        finally:
            traces.close()

    reporting(run)


if __name__ == "__main__":
    app()
