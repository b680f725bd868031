"""The image worker as processes of its own, ended by signals as kubelet and misfortune do."""

import asyncio
import io
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from PIL import Image

from hack.node import process
from hack.node.aws import LocalAws
from tests.checkout import checkout_copy
from tests.e2e.patience import until
from tests.frozen import frozen
from tests.image_chaos import CHECKOUT, WORKER, Plan, nest, suffer
from tests.image_jobs import Jobs
from tests.integration.between import Between, Trouble
from tests.telemetry_receivers import receiving
from workloads.common.job_health import listening
from workloads.common.job_row import State
from workloads.common.stages import Stage
from workloads.image_worker.store import Store, TakenError

pytest_plugins = ["tests.integration.aws_fixture"]

_OF_S3 = {"GET", "HEAD", "PUT"}
_OF_SQS = {
    "ReceiveMessage", "DeleteMessage", "SendMessage", "ChangeMessageVisibility", "GetQueueAttributes",
}  # fmt: skip


class Running:
    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child
        self.lines: list[dict[str, Any]] = []

    async def read(self) -> None:
        assert self.child.stdout is not None
        async for line in self.child.stdout:
            self.lines.append(json.loads(line))

    def said(self, message: str) -> dict[str, Any] | None:
        return next((line for line in self.lines if line.get("message") == message), None)


@asynccontextmanager
async def image_worker(jobs: Jobs, *, checkout: Path = CHECKOUT, **more: str) -> AsyncIterator[Running]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workloads.image_worker", cwd=checkout, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **jobs.environment, **WORKER, **more},
    )  # fmt: skip
    running = Running(child)
    reading = asyncio.create_task(running.read())
    try:
        await until(lambda: running.said("consuming"), "it consumes", seconds=20)
        yield running
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            await reading
            await child.wait()


async def cli(jobs: Jobs, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workloads.image_worker.cli", *arguments, "--json",
        cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE, env={**os.environ, **jobs.environment},
    )  # fmt: skip
    async with asyncio.timeout(20):
        out, _ = await child.communicate()
    assert child.returncode == code
    return [json.loads(line) for line in out.splitlines()]


async def test_a_worker_killed_at_any_stage_leaves_nothing_that_another_does_not_end(
    jobs: Jobs, tmp_path: Path
) -> None:
    """W7, W8: SIGKILL at each of the six, each time to a worker that has a job there."""
    die = {str(stage): f"job-{stage}" for stage in Stage}
    await jobs.send(*die.values())
    async with nest(jobs, tmp_path, {"processes": 2, "die": die}, VISIBILITY_SECONDS="2", SLOTS="1"):
        await jobs.until_state(State.COMPLETED, *die.values(), seconds=40)
        await until(lambda: len(list((tmp_path / "deaths").iterdir())) == len(Stage), "all have died")
        await jobs.until_empty()
    assert await jobs.uploads() == {f"images/{name}/image.png": 1 for name in die.values()}
    rows = await jobs.rows()
    assert rows["job-stored"].attempts == rows["job-claimed"].attempts == 2
    assert rows["job-finished"].attempts == rows["job-received"].attempts == 1


async def test_a_little_chaos_loses_nothing_and_uploads_nothing_twice(local_aws: LocalAws, tmp_path: Path) -> None:
    """W25: `hack/bench worker` in small."""
    plan = Plan(jobs=30, processes=3, deaths=8, died=0.1, stalled=0.03, failed=0.05, twice=0.1)
    after = await suffer(plan, tmp_path, seconds=60)
    assert (after.completed, after.objects, after.uploaded_twice, after.stuck, after.lost) == (30, 30, 0, 0, 0)
    assert after.deaths >= 6


@pytest.fixture
async def telegraf() -> AsyncIterator[tuple[str, list[str]]]:
    """Its URL, and what it was sent."""
    pushed: list[str] = []

    async def write(request: web.Request) -> web.Response:
        pushed.append(await request.text())
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/api/v2/write", write)
    async with listening(app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}", pushed


