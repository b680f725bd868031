"""What is signed, and that a receiver can verify it by the page it reads, against real sockets."""

import asyncio
import base64
from types import SimpleNamespace

import pytest

from controller.api.effect import Owed
from controller.effects.carrier import EffectContext, EffectFailedError
from controller.effects.outbox import Outbox, kinds
from controller.effects.signing import message_headers
from controller.kube.objects import Key
from controller.rollout.effect import Answered, Retrying
from tests.gate import YES, answer, gate
from tests.unit.effects.calling import WEB, FakeSecrets, ask, effect, world
from tests.verifying import signature, verifier

RAW = bytes(range(32))
KEY = "whsec_" + base64.b64encode(RAW).decode()
SIGNING = {"name": "gate-token", "key": "signing"}
NOW = 1_767_225_600.0


def at(seconds: float):
    return SimpleNamespace(time=lambda: seconds)


def test_a_vector_that_others_have_published():
    """https://docs.svix.com/receiving/verifying-payloads/how-manual"""
    body = b'{"event_type":"ping","data":{"success":true}}'
    headers = message_headers("msg_loFOjxBNrRLzqYUf", body, "whsec_plJ3nmyCDGBKInavdOK15jsl", 1731705121.9)
    assert headers == {
        "webhook-id": "msg_loFOjxBNrRLzqYUf",
        "webhook-timestamp": "1731705121",
        "webhook-signature": "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
    }


@pytest.mark.parametrize(("key", "raw"), [(KEY, RAW), ("plain text", b"plain text"), ("k" * 99, b"k" * 99)])
async def test_a_call_is_signed_so_that_its_receiver_can_verify_it(key, raw):
    within = clocked(FakeSecrets({"signing": f"{key}\n"}), NOW)
    async with gate(YES) as it:
        await ask(it.url, within=within, signingSecretRef=SIGNING)
    (request,) = it.requests
    assert request.headers["webhook-timestamp"] == f"{NOW:.0f}"
    assert request.headers["webhook-id"] == request.headers["idempotency-key"]
    assert request.headers["webhook-signature"] == signature(raw, request.headers, request.content)
    assert verifier(time=at(NOW))(request.headers, request.content, "another", key)
    assert key not in str(request.headers)
    assert "authorization" not in request.headers


async def test_a_call_without_a_key_is_not_signed():
    async with gate(YES) as it:
        await ask(it.url)
    assert "webhook-signature" not in it.requests[0].headers
    assert not verifier()(it.requests[0].headers, it.requests[0].content, KEY)


def headers_of(body: bytes, **changes: str) -> dict[str, str]:
    return {**message_headers("webhook.v2.1.2", body, KEY, NOW), **changes}


BODY = b'{"canaryRevision": "v2"}'


@pytest.mark.parametrize(
    ("headers", "body", "key", "now"),
    [
        (headers_of(BODY), BODY + b" ", KEY, NOW),
        (headers_of(BODY), BODY, "whsec_" + base64.b64encode(RAW[1:]).decode(), NOW),
        (headers_of(BODY), BODY, KEY, NOW + 301),
        (headers_of(BODY), BODY, KEY, NOW - 301),
        (headers_of(BODY, **{"webhook-timestamp": f"{NOW + 300:.0f}"}), BODY, KEY, NOW + 300),
        (headers_of(BODY, **{"webhook-timestamp": "soon"}), BODY, KEY, NOW),
        (headers_of(BODY, **{"webhook-id": "webhook.v2.1.3"}), BODY, KEY, NOW),
        (headers_of(BODY, **{"webhook-signature": "v1,"}), BODY, KEY, NOW),
        (headers_of(BODY, **{"webhook-signature": "v2," + headers_of(BODY)["webhook-signature"][3:]}), BODY, KEY, NOW),
        ({}, BODY, KEY, NOW),
    ],
    ids=["body", "key", "late", "early", "stamp", "no stamp", "id", "none", "version", "no headers"],
)
def test_the_pages_verifier_refuses(headers, body, key, now):
    assert verifier(time=at(NOW))(headers_of(BODY), BODY, KEY)
    assert not verifier(time=at(now))(headers, body, key)


@pytest.mark.parametrize("key", ["whsec_", "whsec_?", "whsec_AAA", "whsec_" + KEY])
async def test_a_key_that_says_base64_and_is_none_is_refused_and_not_repeated(key):
    async with gate(YES) as it:
        with pytest.raises(EffectFailedError) as error:
            await ask(it.url, within=world(secrets=FakeSecrets({"signing": key})), signingSecretRef=SIGNING)
    assert str(error.value) == (
        "the key that signingSecretRef names begins with whsec_, and no base64 follows; correct the Secret"
    )
    assert not it.requests


@pytest.mark.parametrize("secrets", [FakeSecrets(None), FakeSecrets({"token": "x"})], ids=["no Secret", "no key"])
async def test_a_key_that_is_missing_says_what_to_do_and_nobody_is_called(secrets):
    async with gate(YES) as it:
        with pytest.raises(EffectFailedError, match="Secret shop/gate-token has no key 'signing'; create it"):
            await ask(it.url, within=world(secrets=secrets), signingSecretRef=SIGNING)
    assert not it.requests


# -- over several tries ------------------------------------------------------------------------------------------------


class Ticking:
    """An hour passes between two looks at it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        self.now += 3600
        return self.now


class Rotating(FakeSecrets):
    """Another key each time it is read; the Secret is missing at first."""

    def __init__(self, *keys: str) -> None:
        super().__init__()
        self.keys = list(keys)
        self.missed = 0

    async def find(self, resource, namespace, name):
        if not self.missed:
            self.missed += 1
            return None
        self._data = {"signing": self.keys.pop(0)}
        return await super().find(resource, namespace, name)


def clocked(secrets: FakeSecrets, now: float) -> EffectContext:
    base = world(secrets=secrets)
    return EffectContext(base.kube, base.addresses, lambda: now)


async def test_each_try_has_a_stamp_and_a_key_of_its_own_and_the_same_id():
    """Missing, then 503, then rotated: nothing of an earlier try is kept."""
    base = world(secrets=Rotating("first", "second"))
    learned: asyncio.Queue[Key] = asyncio.Queue()
    outbox: Outbox[Key] = Outbox(kinds(EffectContext(base.kube, base.addresses, Ticking())), learned.put_nowait)
    async with gate(answer(status=503), YES) as it, asyncio.timeout(30):
        asked = effect(it.url, signingSecretRef=SIGNING)
        outbox.submit(WEB, [Owed(asked, 0.0)])
        said = []
        while not isinstance(outbox.results(WEB).get(asked.id), Answered):
            await learned.get()
            result = outbox.results(WEB)[asked.id]
            said.append(result.message if isinstance(result, Retrying) else result)
    await outbox.close()
    assert said[:2] == ["Secret shop/gate-token has no key 'signing'; create it", "127.0.0.1 answered 503"]
    first, second = it.requests
    assert first.headers["webhook-signature"] == signature(b"first", first.headers, first.content)
    assert second.headers["webhook-signature"] == signature(b"second", second.headers, second.content)
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 3600
    assert {one.headers["idempotency-key"] for one in it.requests} == {asked.id}
    assert {one.headers["webhook-id"] for one in it.requests} == {asked.id}
