"""What a gate's answer means, and what a webhook never does, against real sockets."""

import asyncio
import gzip
import json

import pytest

from controller.api.effect import Owed
from controller.effects.carrier import EffectFailedError, EffectRefusedError
from controller.effects.outbox import Outbox, kinds
from controller.kube.client import InvalidError
from controller.kube.objects import Key
from controller.rollout.effect import Answered, Retrying
from tests.gate import DRIP, HANG, NO, WAIT, YES, answer, gate
from tests.unit.effects.calling import WEB, FakeSecrets, ask, effect, failure, world


async def test_a_gate_is_told_what_it_decides_about():
    async with gate(YES) as it:
        await ask(it.url)
    (request,) = it.requests
    assert request.line == "POST /check HTTP/1.1"
    assert request.headers["idempotency-key"] == "webhook.bbbbbbbbbb.1.2"
    assert request.headers["host"] == f"127.0.0.1:{it.port}"
    assert "authorization" not in request.headers
    assert request.body == {
        "release": "web",
        "namespace": "shop",
        "stableRevision": "aaaaaaaaaa",
        "canaryRevision": "bbbbbbbbbb",
        "attempt": 1,
        "step": 2,
        "weight": 25,
    }


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        (YES, {"result": "yes", "message": "all tests are green"}),
        (NO, {"result": "no", "message": "3 tests failed"}),
        (answer(status=200), {"result": "yes", "message": ""}),
        (answer(status=204), {"result": "yes", "message": ""}),
        (answer(b" \n", 201), {"result": "yes", "message": ""}),
        (answer({"result": "yes", "message": 7}), {"result": "yes", "message": ""}),
        (answer({"result": "yes", "message": "a\x1b[2J\nb"}), {"result": "yes", "message": "a[2J b"}),
        (answer({"result": "yes", "message": "x" * 9999}), {"result": "yes", "message": "x" * 512}),
    ],
)
async def test_an_answer_means(reply, value):
    async with gate(reply) as it:
        done = await ask(it.url)
    assert done.value == value
    assert done.again_in is None


async def test_wait_is_asked_again_at_the_interval():
    async with gate(WAIT) as it:
        done = await ask(it.url, everySeconds=7)
    assert done.value == {"result": "wait", "message": "tests run"}
    assert done.again_in == 7


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 503])
async def test_a_status_of_an_error_is_no_answer_and_its_body_is_not_repeated(status):
    assert await failure(answer({"result": "no", "message": "secret"}, status)) == f"127.0.0.1 answered {status}"


@pytest.mark.parametrize(
    "body",
    [b"<html>secret</html>", b'"yes"', b"[]", b'{"result": "maybe"}', b'{"result": ["yes"]}', b"\xff\xfe", b"[" * 9000],
)
async def test_a_body_that_is_no_answer_is_not_repeated(body):
    said = await failure(answer(body))
    assert said == '127.0.0.1 did not answer {"result": "yes" | "no" | "wait"}'


async def test_a_redirect_is_not_followed():
    async with gate(YES) as other:
        said = await failure(answer(status=302, Location=other.url))
        assert said == "127.0.0.1 redirects (302), which is not followed; correct the url"
        assert not other.requests


@pytest.mark.parametrize("size", [1_000_000, 30_000_000])
async def test_a_huge_answer_is_cut_off(size):
    assert await failure(answer(b"x" * size)) == "127.0.0.1 answered with more than 16384 bytes"


async def test_an_answer_without_end_is_cut_off():
    endless = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n" + b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    assert await failure(endless + endless.split(b"\r\n\r\n")[1]) == "127.0.0.1 answered with more than 16384 bytes"


async def test_a_compressed_answer_is_not_blown_up():
    packed = gzip.compress(json.dumps({"result": "yes", "message": "x" * 10_000_000}).encode())
    assert "did not answer" in await failure(answer(packed, Content_Encoding="gzip"))


async def test_headers_without_end_are_cut_off():
    assert "cannot be reached" in await failure(b"HTTP/1.1 200 X\r\n" + b"A: b\r\n" * 100_000)


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nabc", b"nonsense\r\n\r\n"])
async def test_a_connection_that_breaks_off_is_no_answer(reply):
    assert (await failure(reply)).startswith("127.0.0.1 cannot be reached: ")


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 ", b"HTTP/1.1 200 X\r\n", b"HTTP/1.1 200 X\r\nTransfer-Encoding: "])
async def test_nothing_of_another_services_answer_is_repeated(head):
    """The first line of what speaks no HTTP stood in the status."""
    assert "s3cret" not in await failure(head + b"-ERR s3cret of another service\r\n\r\n")


async def test_nobody_listening_is_no_answer():
    async with gate(YES) as it:
        pass
    with pytest.raises(EffectFailedError, match=r"127\.0\.0\.1 cannot be reached: "):
        await ask(it.url)