async def test_a_day_of_a_worker(jobs: Jobs, local_aws: LocalAws, telegraf: tuple[str, list[str]]) -> None:
    """W4, W6, W12, W13, W15, W16, W17, W18, W21, W22: what a person sees, from sending to the end."""
    url, pushed = telegraf
    photo = Image.linear_gradient("L").resize((640, 480)).rotate(30).convert("RGB")
    for place, (format_, quality) in enumerate((("JPEG", 95), ("JPEG", 60))):
        out = io.BytesIO()
        photo.resize((640 - 64 * place, 480 - 48 * place)).save(out, format_, quality=quality)
        await jobs.aws.call(
            jobs.aws.s3.put_object, Bucket=jobs.places.bucket, Key=f"uploads/{place}", Body=out.getvalue()
        )
    async with image_worker(jobs, TELEMETRY_URL=url, EMF_NAMESPACE="Images", SERVICE="shop") as it:
        started = it.said("starting")
        assert started is not None
        async with aiohttp.ClientSession(f"http://127.0.0.1:{started['port']}") as session:
            for path in ("/healthz", "/readyz"):
                async with session.get(path) as answer:
                    assert answer.status == 200
        assert await cli(jobs, "enqueue", "--id", "a", "--text", "Hello") == [{"job_id": "a", "state": "SENT"}]
        await jobs.producer.enqueue({"job_id": "first", "kind": "ingest", "source_key": "uploads/0"})
        await jobs.until_state(State.COMPLETED, "a", "first")
        await jobs.producer.enqueue({"job_id": "second", "kind": "ingest", "source_key": "uploads/1"})
        await jobs.producer.enqueue({"job_id": "bad", "kind": "ingest", "source_key": "images/a/image.png"})
        server = process.running(process.record(local_aws.directory, "ministack"))
        assert server is not None
        await jobs.until_state(State.FAILED, "bad")
        await jobs.until_state(State.COMPLETED, "second")
        with frozen(server.pid):  # all of AWS is away for some seconds
            waiting = asyncio.create_task(jobs.producer.enqueue({"job_id": "late", "kind": "render"}))
            done, _ = await asyncio.wait({waiting}, timeout=3)
            assert not done
        await waiting
        await jobs.until_state(State.COMPLETED, "late")
        await until(lambda: any("completed=1i" in body for body in pushed), "counts are pushed")
        [dead] = await cli(jobs, "dlq", "list")
        assert dead["job_id"] == "bad"
        assert "source_key: 'images/a/image.png'" in dead["last_error"]
        assert await cli(jobs, "dlq", "redrive") == [{"job_id": "bad", "outcome": "sent again"}]
        await cli(jobs, "status", "nobody", code=1)
    assert it.child.returncode == 0
    second = await jobs.row("second")
    [near] = second.result["near_duplicates"]
    assert (near["job_id"], second.result["thumbnail_key"]) == ("first", "images/second/thumbnail.jpg")
    assert (await jobs.row("bad")).redriven == 1
    [row] = await cli(jobs, "status", "a")
    head = await jobs.aws.call(jobs.aws.s3.head_object, Bucket=jobs.places.bucket, Key=row["result"]["s3_key"])
    assert head["Metadata"]["sha256"] == row["result"]["sha256"]
    assert row["result"]["s3_path"] == f"s3://{jobs.places.bucket}/images/a/image.png"
    embedded = [line for line in it.lines if "_aws" in line]
    assert sum(line.get("JobsCompleted", 0) for line in embedded) == 4
    lines = [line for body in pushed for line in body.splitlines() if line.startswith("job.outcome,")]
    assert all(line.startswith("job.outcome,pod=worker,revision=aaaaaaaaaa,service=shop ") for line in lines)


@pytest.mark.parametrize("away", ["DynamoDB", "S3"])
async def test_a_store_that_is_away_for_a_while_costs_no_attempt_and_no_job(
    jobs: Jobs, local_aws: LocalAws, away: str
) -> None:
    """W13: the other one and the queue answer all the time."""

    def is_asked(asked: str) -> bool:
        return (asked in _OF_S3) == (away == "S3") and asked not in _OF_SQS

    async with Between(local_aws.url).running() as network:
        async with image_worker(jobs, AWS_ENDPOINT_URL=network.url) as it:
            await jobs.send("before")
            await jobs.until_state(State.COMPLETED, "before")
            network.trouble = lambda asked: Trouble.GONE if is_asked(asked) else Trouble.NONE
            await jobs.send("during")
            refused = len(network.asked)
            # longer than a message is hidden, so that the lease has to be renewed, or is lost and taken anew
            await until(lambda: len(network.asked) > refused + 10, "it is asked again and again", seconds=30)
            assert (await jobs.rows()).get("during") is None or (await jobs.row("during")).state is State.PROCESSING
            network.trouble = lambda _: Trouble.NONE
            await jobs.until_state(State.COMPLETED, "during", seconds=30)
            await jobs.until_empty()
        assert it.child.returncode == 0
    assert (await jobs.row("during")).counted == 1
    assert set((await jobs.uploads()).values()) == {1}
    assert not await jobs.in_dead_letters()


