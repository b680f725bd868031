"""What the image worker decides without any server."""

import asyncio
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from typer.testing import CliRunner

from workloads.common.attempt import Rules
from workloads.common.aws import OutageError, is_outage, patiently
from workloads.common.emf import EmbeddedMetrics
from workloads.common.environment import SettingError
from workloads.common.http_metrics import Identity
from workloads.common.job import BadMessageError, Job, parse
from workloads.common.job_events import (
    Attempted,
    Begun,
    Dequeued,
    Ended,
    Fenced,
    FirstOutcome,
    LeaseLost,
    NeededMore,
    Received,
    Result,
    Unreadable,
)
from workloads.common.job_metrics import JobMetrics
from workloads.common.job_queue import Message
from workloads.common.job_row import Row, State, typed
from workloads.common.job_table import Claim
from workloads.common.jobs import row_lines
from workloads.common.line_protocol import encode
from workloads.common.provisioning import SPARE_RECEIVES
from workloads.common.tracing import tracing
from workloads.image_worker.cli import app
from workloads.image_worker.faults import Faults, InjectedError, Misfortune
from workloads.image_worker.settings import read

CHECKOUT = Path(__file__).resolve().parents[2]
WHO = Identity(service="shop", revision="aaaaaaaaaa", pod="shop-1")
NEEDED = {"QUEUE_URL": "q", "DEAD_LETTER_QUEUE_URL": "d", "JOBS_TABLE": "j", "NEAR_TABLE": "n", "BUCKET": "b"}


_NESTED = '{{"job_id": "j", "a": {}}}'


@pytest.mark.parametrize(
    "text", ["", "no", "[]", "{}", '{"job_id": 1}', '{"job_id": ""}', '{"job_id": "../a"}', '{"job_id": "a/b"}']
)
def test_a_message_without_a_proper_job_id_is_a_bad_one(text: str) -> None:
    """W11"""
    with pytest.raises(BadMessageError, match=r"JSON|job_id"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"job_id":' * 100_000,
        _NESTED.format("[" * 200 + "]" * 200),
        _NESTED.format('{"b":' * 900 + "1" + "}" * 900),
    ],
)
def test_a_body_nested_too_deep_is_a_bad_one_and_no_defect(text: str) -> None:
    """W11"""
    with pytest.raises(BadMessageError, match="nested too deep"):
        parse(text)
    assert parse(_NESTED.format("[" * 50 + "]" * 50)).digest


def test_a_row_is_read_as_it_was_written() -> None:
    values = {"job_id": "j", "state": "RETRY", "attempts": 3, "spared": 1, "failed_by": {"b": 1}, "width": Decimal(3)}
    row = Row.of(typed({**values, "near_duplicates": [{"job_id": "x", "distance": 2}]}))
    assert (row.state, row.counted, row.failed_by) == (State.RETRY, 2, {"b": 1})
    assert row.result == {"width": 3, "near_duplicates": [{"job_id": "x", "distance": 2}]}


def test_a_result_does_not_hide_the_rows_own_values_from_who_asks() -> None:
    """W21"""
    row = Row("j", State.COMPLETED, result={"state": "nice", "width": 3})
    lines = [line.split(maxsplit=1) for line in row_lines(row)]
    assert {"state": "COMPLETED", "result.state": "nice", "width": "3"}.items() <= dict(lines).items()


def test_pauses_double_up_to_a_longest_and_jitter_takes_up_to_half_away() -> None:
    """W5"""
    rules = Rules(visibility=30, max_attempts=9, longest_job=60, first_pause=1, longest_pause=10)
    assert [rules.pause(failures, lambda: 1.0) for failures in (1, 2, 3, 4, 5, 500)] == [1, 2, 4, 8, 10, 10]
    assert rules.pause(3, lambda: 0.0) == 2
    assert rules.beat == 10


