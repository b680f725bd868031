"""The configuration of an InfluxDB source, and what its answers mean."""

import json
import re
import ssl
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from controller import registry
from controller.api.fields import NO_KINDS, Place, parse, schema
from controller.api.metrics import START_TOKEN, STOP_TOKEN
from controller.api.reading import SpecError
from controller.api.secret import SecretRef
from controller.ports import BrokenMetricError, Query, SourceOutageError, Window
from controller.providers import influxdb
from controller.providers._languages import windowed
from controller.providers._server import Server

SCHEMA = schema(influxdb.Config, NO_KINDS)
TOKEN = "top-secret"  # noqa: S105 - of nothing
SERVER = Server(
    url="http://influxdb:8086", where="influxdb:8086", token=TOKEN, timeout_s=5, tls=ssl.create_default_context()
)


def parsed(**changes: Any) -> influxdb.Config:
    raw = {**influxdb.EXAMPLE, **changes}
    return parse(influxdb.Config, {k: v for k, v in raw.items() if v is not None}, Place("spec.influxdb"))


def refused(**changes: Any) -> str:
    with pytest.raises(SpecError) as caught:
        parsed(**changes)
    return str(caught.value)


def test_the_example_is_valid() -> None:
    config = parsed()
    assert config.url == "http://influxdb.monitoring:8086"
    assert config.token_secret == SecretRef("influxdb-reader", "token")
    assert config.timeout_s == 5


def test_every_field_of_the_schema_is_described_and_bounded() -> None:
    def check(of: dict[str, Any], path: str) -> None:
        assert of["description"], path
        if of["type"] == "string":
            assert "maxLength" in of, path
        for name, child in of.get("properties", {}).items():
            check(child, f"{path}.{name}")

    check(SCHEMA, "influxdb")
    assert set(influxdb.EXAMPLE) == set(SCHEMA["properties"])


@pytest.mark.parametrize("field", ["url", "org", "bucket"])
def test_what_is_required_is_named(field: str) -> None:
    assert refused(**{field: None}) == f"spec.influxdb.{field}: is required"


def test_a_secret_needs_a_name_and_its_key_is_token_by_default() -> None:
    assert refused(tokenSecretRef=None) == "spec.influxdb.tokenSecretRef: is required"
    assert parsed(tokenSecretRef={"name": "a"}).token_secret.key == "token"


@pytest.mark.parametrize(
    "url",
    [
        "influxdb:8086",
        "ftp://influxdb",
        "http://",
        "http://a b",
        "http://a:port",
        "http://user:secret@influxdb",
        "http://influxdb?token=secret",
        "http://influxdb#x",
        "http://[::1",
    ],
)
def test_an_address_that_is_none_is_refused_without_being_repeated(url: str) -> None:
    sentence = refused(url=url)
    assert sentence.startswith("spec.influxdb.url: ")
    assert "secret" not in sentence
    assert not re.search(SCHEMA["properties"]["url"]["pattern"], url) or url in {
        "http://a:port",
        "http://[::1",
    }


@pytest.mark.parametrize("timeout", ["0s", "50ms", "61s", "2h"])
def test_a_timeout_lies_within_bounds(timeout: str) -> None:
    assert refused(timeout=timeout) == f"spec.influxdb.timeout: {timeout} is not between 100ms and 1m"


def test_a_misspelt_field_is_refused() -> None:
    assert refused(verifyTLS=False).startswith("spec.influxdb.verifyTLS: is not a known field")


@pytest.mark.parametrize("token", ["", "\n", "a\nb", "schlüssel"])
def test_a_token_that_no_header_takes_is_an_outage_that_names_the_secret(token: str) -> None:
    with pytest.raises(SourceOutageError) as caught:
        influxdb.create(parsed(), {"token": token}, None)
    assert str(caught.value) == "key token of Secret influxdb-reader is not a valid InfluxDB token"


