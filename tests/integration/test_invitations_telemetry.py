"""What a real service tells of its requests: counts, spans, logs; and the faults that its settings ask for."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest

from hack.node.process import free_port
from tests.e2e.patience import until
from tests.invitation_service import environment, phone, problem, serving
from tests.telemetry_receivers import receiving
from workloads.invitations.opening import open_database
from workloads.invitations.postgres import Pooling

pytest_plugins = ["tests.integration.aws_fixture", "tests.integration.invitations_fixture"]

CHECKOUT = Path(__file__).resolve().parents[2]
WHO = {"SERVICE": "invitations", "REVISION": "abcdefghij", "POD": "invitations-1"}


@pytest.fixture
async def receiver():
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
def variables(sqlite_url, receiver):
    return environment(sqlite_url, TELEMETRY_URL=receiver.url, ALLOW_FAULTS="true", **WHO)


async def test_requests_are_counted_by_route_and_code_for_their_revision(variables, receiver):
    """I26."""
    async with serving(variables) as service:
        made = await service.invite("u1", "+15551234567", headers={"Idempotency-Key": "k1"})
        await service.invite("u1", "+15551234567", headers={"Idempotency-Key": "k1"})
        await service.invite("u2", "+15551234567")
        await service.invite("u1", "+1")
        await service.get(made.headers["Location"], "u1")
        code = made.json()["inviteCode"]
        await service.client.get(f"/invite/{code}")
        for path in ("/", "/nowhere", "/healthz", "/readyz"):
            await service.client.get(path)
        await service.client.post("/api/invitations", content=b"x" * 20_000)
    counts = {
        (point.tags["route"], point.tags["code"]): receiver.total("http.server.requests", **point.tags)
        for point in receiver.points
        if point.measurement == "http.server.requests"
    }
    assert counts == {
        ("/api/invitations", "201"): 2,
        ("/api/invitations", "409"): 1,
        ("/api/invitations", "422"): 1,
        ("/api/invitations/{invitation_id}", "200"): 1,
        ("/invite/{code}", "200"): 1,
        ("/", "200"): 1,
        ("unmatched", "404"): 1,
        ("unmatched", "413"): 1,
    }
    assert receiver.total("http.server.request.duration") == sum(counts.values())
    outcomes = {p.tags["outcome"]: p.fields["count"] for p in receiver.points if p.measurement == "invitation.requests"}
    assert outcomes == {"invited": 1, "repeated": 1, "duplicate_invitation": 1, "invalid_phone_number": 1}
    assert all(
        {name.upper(): point.tags[name] for name in ("service", "revision", "pod")} == WHO for point in receiver.points
    )
    assert not [secret for secret in ("1234567", code, "u1") if secret in receiver.text]


async def test_requests_in_flight_are_told_by_their_age(variables, receiver):
    """I26, I33: a version that hangs is seen before anybody's time-out."""
    hanging = {**variables, "EXTRA_LATENCY": "60", "LATENCY_SPREAD": "0", "DRAIN_SECONDS": "0"}
    async with serving(hanging) as service:
        asked = asyncio.create_task(service.client.get("/"))
        await until(lambda: receiver.total("http.server.active_requests", "over_0.1"), "it is told of", seconds=10)
        asked.cancel()
    assert receiver.total("http.server.active_requests", "active") >= 1
    assert receiver.total("http.server.requests", code="200") == 0


async def test_a_version_fails_the_share_that_it_is_told_to_and_probes_stay_well(variables, receiver):
    """I33, I34."""
    async with serving({**variables, "ERROR_RATE": "0.3", "SEED": "1"}) as service:
        answers = [await service.client.get("/") for _ in range(200)]
        failed = [answer for answer in answers if answer.status_code == 500]
        assert 40 <= len(failed) <= 80
        assert "ERROR_RATE" in problem(failed[0], 500, "INTERNAL_ERROR")
        assert {answer.headers["X-Revision"] for answer in answers} == {WHO["REVISION"]}, "whoever answers says so"
        assert {(await service.client.get("/healthz")).status_code for _ in range(20)} == {200}
    assert receiver.total("http.server.requests", route="unmatched", code="500") == len(failed)
    assert receiver.total("http.server.requests", route="/", code="200") == 200 - len(failed)


