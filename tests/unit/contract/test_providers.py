"""Every provider tells an outage from a broken metric, and neither hangs nor guesses."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller import registry
from controller.api.choice import OneOf
from controller.api.fields import Place
from controller.api.metrics import START_TOKEN, STOP_TOKEN, WINDOW_TOKEN
from controller.api.secret import SecretRef
from controller.ports import (
    AlertSource,
    BrokenMetricError,
    MetricProvider,
    Query,
    Resolve,
    SourceOutageError,
    TargetError,
    Window,
)
from controller.providers._languages import Dialect
from tests.unit.contract.fakes import Answer, hang, http_server, say

KINDS = registry.modules("providers")
LANGUAGES = [(kind, dialect.name) for kind, module in KINDS.items() for dialect in module.DIALECTS]
EVERY = pytest.mark.parametrize(("kind", "language"), LANGUAGES)
NOW = datetime(2026, 5, 1, tzinfo=UTC)
WINDOW = Window(NOW - timedelta(seconds=10), NOW)
SECRET = "top-secret"  # noqa: S105 - of nothing
LONGEST_S = 15.0


def provider(kind: str, url: str, resolve: Resolve | None = None, *, language: str = "") -> MetricProvider:
    module = KINDS[kind]
    example: dict[str, Any] = {**getattr(module, "EXAMPLES", {}).get(language, module.EXAMPLE), "url": url}
    if "timeout" in example:
        example["timeout"] = "300ms"
    config = OneOf("providers").parse({kind: example}, Place("", registry.kinds())).config
    return module.create(config, dict.fromkeys(config.secrets(), SECRET), resolve)


async def asked(kind: str, language: str, url: str, resolve: Resolve | None = None) -> str:
    """What it says of a server that cannot be relied on."""
    one = provider(kind, url, resolve, language=language)
    try:
        async with asyncio.timeout(LONGEST_S):
            for ask in (one.query, one.has_rows):
                with pytest.raises((SourceOutageError, BrokenMetricError)) as caught:
                    await ask(Query(language, f"{START_TOKEN} {STOP_TOKEN} {WINDOW_TOKEN}"), WINDOW)
    finally:
        await one.close()
    if isinstance(caught.value, BrokenMetricError):
        return f"broken: {caught.value}"
    return f"outage: {caught.value}"


@EVERY
@pytest.mark.parametrize(
    "answer",
    [hang, say("503 Service Unavailable", b""), say("401 Unauthorized", b""), say("302 Found", b"")],
    ids=["hang", "503", "401", "302"],
)
async def test_a_source_that_does_not_answer_is_an_outage(kind: str, language: str, answer: Answer) -> None:
    async with http_server(answer) as url:
        assert (await asked(kind, language, url)).startswith("outage: ")


@EVERY
async def test_a_source_that_is_not_there_is_an_outage(kind: str, language: str) -> None:
    async with http_server(hang) as url:
        pass
    assert (await asked(kind, language, url)).startswith("outage: ")


GARBAGE = {
    "text": b"<html>welcome</html>",
    "other JSON": b'{"unexpected": []}',
    "deep": b"[" * 100_000,
    "long": b"x" * (3 * 1024 * 1024),
    "not text": b"\xff\xfe\x00",
}


@EVERY
@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_one_sentence_without_the_secret(kind: str, language: str, body: bytes) -> None:
    async with http_server(say("200 OK", body + SECRET.encode())) as url:
        said = await asked(kind, language, url)
    assert SECRET not in said
    assert "\n" not in said
    assert len(said) < 1_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_provider_names_its_secrets_and_its_dialects(kind: str) -> None:
    module = KINDS[kind]
    config = OneOf("providers").parse({kind: module.EXAMPLE}, Place("", registry.kinds())).config
    assert all(isinstance(reference, SecretRef) for reference in config.secrets().values())
    assert all(isinstance(getattr(config, name), str) for name in config.in_queries)
    assert module.DIALECTS
    assert all(isinstance(dialect, Dialect) for dialect in module.DIALECTS)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_provider_that_can_be_asked_for_alerts_says_so(kind: str) -> None:
    one = provider(kind, "http://metrics.invalid")
    await one.close()
    assert isinstance(one, AlertSource) == (kind in registry.kinds_with_alerts())


@EVERY
@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "localhost", "metrics.invalid"])
async def test_a_source_that_may_not_be_called_is_an_outage_and_is_not_called(
    kind: str, language: str, host: str
) -> None:
    async def refuse(host: str, _: int) -> tuple[str, ...]:
        raise TargetError(f"{host} is at 127.0.0.1, a loopback address")

    calls: list[asyncio.StreamWriter] = []

    async def answer(writer: asyncio.StreamWriter) -> None:
        calls.append(writer)

    async with http_server(answer) as url:
        said = await asked(kind, language, url.replace("127.0.0.1", host), refuse)
    assert not calls
    assert said.startswith("outage: ")
    assert f"{host} is at 127.0.0.1, a loopback address" in said


@EVERY
async def test_a_source_is_called_at_the_address_that_was_checked(kind: str, language: str) -> None:
    """A second resolution could say something else (DNS rebinding)."""

    async def resolve(host: str, _: int) -> tuple[str, ...]:
        assert host == "metrics.invalid"
        return ("127.0.0.1",)

    async with http_server(say("503 Service Unavailable", b"")) as url:
        said = await asked(kind, language, url.replace("127.0.0.1", "metrics.invalid"), resolve)
    assert "503" in said