async def test_a_language_that_influxdb_does_not_speak_is_a_broken_metric() -> None:
    provider = influxdb.create(parsed(), {"token": TOKEN}, None)
    window = Window(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC))
    with pytest.raises(BrokenMetricError, match="supports flux and influxql, not promql"):
        await provider.query(Query("promql", "up"), window)
    await provider.close()


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("flux", "range(start: 2026-05-01T10:00:00.250000Z, stop: 2026-05-01T10:00:05.000001Z)"),
        ("influxql", "range(start: '2026-05-01T10:00:00.250000Z', stop: '2026-05-01T10:00:05.000001Z')"),
    ],
)
def test_a_window_is_written_in_utc_to_the_microsecond(language: str, text: str) -> None:
    cest = timezone(timedelta(hours=2))
    window = Window(datetime(2026, 5, 1, 12, 0, 0, 250_000, tzinfo=cest), datetime(2026, 5, 1, 10, 0, 5, 1, tzinfo=UTC))
    query = Query(language, f"range(start: {START_TOKEN}, stop: {STOP_TOKEN})")
    assert windowed(query, window, registry.dialects()[language]) == text


def test_a_window_without_a_zone_is_a_mistake_of_ours() -> None:
    naive = Window(datetime(2026, 5, 1), datetime(2026, 5, 2))  # noqa: DTZ001 - the point
    with pytest.raises(ValueError, match="has no time zone"):
        windowed(Query("flux", START_TOKEN), naive, influxdb.FLUX)


def test_an_empty_window_is_a_mistake_of_ours() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="is empty"):
        windowed(Query("flux", START_TOKEN), Window(now, now), influxdb.FLUX)


@pytest.mark.parametrize("status", [400, 404, 422])
def test_what_influxdb_says_against_the_query_breaks_the_metric(status: int) -> None:
    body = json.dumps({"code": "invalid", "message": "error @1:1: undefined identifier fro\nm"}).encode()
    error = SERVER.refusal(status, body)
    assert isinstance(error, BrokenMetricError)
    assert str(error) == (
        f"InfluxDB at influxdb:8086 cannot answer the query ({status}): error @1:1: undefined identifier fro m"
    )


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (301, "influxdb:8086 redirects (301), which is not followed; correct the url"),
        (401, "InfluxDB at influxdb:8086 refuses the token (401)"),
        (403, "InfluxDB at influxdb:8086 does not let the token read this bucket (403)"),
        (429, "InfluxDB at influxdb:8086 is overloaded (429)"),
        (503, "InfluxDB at influxdb:8086 answered 503"),
        (400, "InfluxDB at influxdb:8086 answered 400"),
        (404, "InfluxDB at influxdb:8086 answered 404"),
    ],
)
def test_what_says_nothing_about_the_query_is_an_outage(status: int, sentence: str) -> None:
    error = SERVER.refusal(status, b"<html>a gateway</html>")
    assert isinstance(error, SourceOutageError)
    assert str(error) == sentence


@pytest.mark.parametrize("body", [b"[" * 100_000, b"[]", b'"text"', b'{"message": 7}', b"\xff"])
def test_an_answer_of_any_shape_is_survived(body: bytes) -> None:
    assert str(SERVER.refusal(400, body)) == "InfluxDB at influxdb:8086 answered 400"


def test_a_query_stopped_from_outside_is_an_outage_and_a_wrong_one_is_not() -> None:
    def said(message: str) -> type:
        return type(SERVER.failed_query(message))

    assert said("context canceled") is SourceOutageError
    assert said("query interrupted") is SourceOutageError
    assert said("runtime error: missing column") is BrokenMetricError


def test_a_message_is_one_short_line_without_the_token() -> None:
    body = json.dumps({"message": f"Token {TOKEN}\x1b[31m " + "x" * 10_000}).encode()
    sentence = str(SERVER.refusal(400, body))
    assert TOKEN not in sentence
    assert "Token [token][31m" in sentence
    assert TOKEN not in repr(SERVER)
    assert len(sentence) < 400