async def test_latency_is_added_to_the_share_of_requests_that_is_asked_for(variables, receiver):
    """I33."""
    slow = {**variables, "EXTRA_LATENCY": "0.06", "LATENCY_SHARE": "0.5", "LATENCY_SPREAD": "0", "SEED": "1"}
    async with serving(slow) as service:
        await asyncio.gather(*(service.client.get("/page/icon.svg") for _ in range(100)))
    quick = receiver.total("http.server.request.duration", "le_0.05")
    assert 30 <= 100 - quick <= 70


async def test_more_than_can_be_answered_is_refused_at_once_and_probes_pass(variables, receiver):
    """I30."""
    slow = {**variables, "EXTRA_LATENCY": "1", "LATENCY_SPREAD": "0", "REQUESTS_AT_ONCE": "5"}
    async with serving(slow) as service:
        asked = [asyncio.create_task(service.client.get("/page/icon.svg")) for _ in range(20)]
        await until(lambda: sum(each.done() for each in asked) == 15, "the rest is refused", seconds=10)
        assert (await service.client.get("/healthz")).status_code == 200
        refused = [each.result() for each in asked if each.done()]
        assert "5 requests are being processed" in problem(refused[0], 503, "UNAVAILABLE")
        assert {answer.headers["Retry-After"] for answer in refused} == {"2"}
        assert Counter(answer.status_code for answer in await asyncio.gather(*asked)) == {200: 5, 503: 15}
        assert (await service.client.get("/page/icon.svg")).status_code == 200, "there is room again"
    assert receiver.total("http.server.requests", code="503") == 15


