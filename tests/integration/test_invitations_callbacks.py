"""Twilio tells what became of a message: signed or not, twice, late, in the wrong order, or before its own answer."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from tests.e2e.patience import until
from tests.invitation_sending import FRIEND, Sends, sends
from tests.invitation_service import environment
from tests.twilio_server import TOKEN, Mood, TwilioServer
from workloads.invitations.app import create
from workloads.invitations.database import Session
from workloads.invitations.order import Invited
from workloads.invitations.settings import read

pytest_plugins = ["tests.integration.invitations_fixture"]


@pytest.fixture
async def server() -> AsyncIterator[TwilioServer]:
    async with TwilioServer().running() as server:
        yield server


@pytest.fixture
async def it(database_url: str, database: Session, server: TwilioServer) -> AsyncIterator[Sends]:
    async with sends(database_url, database, server) as found:
        yield found


@contextlib.asynccontextmanager
async def answering(variables: Mapping[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    app = create(read(variables))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://10.0.0.7:8080") as client,
    ):
        yield client


@pytest.fixture
async def client(database_url: str, server: TwilioServer) -> AsyncIterator[httpx.AsyncClient]:
    async with answering(environment(database_url, DELIVERY="synchronous", **server.environment)) as client:
        yield client


@pytest.fixture
async def sent(it: Sends, server: TwilioServer) -> tuple[str, dict[str, Any]]:
    """An invitation, and the message that Twilio has of it."""
    invitation = await it.invite()
    await it.deliver(invitation)
    return invitation, server.messages[0]


async def test_a_delivery_is_noted(it: Sends, client: httpx.AsyncClient, server: TwilioServer, sent: Any) -> None:
    """I18"""
    invitation, message = sent
    for status in ("sent", "delivered"):
        assert (await server.tell(client, message, status)).status_code == 204
    row = await it.invitation(invitation)
    assert row["status"] == "DELIVERED"
    assert row["delivered_at"] is not None


async def test_in_whatever_order_they_come_it_ends_delivered(
    it: Sends, client: httpx.AsyncClient, server: TwilioServer
) -> None:
    """I18"""
    orders = list(itertools.permutations(["queued", "sent", "delivered"]))
    invitations = [await it.invite(f"+1202555010{place}") for place in range(len(orders))]
    for invitation, order in zip(invitations, orders, strict=True):
        await it.deliver(invitation)
        for status in order:
            await server.tell(client, server.messages[-1], status)
    assert [await it.status(invitation) for invitation in invitations] == ["DELIVERED"] * len(orders)


async def test_what_comes_after_the_end_changes_nothing(
    it: Sends, client: httpx.AsyncClient, server: TwilioServer, sent: Any
) -> None:
    """I18"""
    invitation, message = sent
    for status in ("undelivered", "sent", "delivered", "failed"):
        assert (await server.tell(client, message, status)).status_code == 204
    assert await it.status(invitation) == "UNDELIVERED"


async def test_the_same_callback_many_times_at_once_counts_once(
    it: Sends, client: httpx.AsyncClient, server: TwilioServer, sent: Any
) -> None:
    """I18"""
    _, message = sent
    answers = await asyncio.gather(*(server.tell(client, message, "delivered") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {204}
    assert [row["status"] for row in await it.rows("SELECT status FROM callbacks")] == ["delivered"]


async def test_a_forged_callback_changes_nothing(
    it: Sends, client: httpx.AsyncClient, server: TwilioServer, sent: Any
) -> None:
    """I18: signed with another token, for another invitation, not at all, or changed afterwards."""
    invitation, message = sent
    other = {**message, "status_callback": message["status_callback"] + "0"}
    path = httpx.URL(message["status_callback"]).path
    form = {"MessageSid": message["sid"], "MessageStatus": "delivered"}
    answers = [
        await server.tell(client, message, "delivered", token="another"),  # noqa: S106
        await server.tell(client, message, "delivered", token=""),
        await server.tell(client, message, "delivered", token=TOKEN, sign_for=other["status_callback"]),
        await client.post(path, data=form),
        await client.post(path, data=form, headers={"X-Twilio-Signature": "x"}),
        await client.post(path, content=b"\xff\xfe", headers={"X-Twilio-Signature": "x"}),
    ]
    assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert answers[0].json()["code"] == "FORBIDDEN"
    assert await it.status(invitation) == "SENT"
    assert await it.rows("SELECT * FROM callbacks") == []


async def test_the_host_that_a_request_names_is_not_believed(
    it: Sends, client: httpx.AsyncClient, server: TwilioServer, sent: Any
) -> None:
    """I18: what is signed for another address, by whoever's Host and scheme, is not signed for this service."""
    invitation, message = sent
    elsewhere = str(client.base_url).rstrip("/") + httpx.URL(message["status_callback"]).path
    answer = await server.tell(client, message, "delivered", sign_for=elsewhere)
    assert answer.status_code == 403
    assert await it.status(invitation) == "SENT"


async def test_without_twilio_nothing_can_be_signed(
    database_url: str, it: Sends, server: TwilioServer, sent: Any
) -> None:
    """I18: fails closed."""
    _, message = sent
    async with answering(environment(database_url)) as sandboxed:
        assert (await server.tell(sandboxed, message, "delivered")).status_code == 403
        assert (await server.tell(sandboxed, message, "delivered", token="")).status_code == 403