async def test_the_upload_of_a_job_that_waits_is_not_written_over(jobs: Jobs, tmp_path: Path) -> None:
    """W3, W21: the job then processed the second file, and the second was answered PENDING."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"one")
    two.write_bytes(b"two")
    assert await cli(jobs, "enqueue", "--id", "a", "--upload", str(one)) == [{"job_id": "a", "state": "SENT"}]
    await cli(jobs, "enqueue", "--id", "a", "--upload", str(two), code=2)
    assert await cli(jobs, "enqueue", "--id", "a", "--upload", str(one)) == [{"job_id": "a", "state": "PENDING"}]
    [key] = await jobs.uploads()
    answer = await jobs.aws.call(jobs.aws.s3.get_object, Bucket=jobs.places.bucket, Key=key)
    assert answer["Body"].read() == b"one"


async def test_a_job_of_any_kind_is_sent_with_its_body_from_a_file(jobs: Jobs, tmp_path: Path) -> None:
    """W15, W21"""
    body = tmp_path / "body.json"
    body.write_text('{"width": 40, "height": 30, "text": "Hi"}')
    sent = await cli(jobs, "enqueue", "--kind", "render", "--body", str(body), "--id", "k")
    assert sent == [{"job_id": "k", "state": "SENT"}]
    async with image_worker(jobs):
        await jobs.until_state(State.COMPLETED, "k")
    assert ((await jobs.row("k")).result["width"], (await jobs.row("k")).result["height"]) == (40, 30)


async def test_the_readmes_kind_is_done_by_the_version_that_has_it_whatever_the_old_one_sees(
    jobs: Jobs, tmp_path: Path
) -> None:
    """W15, W21, W26: its own commands; the old worker beside the new one gets the job first, again and again."""
    readme = (CHECKOUT / "workloads/image_worker/README.md").read_text()
    section = readme.split("## A kind of your own")[1].split("\n## ")[0]
    [module], [commands] = (
        re.findall(r"```python\n(.*?)```", section, re.DOTALL),
        re.findall(r"```\n(echo .*?)```", section, re.DOTALL),
    )
    environment = checkout_copy(tmp_path)
    (tmp_path / "workloads/image_worker/kinds/swatch.py").write_text(module)
    child = await asyncio.create_subprocess_exec(
        "bash", "-ec", commands, cwd=tmp_path, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **jobs.environment, **environment},
    )  # fmt: skip
    async with asyncio.timeout(60):
        said, _ = await child.communicate()
    assert (child.returncode, said.decode()) == (0, "s1  SENT\n")
    async with image_worker(jobs, MAX_ATTEMPTS="1"):

        async def seen() -> bool:
            return (await jobs.row("s1")).failed_by.get(WORKER["REVISION"], 0) >= 2

        await until(seen, "the old version got it twice", seconds=20)
    assert (await jobs.row("s1")).last_error == "kind: 'swatch' is none of ingest, render"
    async with image_worker(jobs, checkout=tmp_path, REVISION="bbbbbbbbbb"):
        await jobs.until_state(State.COMPLETED, "s1")
    child = await asyncio.create_subprocess_exec(
        "bash", "-ec", 'for to in "$1" -; do "$0" -m workloads.image_worker.cli fetch s1 --to "$to"; done',
        sys.executable, str(tmp_path / "s1.png"), cwd=CHECKOUT, env={**os.environ, **jobs.environment},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, _ = await child.communicate()
    image = (tmp_path / "s1.png").read_bytes()
    assert (child.returncode, out) == (0, f"{tmp_path / 's1.png'}\n".encode() + image)
    assert Image.open(tmp_path / "s1.png").getpixel((9, 9)) == (255, 136, 0)


async def test_a_redrive_of_nothing_says_so(jobs: Jobs) -> None:
    """W21"""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workloads.image_worker.cli", "dlq", "redrive", "--job", "a",
        cwd=CHECKOUT, stderr=asyncio.subprocess.PIPE, env={**os.environ, **jobs.environment},
    )  # fmt: skip
    async with asyncio.timeout(20):
        _, said = await child.communicate()
    assert (child.returncode, said.decode().strip()) == (1, "job 'a' is not in the dead letter queue")
    assert await cli(jobs, "dlq", "redrive") == []


async def test_an_object_of_the_same_job_is_adopted_and_one_of_another_is_not_touched(jobs: Jobs) -> None:
    """W8"""
    store = Store(jobs.aws, jobs.places.bucket, patience=5)
    first = await store.put("k", b"one", content_type="image/png", job_id="a", metadata={"fence": "1"})
    again = await store.put("k", b"two", content_type="image/png", job_id="a", metadata={"fence": "2"})
    assert (first.adopted, again.adopted, again.metadata["fence"]) == (False, True, "1")
    with pytest.raises(TakenError, match="belongs to job 'a'"):
        await store.put("k", b"three", content_type="image/png", job_id="b", metadata={})
    assert await jobs.uploads() == {"k": 1}


async def test_a_processs_spans_show_the_calls_and_the_drawing_of_an_attempt(jobs: Jobs) -> None:
    """W18, W19: there were none for S3, DynamoDB and the drawing, and no trace in the worker's logs."""
    async with receiving() as receiver:
        async with image_worker(jobs, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url) as it:
            await jobs.send("a")
            await jobs.until_state(State.COMPLETED, "a")
            await jobs.until_empty()
        [attempt] = [span for span in receiver.spans if span.name.startswith("process ")]
        below = {span.name for span in receiver.spans if span.parent_span_id == attempt.span_id}
    of_dynamodb = {"DynamoDB/UpdateItem", "DynamoDB/TransactWriteItems"}
    assert below >= {"render", "S3/PutObject", "SQS/DeleteMessage", *of_dynamodb}
    completed = it.said("completed")
    assert completed is not None
    assert completed["trace_id"] == attempt.trace_id.hex()