async def test_a_caller_who_leaves_is_no_failure_of_the_version(variables, receiver):
    """I26, I30."""
    async with serving(variables) as service:
        _, writer = await asyncio.open_connection("127.0.0.1", service.client.base_url.port)
        writer.write(b"POST /api/invitations HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        await until(lambda: receiver.total("http.server.active_requests", "active"), "the request has come", seconds=10)
        writer.close()
        await until(lambda: receiver.total("http.server.requests", code="499"), "it is counted", seconds=10)
    assert receiver.total("http.server.requests") == 1


async def test_what_the_provider_says_is_counted(variables, receiver):
    """I16, I26."""
    async with serving({**variables, "DELIVERY": "synchronous"}) as service:
        codes = [(await service.invite("u1", phone(1_110_000 + each))).status_code for each in (9, 1, 2, 4)]
    assert codes == [201, 422, 503, 201]
    told = [p.tags for p in receiver.points if p.measurement == "sms.outcome"]
    assert {(each["provider"], each["outcome"], each.get("fault")) for each in told} == {
        ("sandbox", "accepted", None),
        ("sandbox", "refused", "recipient"),
        ("sandbox", "refused", "provider"),
        ("sandbox", "unknown", None),
    }
    assert receiver.total("invitation.requests", outcome="provider_failed") == 1


async def test_a_request_is_a_span_of_its_callers_trace_and_goes_on_through_the_outbox(
    variables, receiver, monkeypatch, caplog
):
    """I10, I26."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    caller = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    async with serving({**variables, "PHONE_HOURS": "0"}) as service:
        await service.invite("u1", "+15551234567", headers=caller)
        refused = await service.invite("u1", "+1", headers=caller)
        assert refused.json()["traceId"] == "a" * 32
    async with serving({**variables, "ERROR_RATE": "1"}) as service:
        failed = await service.client.get("/", headers=caller)
    made, other, last = receiver.spans
    assert (made.name, other.name, last.name) == ("POST /api/invitations", "POST /api/invitations", "GET unmatched")
    assert {span.trace_id.hex() for span in receiver.spans} == {"a" * 32}
    assert {span.parent_span_id.hex() for span in receiver.spans} == {"b" * 16}
    assert [span.status.code for span in receiver.spans] == [0, 0, 2]
    told = {each.key: each.value.string_value or each.value.int_value for each in made.attributes}
    expected = {"http.request.method": "POST", "http.route": "/api/invitations", "http.response.status_code": 201}
    assert expected.items() <= told.items()
    (log,) = [each for each in caplog.records if each.name.endswith("observed")]
    assert (log.levelno, log.fields["trace"], log.fields["code"]) == (logging.WARNING, failed.json()["traceId"], 500)


async def test_a_defect_is_counted_and_logged_with_the_trace_that_its_answer_names(
    variables, receiver, postgres_url, caplog
):
    """I10, I26: whatever the defect is; here somebody dropped a column."""
    async with serving({**variables, "DATABASE_URL": postgres_url}) as service:
        database = await open_database(postgres_url, Pooling())
        async with database.transaction() as rows:
            await rows.fetch("ALTER TABLE quota_windows DROP COLUMN taken")
        await database.close()
        answer = await service.invite("u1", "+15551234567")
        problem(answer, 500, "INTERNAL_ERROR")
    assert receiver.total("http.server.requests", route="/api/invitations", code="500") == 1
    assert receiver.total("invitation.requests", outcome="internal_error") == 1
    assert receiver.total("invitation.requests") == 1
    (log,) = [each for each in caplog.records if each.name.endswith("observed")]
    assert log.exc_info
    assert log.fields["trace"] == answer.json()["traceId"]


async def test_an_invitations_row_keeps_the_span_that_made_it(variables, receiver, sqlite_url, monkeypatch):
    """I26: the relay sends it along, and the sender links it."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    async with serving(variables) as service:
        await service.invite("u1", "+15551234567")
    (span,) = receiver.spans
    database = await open_database(sqlite_url, Pooling())
    (row,) = await database.once("SELECT trace_parent FROM invitations")
    await database.close()
    assert row["trace_parent"].startswith(f"00-{span.trace_id.hex()}-{span.span_id.hex()}-")


async def test_a_trace_leads_from_the_request_through_the_queue_to_the_sender(variables, receiver, jobs, monkeypatch):
    """I14, I26: all roles in one process, and a real queue between them."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    places = jobs.places
    queued = {
        "ROLES": "api,relay,sender", "QUEUE_URL": places.queue, "DEAD_LETTER_QUEUE_URL": places.dead_letters,
        "JOBS_TABLE": places.jobs, "WAIT_SECONDS": "1",
    }  # fmt: skip
    async with serving({**variables, **queued}) as service:
        made = await service.invite("u1", phone(1_110_009))

        async def is_sent():
            return (await service.get(made.headers["Location"], "u1")).json()["status"] == "SENT"

        await until(is_sent, "the sandbox has it", seconds=30)
    request = next(span for span in receiver.spans if span.name == "POST /api/invitations")
    sending = next(span for span in receiver.spans if span.name.startswith("process "))
    (link,) = sending.links
    assert (link.trace_id, link.span_id) == (request.trace_id, request.span_id)
    assert receiver.total("sms.outcome", provider="sandbox", outcome="accepted", revision="abcdefghij") == 1
    assert receiver.total("job.outcome", "completed", revision="abcdefghij") == 1
    assert any(point.measurement == "outbox.lag" for point in receiver.points)


async def test_a_process_logs_json_and_pushes_its_last_counts_after_sigterm(variables, receiver):
    """I26."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workloads.invitations", cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], **variables, "ERROR_RATE": "1", "PORT": str(port)},
    )  # fmt: skip
    async with asyncio.timeout(30), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:

        async def is_ready():
            with contextlib.suppress(httpx.ConnectError):
                return (await client.get("/readyz")).status_code == 200

        await until(is_ready, "the process is ready", seconds=20)
        failed = (await client.get("/")).json()["traceId"]
        process.send_signal(signal.SIGTERM)
        out, _ = await process.communicate()
    assert process.returncode == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines
    assert all({name.lower(): value for name, value in WHO.items()}.items() <= line.items() for line in lines)
    assert [line["code"] for line in lines if line.get("trace") == failed] == [500]
    assert receiver.total("http.server.requests", code="500") == 1
