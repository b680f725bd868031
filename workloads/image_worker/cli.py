"""`python -m workloads.image_worker.cli`: jobs from the command line."""

import asyncio
import hashlib
import os
import sys
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from workloads.common.aws import Aws, path_style
from workloads.common.dead_jobs_cli import Json, Most, say, tell_dead, tell_redriven
from workloads.common.environment import SettingError
from workloads.common.http_metrics import Identity
from workloads.common.job import BadMessageError, Job
from workloads.common.jobs import read_body, row_lines
from workloads.common.producer import OtherBodyError, Producer
from workloads.common.tracing import tracing
from workloads.image_worker import settings
from workloads.image_worker.kinds import DEFAULT, kind_of
from workloads.image_worker.provision import provision, remove
from workloads.image_worker.refusal import BadJobError
from workloads.image_worker.store import Store
from workloads.image_worker.trial import tried

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Jobs of the image worker. QUEUE_URL, DEAD_LETTER_QUEUE_URL, JOBS_TABLE, NEAR_TABLE and BUCKET say where; "
    "`setup` prints them.",
)
dead_letters = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The dead letter queue.")
app.add_typer(dead_letters, name="dlq")


@app.command(
    epilog="Examples:  enqueue --text Hello   |   enqueue --id a1 --width 800 --height 600   |   "
    "enqueue --upload cat.jpg   |   enqueue --kind render --body job.json   |   enqueue --count 100 --json"
)
def enqueue(
    *,
    job_id: Annotated[str, typer.Option("--id", help="The job's id; one is made up without.")] = "",
    text: Annotated[str, typer.Option(help="A line of text on the image.")] = "",
    width: Annotated[int, typer.Option(help="Pixels.")] = 512,
    height: Annotated[int, typer.Option(help="Pixels.")] = 512,
    upload: Annotated[
        Path | None, typer.Option(help="A file to upload and ingest, instead of an image to draw.")
    ] = None,
    kind: Annotated[str, typer.Option(help="The kind of job, with --body.")] = "",
    body: Annotated[Path | None, typer.Option(help="A file with the job's body as JSON, - for standard input.")] = None,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="So many jobs, ID-0, ID-1, …")] = 1,
    as_json: Json = False,
) -> None:
    """Send jobs. A job that is known already is not sent again; its id with another body is an error."""
    name = job_id or uuid.uuid4().hex
    names = [name] if count == 1 else [f"{name}-{place}" for place in range(count)]
    if upload is not None and not upload.is_file():
        raise typer.BadParameter(f"there is no file {upload}", param_hint="--upload")

    given = _read_body(body, kind)

    async def run(aws: Aws, producer: Producer) -> None:
        for each in names:
            sent: dict[str, Any] = {"kind": DEFAULT, "width": width, "height": height, "text": text, "job_id": each}
            if given is not None:
                sent = {**given, "job_id": each}
            if upload is not None:
                places = settings.places(os.environ)
                data = upload.read_bytes()
                # Named after its content: the upload of a job that waits is never written over.
                key = f"{places.uploads}{each}/{hashlib.sha256(data).hexdigest()[:16]}"
                sent = {"job_id": each, "kind": "ingest", "source_key": key}
                if await producer.find(Job(each, sent)) is None:
                    await aws.call(aws.s3.put_object, Bucket=places.bucket, Key=key, Body=data)
            known = await producer.enqueue(sent)
            state = known.state if known else "SENT"
            say({"job_id": each, "state": state}, f"{each}  {state}", as_json=as_json)

    _run(run)


@app.command(epilog="Examples:  status a1   |   status a1 --json")
def status(job_id: str, *, as_json: Json = False) -> None:
    """How a job stands. Exit code 1: there is no such job."""

    async def run(_: Aws, producer: Producer) -> None:
        row = await producer.status(job_id)
        if row is None:
            print(f"there is no job {job_id!r} (or its row was purged)", file=sys.stderr)
            raise typer.Exit(1)
        say(asdict(row), "\n".join(row_lines(row)), as_json=as_json)

    _run(run)


@app.command(epilog="Examples:  fetch a1   |   fetch a1 --to cat.png   |   fetch a1 --to - > cat.png")
def fetch(
    job_id: str,
    *,
    to: Annotated[
        Path | None, typer.Option(help="Where to write it, - for standard output; without, the object's own name.")
    ] = None,
) -> None:
    """Write a job's image to a file. Exit code 1: there is none yet."""

    async def run(aws: Aws, producer: Producer) -> None:
        row = await producer.status(job_id)
        if row is None or "s3_key" not in row.result:
            print(f"job {job_id!r} has no image: it is {row.state if row else 'not known'}", file=sys.stderr)
            raise typer.Exit(1)
        key = row.result["s3_key"]
        image = await Store(aws, settings.places(os.environ).bucket, patience=0).get(key)
        if str(to) == "-":
            sys.stdout.buffer.write(image)
            return
        file = to or Path(Path(key).name)
        file.write_bytes(image)
        print(file)

    _run(run)