async def test_a_gate_that_hangs_is_left_after_the_timeout():
    async with gate(HANG) as it:
        with pytest.raises(EffectFailedError, match=r"did not answer within 0\.2 s"):
            await ask(it.url, timeoutSeconds=0.2)


async def test_a_gate_that_drips_is_left_after_the_timeout():
    async with gate(DRIP) as it:
        with pytest.raises(EffectFailedError, match="did not answer within"):
            await asyncio.wait_for(ask(it.url, timeoutSeconds=0.3), 20)


async def test_retry_after_is_heeded_and_bounded():
    for text, seconds in (("7", 7.0), ("99999", 300.0), ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0)):
        async with gate(answer(status=429, Retry_After=text)) as it:
            with pytest.raises(EffectFailedError) as error:
                await ask(it.url)
        assert error.value.retry_after == seconds


# -- secrets and payloads ----------------------------------------------------------------------------------------------

REFERENCE = {"name": "gate-token", "key": "token"}


async def test_a_token_of_a_secret_goes_along():
    async with gate(YES) as it:
        await ask(it.url, within=world(secrets=FakeSecrets({"token": "s3cret\n"})), tokenSecretRef=REFERENCE)
    assert it.requests[0].headers["authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        (FakeSecrets(None), "Secret shop/gate-token has no key 'token'; create it"),
        (FakeSecrets({"other": "x"}), "Secret shop/gate-token has no key 'token'; create it"),
        (
            FakeSecrets({"token": "a\r\nX: b"}),
            "of Secret shop/gate-token is not one line of printable ASCII",
        ),
        (FakeSecrets(error=InvalidError(403, "Forbidden", "no")), "cannot be read; allow it with a Role: no"),
    ],
)
async def test_a_token_that_cannot_be_had_is_a_sentence_without_it(secrets, said):
    async with gate(YES) as it:
        with pytest.raises(EffectFailedError) as error:
            await ask(it.url, within=world(secrets=secrets), tokenSecretRef=REFERENCE)
        assert said in str(error.value)
        assert "X: b" not in str(error.value)
        assert not it.requests


@pytest.mark.parametrize(
    "changes",
    [{"url": "ftp://x/"}, {"url": "http://me:secret@x/"}, {"timeoutSeconds": 61}, {"everySeconds": 0}, {"more": 1}],
)
async def test_a_payload_that_cannot_be_read_is_refused(changes):
    with pytest.raises(EffectRefusedError) as error:
        await ask(**({"url": "http://x/"} | changes))
    assert "secret" not in str(error.value)


# -- with the outbox ---------------------------------------------------------------------------------------------------


async def until(condition, seconds: float = 10.0):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - several conditions, and none has an event
            await asyncio.sleep(0.01)


async def test_a_gate_that_fails_then_waits_then_agrees():
    woken: list[Key] = []
    outbox: Outbox[Key] = Outbox(kinds(world()), woken.append)
    async with gate(answer(status=500), WAIT, YES) as it:
        asked = effect(it.url, everySeconds=1)
        outbox.submit(WEB, [Owed(asked, 0.0)])
        seen: list[str] = []
        while not seen or seen[-1] != "yes":
            await until(lambda: len(woken) > len(seen))
            result = outbox.results(WEB)[asked.id]
            seen.append(result.value["result"] if isinstance(result, Answered) else result.message)
        assert seen == ["127.0.0.1 answered 500", "wait", "yes"]
        assert {request.headers["idempotency-key"] for request in it.requests} == {asked.id}
    await outbox.close()


async def test_gates_that_hang_delay_no_other():
    """Sixteen of one namespace hang; another namespace's gate, and the end of the sixteen, come at once."""
    outbox: Outbox[Key] = Outbox(kinds(world()), lambda _: None)
    async with gate(HANG) as hanging, gate(YES) as it:
        for number in range(40):
            outbox.submit(Key("greedy", f"web-{number}"), [Owed(effect(hanging.url, timeoutSeconds=60), 0.0)])
        await until(lambda: len(hanging.requests) == 16)
        asked = effect(it.url)
        outbox.submit(WEB, [Owed(asked, 0.0)])
        await until(lambda: asked.id in outbox.results(WEB), seconds=20)
        assert len(hanging.requests) == 16
        async with asyncio.timeout(20):
            await outbox.close()


async def test_what_failed_tells_when_it_is_tried_again():
    outbox: Outbox[Key] = Outbox(kinds(world()), lambda _: None, clock=lambda: 1000.0)
    async with gate(answer(status=503, Retry_After="20")) as it:
        asked = effect(it.url)
        outbox.submit(WEB, [Owed(asked, 0.0)])
        await until(lambda: asked.id in outbox.results(WEB))
        result = outbox.results(WEB)[asked.id]
        assert isinstance(result, Retrying)
        assert (result.message, result.attempts) == ("127.0.0.1 answered 503", 1)
        assert 1020 <= result.next_at <= 1025
    await outbox.close()