async def test_a_callback_tells_what_an_answer_that_never_came_would_have(
    it: Sends, client: httpx.AsyncClient, server: TwilioServer
) -> None:
    """I15, I18"""
    server.mood = Mood.SILENT
    invitation = await it.invite()
    await it.deliver(invitation)
    assert await it.status(invitation) == "UNKNOWN"
    [message] = server.messages
    await server.tell(client, message, "sent")
    row, [attempt] = await it.invitation(invitation), await it.attempts(invitation)
    assert (row["status"], row["provider_message_id"], row["provider"]) == ("SENT", message["sid"], "twilio")
    assert row["sent_at"] is not None
    assert (attempt["outcome"], attempt["provider_message_id"]) == ("ACCEPTED", message["sid"])


async def test_a_callback_may_be_faster_than_the_answer(
    it: Sends, client: httpx.AsyncClient, server: TwilioServer
) -> None:
    """I15, I18"""
    server.mood = Mood.SILENT
    invitation = await it.invite()
    sending = asyncio.create_task(it.deliver(invitation))
    await until(lambda: server.messages, "Twilio has it")
    await server.tell(client, server.messages[0], "delivered")
    await sending
    assert await it.status(invitation) == "DELIVERED"
    assert [attempt["outcome"] for attempt in await it.attempts(invitation)] == ["ACCEPTED"]


async def test_another_message_than_the_invitations_own_says_nothing_of_it(
    it: Sends, client: httpx.AsyncClient, server: TwilioServer, sent: Any
) -> None:
    """I18"""
    invitation, message = sent
    answer = await server.tell(client, {**message, "sid": "SM" + "9" * 32}, "delivered")
    assert answer.status_code == 204
    row = await it.invitation(invitation)
    assert (row["status"], row["provider_message_id"]) == ("SENT", message["sid"])


async def test_who_said_stop_is_opted_out_and_the_phone_is_released(
    it: Sends, client: httpx.AsyncClient, server: TwilioServer, sent: Any
) -> None:
    """I6, I21: a messaging service accepts first and refuses then."""
    invitation, message = sent
    await server.tell(client, message, "failed", ErrorCode="21610")
    assert await it.status(invitation) == "UNDELIVERED"
    assert len(await it.rows("SELECT * FROM optouts")) == 1
    assert await it.is_phone_free()


@pytest.mark.parametrize("error", ["30003", "30005", "30006"])
async def test_what_never_arrives_gives_phone_and_quota_back(
    it: Sends, client: httpx.AsyncClient, server: TwilioServer, sent: Any, error: str
) -> None:
    """I6: the handset is not there, the number is nobody's, the carrier takes no messages."""
    invitation, message = sent
    for _ in range(2):
        await server.tell(client, message, "undelivered", ErrorCode=error)
    assert await it.status(invitation) == "UNDELIVERED"
    again = await it.try_to_invite()
    assert isinstance(again, Invited)
    assert again.window.used == 1


async def test_what_a_carrier_filters_out_gives_nothing_back(
    it: Sends, client: httpx.AsyncClient, server: TwilioServer, sent: Any
) -> None:
    """I6: the next one would be as well."""
    _, message = sent
    await server.tell(client, message, "undelivered", ErrorCode="30007")
    assert not await it.is_phone_free()


async def test_a_status_that_nobody_knows_yet_and_a_body_without_one(
    it: Sends, client: httpx.AsyncClient, server: TwilioServer, sent: Any
) -> None:
    """I18"""
    invitation, message = sent
    assert (await server.tell(client, message, "teleported")).status_code == 204
    assert (await server.tell(client, message, "")).status_code == 400
    gone = {**message, "status_callback": message["status_callback"].replace(invitation, "0" * 28)}
    assert (await server.tell(client, gone, "delivered")).status_code == 404
    assert await it.status(invitation) == "SENT"


async def test_a_reply_of_stop_opts_out_and_start_in_again(
    it: Sends, client: httpx.AsyncClient, server: TwilioServer
) -> None:
    """I21"""
    for text in (" Stop. ", "QUIT", "\u201cStop!\u201d", "who is this?"):
        answer = await server.reply(client, FRIEND, text)
        assert (answer.status_code, answer.text) == (200, "<Response/>")
    assert len(await it.rows("SELECT * FROM optouts")) == 1
    invitation = await it.invite()
    await it.deliver(invitation)
    assert (await it.status(invitation), server.asked) == ("FAILED", 0)
    await server.reply(client, FRIEND, "Start!")
    again = await it.invite()
    await it.deliver(again)
    assert await it.status(again) == "SENT"
    await server.reply(client, FRIEND, "Arrêt", OptOutType="STOP")
    assert len(await it.rows("SELECT * FROM optouts")) == 1, "a word of the account's own"


async def test_a_reply_that_is_not_signed_opts_nobody_out(it: Sends, client: httpx.AsyncClient) -> None:
    """I18, I21"""
    answer = await client.post("/callbacks/twilio", data={"From": FRIEND, "Body": "STOP"})
    assert answer.status_code == 403
    assert await it.rows("SELECT * FROM optouts") == []
