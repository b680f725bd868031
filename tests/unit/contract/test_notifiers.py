"""Every notifier delivers once under the notice's id, says why it cannot, and keeps its secrets to itself."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from typing import Any

import pytest

from controller import registry
from controller.api.choice import OneOf
from controller.api.effect import Effect
from controller.api.fields import Place
from controller.api.notice import DEFAULT_TOPICS, LASTING, TOPICS
from controller.api.notify import MOST_TARGETS, NOTIFY
from controller.api.secret import SecretRef
from controller.effects import notify
from controller.effects.carrier import EffectContext, EffectFailedError
from controller.kube.objects import Key
from controller.outward.addresses import Addresses
from tests.gate import HANG, LOOPBACK_NETWORK, Gate, answer, gate
from tests.unit.effects.calling import NoPods

KINDS = registry.modules("notifiers")
EVERY = pytest.mark.parametrize("kind", KINDS)
BY_HTTP = pytest.mark.parametrize("kind", [kind for kind, module in KINDS.items() if "host" not in module.EXAMPLE])
"""`email` is tried against an SMTP server: tests/unit/effects/test_email.py."""
SECRET = "top-secret"  # noqa: S105 - of nothing
EFFECT = "notify.team.RolledBack.bbbbbbbbbb.3.1767225600"
LONGEST_S = 10.0


async def no_api_server() -> frozenset[Any]:
    return frozenset()


class Secrets(NoPods):
    """Every key that the notifier names is the receiver's url, with a secret in it."""

    def __init__(self, kind: str, url: str) -> None:
        value = base64.b64encode(f"{url}/{SECRET}".encode()).decode()
        self._data = {reference.key: value for reference in config_of(kind).secrets().values()}

    async def find(self, resource: Any, namespace: str | None, name: str) -> dict[str, Any]:
        assert namespace == "shop"
        return {"data": self._data}


def config_of(kind: str) -> Any:
    return OneOf("notifiers").parse({kind: KINDS[kind].EXAMPLE}, Place("", registry.kinds())).config


def payload(kind: str, url: str, **notice: Any) -> dict[str, Any]:
    example = dict(KINDS[kind].EXAMPLE)
    if "url" in example:
        example["url"] = url
    told = {**notify.EXAMPLE["notice"], "message": "errors 26/812 vs 31/16240", **notice}
    return {"to": "team", "notifier": kind, "config": example, "notice": told}


async def send(kind: str, it: Gate, **notice: Any) -> None:
    carrier = notify.create(EffectContext(Secrets(kind, it.url), Addresses(no_api_server, listed=(LOOPBACK_NETWORK,))))
    async with asyncio.timeout(LONGEST_S):
        await carrier.carry_out(Key("shop", "web"), Effect(EFFECT, "notify", payload(kind, it.url, **notice)))


async def failure(kind: str, it: Gate) -> str:
    with pytest.raises(EffectFailedError) as caught:
        await send(kind, it)
    said = str(caught.value)
    assert SECRET not in said
    assert "\n" not in said
    return said


@BY_HTTP
@pytest.mark.parametrize("topic", TOPICS)
async def test_a_notice_says_what_is_and_what_to_do(kind: str, topic: str) -> None:
    async with gate(answer()) as it:
        await send(kind, it, topic=topic)
    said = json.dumps(it.requests[0].body)
    assert "shop/web" in said
    assert "errors 26/812 vs 31/16240" in said
    assert "pointsman explain web -n shop" in said


@BY_HTTP
async def test_every_try_carries_the_same_id(kind: str) -> None:
    async with gate(answer(status=500), answer()) as it:
        await failure(kind, it)
        await send(kind, it)
    assert len(it.requests) == 2
    assert all(EFFECT in request.headers.values() for request in it.requests)


@BY_HTTP
@pytest.mark.parametrize("status", [302, 400, 401, 404, 410, 429, 500, 503])
async def test_another_answer_than_2xx_is_not_delivered(kind: str, status: int) -> None:
    async with gate(answer(status=status)) as it:
        assert str(status) in await failure(kind, it)


@BY_HTTP
async def test_a_receiver_that_is_down_is_not_delivered(kind: str) -> None:
    async with gate() as it:
        pass
    assert "127.0.0.1 cannot be reached" in await failure(kind, it)


@BY_HTTP
async def test_a_receiver_that_hangs_can_be_left(kind: str) -> None:
    async with gate(HANG) as it:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await send(kind, it)


@BY_HTTP
async def test_a_long_answer_is_not_read(kind: str) -> None:
    async with gate(answer(b"x" * 30_000_000)) as it:
        await send(kind, it)


@BY_HTTP
async def test_no_secret_is_logged(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with gate(answer(), answer(status=500)) as it:
        await send(kind, it)
        await failure(kind, it)
    await failure(kind, it)
    assert SECRET not in caplog.text


@EVERY
def test_what_stands_in_the_status_holds_no_secret(kind: str) -> None:
    target = NOTIFY.parse([{"name": "team", kind: KINDS[kind].EXAMPLE}], Place("spec.notify", registry.kinds()))[0]
    assert target.raw == KINDS[kind].EXAMPLE
    assert all(isinstance(reference, SecretRef) for reference in config_of(kind).secrets().values())


def test_a_release_can_use_every_notifier() -> None:
    entries = [{"name": f"target-{index}", kind: module.EXAMPLE} for index, (kind, module) in enumerate(KINDS.items())]
    targets = NOTIFY.parse(entries[:MOST_TARGETS], Place("spec.notify", registry.kinds()))
    assert {target.kind for target in targets} == set(list(KINDS)[:MOST_TARGETS])
    for target in targets:
        assert target.topics == set(DEFAULT_TOPICS) & set(LASTING) if target.hears_ends else set(DEFAULT_TOPICS)
