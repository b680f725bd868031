"""What spans and logs say of an attempt."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, format_trace_id

from tests.image_jobs import Jobs
from tests.integration.job_worker import Work, worker
from workloads.common.aws import Aws
from workloads.common.http_metrics import Identity
from workloads.common.job import Job
from workloads.common.job_queue import Message
from workloads.common.job_row import Row, State
from workloads.common.job_table import Claim
from workloads.common.json_logs import JsonFormatter
from workloads.common.tracing import ids_now, tracing

pytest_plugins = ["tests.integration.aws_fixture"]

WHO = Identity("shop", "a", "p")
JOBS = ("bad", "good")


async def test_a_failed_attempts_span_says_why_and_a_good_ones_does_not(jobs: Jobs) -> None:
    """W19: a failed job's span had the status UNSET and no event."""
    spans = InMemorySpanExporter()
    traces = tracing({}, WHO, queue="q", processor=SimpleSpanProcessor(spans))
    await jobs.send(*JOBS)
    async with worker(jobs, Work(fails={"bad": ValueError("no such color")}), around=traces.attempt):
        await jobs.until_state(State.FAILED, "bad")
        await jobs.until_state(State.COMPLETED, "good")
        await jobs.until_empty()
    traces.close()
    of = {job: [s for s in spans.get_finished_spans() if (s.attributes or {}).get("job.id") == job] for job in JOBS}
    bad, [good] = of["bad"], of["good"]
    assert len(bad) == 3
    for span in bad:
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError: no such color")
        assert [event.name for event in span.events] == ["exception"]
    assert good.status.status_code is StatusCode.UNSET


async def test_calls_of_an_attempt_are_spans_below_it_and_its_logs_name_the_trace(jobs: Jobs) -> None:
    """W18, W19"""
    spans = InMemorySpanExporter()
    traces = tracing({}, WHO, queue="q", processor=SimpleSpanProcessor(spans))
    lines: list[dict[str, Any]] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(self.format(record)))

    handler = Kept()
    handler.setFormatter(JsonFormatter({}, ids_now))
    log = logging.getLogger("workloads.common.attempts")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    async with Aws(path_style=True, step=traces.step) as aws:

        async def stores(job: Job, claim: Claim) -> Mapping[str, Any]:
            await aws.call(aws.s3.put_object, Bucket=jobs.places.bucket, Key=job.job_id, Body=b"x")
            return {}

        await aws.call(aws.s3.head_bucket, Bucket=jobs.places.bucket)  # of no attempt
        await jobs.send("j")
        try:
            async with worker(jobs, stores, around=traces.attempt):
                await jobs.until_state(State.COMPLETED, "j")
                await jobs.until_empty()
        finally:
            log.removeHandler(handler)
    traces.close()
    put, attempt = spans.get_finished_spans()
    assert (put.name, attempt.name) == ("S3/PutObject", "process q")
    assert put.parent is not None
    assert put.parent.span_id == attempt.context.span_id
    [line] = [line for line in lines if line["message"] == "completed"]
    assert line["trace_id"] == format_trace_id(attempt.context.trace_id)


async def test_without_an_endpoint_logs_name_the_producers_trace() -> None:
    """W18"""
    producer = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    traces = tracing({}, WHO, queue="q")
    claim = Claim(Row("j", State.PROCESSING, fence=1, attempts=1), canary=False)
    with traces.attempt(Message("{}", "r", 0, 1, {"traceparent": producer}), Job("j", {}), claim):
        line = json.loads(JsonFormatter({}, ids_now).format(logging.makeLogRecord({"msg": "x"})))
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
