"""`python -m workloads.invitations.sending.cli`: what a person does with messages that are stuck or lost."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from workloads.common import provisioning
from workloads.common.aws import Aws
from workloads.common.dead_jobs import DeadJobs
from workloads.common.dead_jobs_cli import Json, Most, say, tell_dead, tell_redriven
from workloads.common.environment import Environment, SettingError
from workloads.common.job_queue import DeadLetters, JobQueue
from workloads.common.job_table import JobTable, Terms
from workloads.invitations.database import Database, DatabaseGoneError
from workloads.invitations.opening import open_database
from workloads.invitations.parts import now_ms
from workloads.invitations.postgres import Pooling
from workloads.invitations.sending import by_hand
from workloads.invitations.sending.by_hand import NotUnknownError
from workloads.invitations.settings import database_url

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Messages that are stuck or lost. It reads the service's own variables: DATABASE_URL, and for `dlq` "
    "QUEUE_URL, DEAD_LETTER_QUEUE_URL and JOBS_TABLE; `setup` prints those, and `teardown` reads them.",
)
dead_letters = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The dead letter queue.")
app.add_typer(dead_letters, name="dlq")


@app.command(epilog='Examples:  eval "$(setup)"   |   setup --name invitations --max-attempts 3')
def setup(
    *,
    name: Annotated[str, typer.Option(help="Names begin with it.")] = "invitations",
    max_attempts: Annotated[int, typer.Option(min=1, max=100, help="As the sender's MAX_ATTEMPTS.")] = 5,
    visibility: Annotated[int, typer.Option(min=2, max=43_200, help="As the sender's VISIBILITY_SECONDS.")] = 60,
) -> None:
    """Make queues and the table of jobs for development, and print the variables that name them."""

    async def run() -> None:
        async with Aws() as aws:
            made = await provisioning.jobs(aws, name, max_attempts=max_attempts, visibility_s=visibility)
        print("\n".join(f"export {variable}={value}" for variable, value in made.items()))

    _reporting(run)


@app.command(epilog='Examples:  eval "$(setup)" && teardown --yes')
def teardown(*, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Remove the queues and the table of jobs that the variables name, with all that is in them."""
    if not yes:
        typer.confirm("Remove the queues and the table of jobs with everything in them?", abort=True)

    async def run() -> None:
        queue, dead, jobs = _places()
        async with Aws() as aws:
            await provisioning.remove(aws, (queue, dead), (jobs,))

    _reporting(run)


@app.command(epilog="Examples:  lost   |   lost --most 1000 --json")
def lost(*, most: Most = 100, as_json: Json = False) -> None:
    """Invitations whose outcome is unknown, the oldest first."""

    async def run() -> None:
        async with _database() as database:
            for each in await by_hand.lost(database, most=most):
                at = datetime.fromtimestamp(each.started_at / 1000, UTC).isoformat(timespec="seconds")
                say(asdict(each), f"{each.invitation_id}  {each.provider}  {at}  {each.why}", as_json=as_json)

    _reporting(run)


@app.command("was-sent", epilog="Examples:  was-sent 0196b4c2… 3f6e2c1a-…   |   was-sent ID MESSAGE --json")
def was_sent(invitation: str, message: str, *, as_json: Json = False) -> None:
    """The provider's logs have the message, by this id of theirs. Exit code 2: the outcome is known already."""

    async def run() -> None:
        async with _database() as database:
            await by_hand.was_sent(database, invitation, message, now=now_ms())
        say({"invitation_id": invitation, "status": "SENT"}, f"{invitation}  SENT", as_json=as_json)

    _reporting(run)


@app.command("was-not-sent", epilog="Examples:  was-not-sent 0196b4c2…   |   was-not-sent ID --json")
def was_not_sent(invitation: str, *, as_json: Json = False) -> None:
    """The provider's logs do not have it: it is FAILED, and the phone may be invited again. Exit code 2 as above."""

    async def run() -> None:
        async with _database() as database:
            await by_hand.was_not_sent(database, invitation, now=now_ms())
        say({"invitation_id": invitation, "status": "FAILED"}, f"{invitation}  FAILED", as_json=as_json)

    _reporting(run)


@dead_letters.command("list", epilog="Examples:  dlq list   |   dlq list --most 1000 --json")
def list_dead(*, most: Most = 100, as_json: Json = False) -> None:
    """What lies in the dead letter queue, and why."""

    async def run() -> None:
        async with _dead_jobs() as jobs:
            await tell_dead(jobs, most=most, as_json=as_json)

    _reporting(run)


@dead_letters.command(epilog="Examples:  dlq redrive   |   dlq redrive --invitation 0196b4c2… --json")
def redrive(
    *,
    invitation: Annotated[str, typer.Option(help="Only this one.")] = "",
    most: Most = 100,
    as_json: Json = False,
) -> None:
    """Try again, with all attempts before them; what may have been sent is not. Exit code 1: some could not be."""

    async def run() -> None:
        async with _dead_jobs() as jobs:
            await tell_redriven(jobs, most=most, only=invitation, as_json=as_json)

    _reporting(run)


@asynccontextmanager
async def _database() -> AsyncIterator[Database]:
    database = await open_database(database_url(os.environ), Pooling(connections=1))
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def _dead_jobs() -> AsyncIterator[DeadJobs]:
    queue, dead, jobs = _places()
    async with Aws() as aws:
        yield DeadJobs(
            JobTable(aws, jobs, owner="cli", revision="cli", terms=Terms(lease=0)),  # it claims nothing
            JobQueue(aws, queue, dead_letters=dead, wait_s=0, visibility_s=0, renew_after=1),
            DeadLetters(aws, dead),
        )


def _places() -> tuple[str, str, str]:
    """URLs of the queue and of its dead letter queue, and the table. Raises SettingError."""
    required = Environment(os.environ).required
    return (
        required("QUEUE_URL", "the URL of the queue of invitations"),
        required("DEAD_LETTER_QUEUE_URL", "the URL of the dead letter queue"),
        required("JOBS_TABLE", "the name of the DynamoDB table of jobs"),
    )


def _reporting(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        asyncio.run(run())
    except (SettingError, DatabaseGoneError, NotUnknownError, BotoCoreError, ClientError) as problem:
        print(f"invitations: {problem}", file=sys.stderr)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    app()