def client_error(status: int, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Put")


def test_outages_are_told_from_refusals() -> None:
    """W13"""
    outages = [client_error(503, "x"), client_error(400, "ThrottlingException"), ConnectTimeoutError(endpoint_url="x")]
    assert all(is_outage(problem) for problem in outages)
    assert not any(is_outage(problem) for problem in (client_error(403, "AccessDenied"), ValueError("x")))


async def test_an_outage_is_waited_through_and_only_for_so_long() -> None:
    """W13"""
    answers = [client_error(503, "x"), client_error(503, "x")]

    async def call() -> str:
        if answers:
            raise answers.pop()
        return "done"

    async def away() -> str:
        raise client_error(500, "x")

    async def refused() -> str:
        raise client_error(403, "AccessDenied")

    assert await patiently(call, seconds=5) == "done"
    with pytest.raises(OutageError, match=r"no answer within 0\.05 s"):
        await patiently(away, seconds=0.05)
    with pytest.raises(ClientError):
        await patiently(refused, seconds=5)


EVENTS = (
    Received(3), Unreadable(), Dequeued(0.3), Begun(1), Attempted(1, first=True, result=Result.FAILED, seconds=0.2),
    FirstOutcome("bbbbbbbbbb", failed=True), NeededMore("bbbbbbbbbb"), Begun(2),
    Attempted(2, first=False, result=Result.OK, seconds=2), Ended("bbbbbbbbbb", completed=True), LeaseLost(), Fenced(),
)  # fmt: skip


def test_a_job_counts_for_the_revision_that_tried_first_and_an_attempt_for_the_one_that_made_it() -> None:
    """W17"""
    metrics = JobMetrics(WHO)
    for event in EVENTS:
        metrics.note(event, now=5.0)
    metrics.note(Begun(3), now=5.0)
    lines = [encode(point) for point in metrics.take(now=8.0, time_ns=1)]
    assert (
        "job.outcome,pod=shop-1,revision=bbbbbbbbbb,service=shop "
        "first_attempts=1i,first_attempt_failed=1i,needed_more=1i,completed=1i,dead_lettered=0i 1"
    ) in lines
    own = "pod=shop-1,revision=aaaaaaaaaa"
    assert "job.attempts,pod=shop-1,result=failed,revision=aaaaaaaaaa,service=shop count=1i 1" in lines
    assert f"job.lease.lost,{own},service=shop count=1i 1" in lines
    assert f"job.fenced,{own},service=shop count=1i 1" in lines
    [active] = [line for line in lines if line.startswith("job.active,")]
    assert "active=1i,over_1=1i,over_2.5=1i,over_5=0i" in active
    [first] = [line for line in lines if line.startswith("messaging.process.duration,attempt=first")]
    assert "result=failed" in first
    assert "le_0.1=0i,le_0.25=1i" in first
    assert [point.measurement for point in metrics.take(now=9.0, time_ns=2)] == ["job.active"], (
        "deltas, and a sign of life"
    )


def test_embedded_metrics_are_what_cloudwatch_reads() -> None:
    """W18"""
    metrics = EmbeddedMetrics(WHO, "Images")
    for event in EVENTS:
        metrics.note(event)
    for _ in range(150):
        metrics.note(Dequeued(1.0))
    first, second = map(json.loads, metrics.lines(now_ms=7))
    directive = first["_aws"]["CloudWatchMetrics"][0]
    assert {"Name": "JobsCompleted", "Unit": "Count"} in directive["Metrics"]
    assert (first["JobsCompleted"], first["AttemptsFailed"], first["MessagesReceived"]) == (1, 1, 3)
    assert all(name in first for dimensions in directive["Dimensions"] for name in dimensions)
    assert (len(first["QueueWaitSeconds"]), len(second["QueueWaitSeconds"])) == (100, 51), "a hundred values a line"
    assert metrics.lines(now_ms=8) == []


def test_the_consumers_span_links_the_producers_through_the_message() -> None:
    """W19"""
    spans = InMemorySpanExporter()
    traces = tracing({}, WHO, queue="http://q/images", processor=SimpleSpanProcessor(spans))
    with traces.send("j") as attributes:
        pass
    claim = Claim(Row("j", State.PROCESSING, fence=2, attempts=1), canary=False)
    with traces.attempt(Message("{}", "r", 0, 1, attributes), Job("j", {}), claim):
        pass
    sent, processed = spans.get_finished_spans()
    assert list(attributes) == ["traceparent"]
    assert (sent.name, processed.name) == ("send images", "process images")
    assert [link.context.span_id for link in processed.links] == [sent.context.span_id]
    assert processed.context.trace_id != sent.context.trace_id
    assert processed.resource.attributes["service.version"] == "aaaaaaaaaa"
    traces.close()


def test_nothing_is_traced_without_an_endpoint() -> None:
    """W19"""
    with tracing({}, WHO, queue="q").send("j") as attributes:
        assert attributes == {}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("QUEUE_URL", ""), ("BUCKET", ""), ("SLOTS", "0"), ("VISIBILITY_SECONDS", "1"), ("MAX_ATTEMPTS", "many"),
        ("WAIT_SECONDS", "21"), ("KEEP_DAYS", "7"), ("ERROR_RATE", "2"), ("UPLOADS_PREFIX", "images/in/"),
        ("ERROR_RATE", "0.1"), ("ERRORS_ABOVE", "5"), ("EXTRA_LATENCY", "1"), ("ALLOW_FAULTS", "yes"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(variable: str, value: str) -> None:
    """W20"""
    with pytest.raises(SettingError, match=f"^{variable}"):
        read({**NEEDED, variable: value})


@pytest.mark.parametrize(
    ("ledger", "service", "names"),
    [("dynamodb://shares", "", "SERVICE_ID"), ("redis://shares", "media/image-worker", "SHARE_LEDGER")],
)
def test_a_share_that_cannot_be_had_is_said_at_the_start(ledger: str, service: str, names: str) -> None:
    """W14, W20: a worker that ignored it would take more than its part."""
    wrong = {"SHARE_LEDGER": ledger, "SERVICE_ID": service, "REVISION": "a", "POD": "p", "AWS_DEFAULT_REGION": "x"}
    command = [sys.executable, "-m", "workloads.image_worker"]
    done = subprocess.run(
        command, env={**os.environ, **NEEDED, **wrong}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"image worker: {names}")


def test_settings_have_defaults_and_the_lease_ends_before_the_visibility() -> None:
    """W9, W20"""
    settings = read(NEEDED)
    assert settings.jobs.terms.lease < settings.jobs.rules.visibility
    assert settings.jobs.terms.lease > 2 * settings.jobs.rules.beat, "two heartbeats may fail"
    assert settings.render.cpu_s < settings.render.whole_s < settings.jobs.rules.longest_job, "too slow is final"
    assert (settings.faults, settings.jobs.capacity.slots) == (Faults(), 2)


def test_a_job_outlives_an_outage_of_minutes_by_default() -> None:
    """W5: three attempts within three seconds outlived no outage of anything that the work calls."""
    rules = read(NEEDED).jobs.rules
    pauses = [rules.pause(failures, lambda: 0.0) for failures in range(1, rules.max_attempts)]
    assert sum(pauses) >= 5 * 60


async def test_faults_strike_as_often_as_they_are_asked_to() -> None:
    failed = 0
    misfortune = Misfortune(Faults(error_rate=0.2), "seed")
    for _ in range(1000):
        try:
            await misfortune.strike()
        except InjectedError:
            failed += 1
    assert failed == pytest.approx(200, abs=40)


async def test_attempts_beyond_a_processs_limit_in_a_second_fail() -> None:
    misfortune = Misfortune(Faults(errors_above=2), "seed")
    struck = await asyncio.gather(*(misfortune.strike() for _ in range(5)), return_exceptions=True)
    assert [isinstance(one, InjectedError) for one in struck] == [False, False, True, True, True]


def test_a_version_draws_for_trial_without_a_queue_and_says_what_failed() -> None:
    good = CliRunner().invoke(app, ["try", "--count", "2", "--json"], env=NEEDED)
    assert good.exit_code == 0, good.output
    assert [json.loads(line)["wrong"] for line in good.stdout.splitlines()] == ["", ""]
    bad = CliRunner().invoke(app, ["try", "--count", "2"], env={**NEEDED, "ALLOW_FAULTS": "true", "ERROR_RATE": "1"})
    assert bad.exit_code == 1
    assert "try-1  ERROR_RATE is 1" in bad.stdout
    assert "2 of 2 jobs failed" in bad.stderr


@pytest.mark.parametrize(
    "command", [["enqueue"], ["try"], ["dlq", "list"], ["dlq", "redrive"], ["status"], ["setup"], ["teardown"]]
)
def test_each_command_explains_itself_with_examples(command: list[str]) -> None:
    """W21"""
    shown = CliRunner().invoke(app, [*command, "--help"])
    assert shown.exit_code == 0
    assert "Examples:" in shown.output


def test_a_command_without_settings_names_all_that_are_missing() -> None:
    """W20, W21"""
    shown = CliRunner().invoke(app, ["status", "x"], env=dict.fromkeys(NEEDED, ""))
    assert shown.exit_code == 2
    assert "image worker: 5 settings are wrong\n  QUEUE_URL is not set: give the URL of the job queue" in shown.output
    assert all(f"{name} is not set: give " in shown.output for name in NEEDED)


def test_all_that_is_wrong_is_said_at_once() -> None:
    """W20"""
    wrong = {"SLOTS": "two", "WAIT_SECONDS": "21", "KEEP_DAYS": "7", "UPLOADS_PREFIX": "images/in/", "BUCKET": ""}
    with pytest.raises(SettingError, match=r"^5 settings are wrong") as caught:
        read({**NEEDED, **wrong})
    assert all(f"\n  {name}" in str(caught.value) for name in wrong)


def test_the_readme_names_each_requirement_and_each_has_a_test() -> None:
    text = (CHECKOUT / "workloads/image_worker/README.md").read_text()
    tests = "".join(path.read_text() for path in (CHECKOUT / "tests").rglob("test_*.py"))
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| W")]
    assert rows == [f"W{place}" for place in range(1, len(rows) + 1)]
    for row in rows:
        assert any(f"{row}{end}" in tests for end in (",", ":", '"')), f"{row} has no test"


def test_the_redrive_policy_is_only_the_net_below() -> None:
    """W6, W11"""
    assert SPARE_RECEIVES >= 5