@app.command("try", epilog="Examples:  try   |   try --count 20 --every 0.5 --json")
def try_out(
    *,
    count: Annotated[int, typer.Option(min=1, max=1_000, help="So many jobs, one after the other.")] = 1,
    every: Annotated[float, typer.Option(min=0, max=60, help="Seconds between two of them.")] = 0,
    as_json: Json = False,
) -> None:
    """Draw images as this version would, without queue, table or bucket. Exit code 1: some failed."""

    async def run() -> None:
        failed = 0
        async for one in tried(settings.read(os.environ), count, every=every):
            failed += bool(one.wrong)
            say(asdict(one), f"{one.job_id}  {one.wrong or 'drawn'}  {one.seconds:g} s", as_json=as_json)
        if failed:
            print(f"{failed} of {count} jobs failed", file=sys.stderr)
            raise typer.Exit(1)

    _reporting(run)


@dead_letters.command("list", epilog="Examples:  dlq list   |   dlq list --most 1000 --json")
def list_dead(*, most: Most = 100, as_json: Json = False) -> None:
    """What lies in the dead letter queue, and why."""

    async def run(_: Aws, producer: Producer) -> None:
        await tell_dead(producer, most=most, as_json=as_json)

    _run(run)


@dead_letters.command(epilog="Examples:  dlq redrive   |   dlq redrive --job a1 --json")
def redrive(
    *,
    job: Annotated[str, typer.Option(help="Only this job.")] = "",
    most: Most = 100,
    as_json: Json = False,
) -> None:
    """Send dead jobs again, with all their attempts before them. Exit code 1: some could not be."""

    async def run(_: Aws, producer: Producer) -> None:
        await tell_redriven(producer, most=most, only=job, as_json=as_json)

    _run(run)


@app.command(epilog='Examples:  eval "$(setup)"   |   setup --name thumbnails --max-attempts 5')
def setup(
    *,
    name: Annotated[str, typer.Option(help="Names begin with it.")] = "image-worker",
    max_attempts: Annotated[int, typer.Option(min=1, max=100, help="As the worker's MAX_ATTEMPTS.")] = 6,
    visibility: Annotated[int, typer.Option(min=2, max=43_200, help="As the worker's VISIBILITY_SECONDS.")] = 60,
) -> None:
    """Make queues, tables and bucket for development, and print the variables that name them."""

    async def run() -> None:
        async with Aws(path_style=path_style(os.environ)) as aws:
            made = await provision(aws, name, max_attempts=max_attempts, visibility_s=visibility)
        for variable, value in variables(made).items():
            print(f"export {variable}={value}")

    _reporting(run)


@app.command(epilog='Examples:  eval "$(setup)" && teardown --yes')
def teardown(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove the queues, tables and bucket that the variables name, with all that is in them."""
    if not yes:
        typer.confirm("Remove the queues, tables and bucket with everything in them?", abort=True)

    async def run() -> None:
        async with Aws(path_style=path_style(os.environ)) as aws:
            await remove(aws, settings.places(os.environ))

    _reporting(run)


def _read_body(file: Path | None, kind: str) -> dict[str, Any] | None:
    """Checked as the worker checks it, so that a job that cannot succeed is not sent. None: none was given."""
    if file is None:
        if kind:
            raise typer.BadParameter("give the job's body too", param_hint="--body")
        return None
    given = read_body(file)
    body = {**given, "kind": kind or given.get("kind", DEFAULT)}
    try:
        kind_of(body).read(body)
    except BadJobError as problem:
        raise typer.BadParameter(str(problem), param_hint="--body") from None
    return body


def variables(places: settings.Places) -> dict[str, str]:
    return {
        "QUEUE_URL": places.queue,
        "DEAD_LETTER_QUEUE_URL": places.dead_letters,
        "JOBS_TABLE": places.jobs,
        "NEAR_TABLE": places.near,
        "BUCKET": places.bucket,
    }


def _run(command: Callable[[Aws, Producer], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        places = settings.places(os.environ)
        traces = tracing(os.environ, Identity("image-producer", "cli", "cli"), queue=places.queue)
        try:
            async with Aws(path_style=path_style(os.environ)) as aws:
                await command(aws, Producer(aws, places, send=traces.send))
        finally:
            traces.close()

    _reporting(run)


def _reporting(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        asyncio.run(run())
    except (SettingError, BadMessageError, OtherBodyError, BotoCoreError, ClientError, OSError) as problem:
        print(f"image worker: {problem}", file=sys.stderr)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    app()
