"""The providers on the wire: SNS of the local AWS, and a strict server that speaks Twilio's Messages API."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from hack.node.aws import LocalAws
from hack.node.process import free_port
from tests.invitation_sending import sent_by_sns
from tests.twilio_server import SENDER, Mood, TwilioServer
from workloads.common.environment import Environment
from workloads.common.job_health import listening
from workloads.invitations.sending.port import (
    Accepted,
    Delivery,
    Fault,
    Provider,
    Refused,
    Sms,
    Traced,
    Unknown,
    Untraced,
)
from workloads.invitations.sending.providers import opened
from workloads.invitations.sending.settings import provider

pytest_plugins = ["tests.integration.aws_fixture"]

FRIEND = "+12025550123"
SMS = Sms("i1", FRIEND, "John invited you: https://app.example.com/invite/APP-8F3K92", "APP-8F3K92")


@pytest.fixture
async def server() -> AsyncIterator[TwilioServer]:
    async with TwilioServer().running() as server:
        yield server


@asynccontextmanager
async def twilio(server: TwilioServer, **more: str) -> AsyncIterator[Provider]:
    variables = {**server.environment, "PROVIDER_SECONDS": "2", **more}
    async with opened(provider(Environment(variables)), calls=2) as found:
        yield found


async def test_twilio_gets_the_number_the_text_and_where_to_call_back(server: TwilioServer) -> None:
    """I16"""
    async with twilio(server) as provider:
        answer = await provider.send(SMS)
    [message] = server.messages
    assert answer == Accepted(message["sid"])
    assert (message["to"], message["body"], message["from"]) == (FRIEND, SMS.text, SENDER)
    assert message["status_callback"] == "https://app.example.com/callbacks/twilio/i1"


async def test_a_messaging_service_sends_by_its_sid(server: TwilioServer) -> None:
    """I16"""
    service = "MG" + "1" * 32
    async with twilio(server, TWILIO_SENDER=service) as provider:
        assert isinstance(await provider.send(SMS), Accepted)
    assert (server.messages[0]["from"], server.messages[0]["messaging_service_sid"]) == (None, service)


@pytest.mark.parametrize(("code", "fault"), [(21211, Fault.RECIPIENT), (21610, Fault.RECIPIENT), (21606, Fault.SETUP)])
async def test_a_refusal_says_whose_fault_it_is(server: TwilioServer, code: int, fault: Fault) -> None:
    """I16"""
    server.refuses[FRIEND] = code
    async with twilio(server) as provider:
        answer = await provider.send(SMS)
    assert isinstance(answer, Refused)
    assert (answer.fault, answer.code) == (fault, str(code))


async def test_wrong_credentials_are_our_fault(server: TwilioServer) -> None:
    """I16"""
    async with twilio(server, TWILIO_AUTH_TOKEN="wrong") as provider:  # noqa: S106
        answer = await provider.send(SMS)
    assert isinstance(answer, Refused)
    assert answer.fault is Fault.SETUP


@pytest.mark.parametrize("mood", [Mood.SILENT, Mood.GONE, Mood.BROKEN])
async def test_what_was_accepted_without_an_answer_is_unknown_and_found_by_its_text(
    server: TwilioServer, mood: Mood
) -> None:
    """I15: slow beyond patience, cut off, 500"""
    server.mood = mood
    async with twilio(server) as provider:
        assert isinstance(await provider.send(SMS), Unknown)
        found = await provider.find(SMS, since=0)
        other = await provider.find(Sms("i2", FRIEND, SMS.text, "APP-OTHER2"), since=0)
    assert found == Traced(server.messages[0]["sid"], Delivery.SENT)
    assert isinstance(other, Untraced)
    assert server.asked == 1, "never repeated by itself"


async def test_what_was_never_accepted_is_unknown_and_not_found(server: TwilioServer) -> None:
    """I15"""
    server.mood = Mood.DEAF
    async with twilio(server) as provider:
        assert isinstance(await provider.send(SMS), Unknown)
        assert isinstance(await provider.find(SMS, since=0), Untraced)


async def test_an_older_message_with_the_same_text_is_another_one(server: TwilioServer) -> None:
    """I15"""
    async with twilio(server) as provider:
        await provider.send(SMS)
        assert isinstance(await provider.find(SMS, since=4e9), Untraced)


async def test_too_many_requests_and_no_connection_are_refusals_for_now(server: TwilioServer) -> None:
    """I15"""
    server.mood = Mood.BUSY
    async with twilio(server) as provider:
        busy = await provider.send(SMS)
    async with twilio(server, TWILIO_URL=f"http://127.0.0.1:{free_port()}") as provider:
        away = await provider.send(SMS)
        assert isinstance(await provider.find(SMS, since=0), Untraced)
    for answer in (busy, away):
        assert isinstance(answer, Refused)
        assert answer.fault is Fault.PROVIDER


async def test_no_number_is_logged(server: TwilioServer, caplog: pytest.LogCaptureFixture) -> None:
    """I22: the HTTP client would log the address of a search, which holds it."""
    caplog.set_level(logging.INFO)
    async with twilio(server) as provider:
        await provider.send(SMS)
        await provider.find(SMS, since=0)
    assert FRIEND[1:] not in caplog.text


async def test_sns_sends_a_promotional_message_with_its_sender_and_price_cap(local_aws: LocalAws) -> None:
    """I16"""
    variables = {"PROVIDER": "sns", "SNS_SENDER_ID": "Pointsman", "SNS_MAX_PRICE": "0.05"}
    variables |= {"SNS_ORIGINATION_NUMBER": "+12065550100"}
    async with opened(provider(Environment(variables)), calls=2) as sns:
        answer = await sns.send(SMS)
        assert isinstance(await sns.find(SMS, since=0), Untraced)
    [sent] = sent_by_sns(local_aws, FRIEND)
    assert answer == Accepted(sent["MessageId"])
    assert sent["Message"] == SMS.text
    assert sent["MessageAttributes"]["AWS.SNS.SMS.SenderID"]["StringValue"] == "Pointsman"
    assert sent["MessageAttributes"]["AWS.SNS.SMS.SMSType"]["StringValue"] == "Promotional"
    assert sent["MessageAttributes"]["AWS.SNS.SMS.MaxPrice"]["StringValue"] == "0.05"
    assert sent["MessageAttributes"]["AWS.MM.SMS.OriginationNumber"]["StringValue"] == "+12065550100"


async def test_the_test_range_does_not_reach_sns(local_aws: LocalAws) -> None:
    """I3"""
    async with opened(provider(Environment({"PROVIDER": "sns"})), calls=2) as sns:
        answer = await sns.send(Sms("i1", "+15551234567", "Hello", "Hello"))
    assert isinstance(answer, Refused)
    assert answer.permanent
    assert sent_by_sns(local_aws, "+15551234567") == []


async def test_an_sns_that_is_away_is_a_refusal_for_now(monkeypatch: pytest.MonkeyPatch, local_aws: LocalAws) -> None:
    """I15"""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", f"http://127.0.0.1:{free_port()}")
    async with opened(provider(Environment({"PROVIDER": "sns"})), calls=2) as sns:
        answer = await sns.send(SMS)
    assert isinstance(answer, Refused)
    assert answer.fault is Fault.PROVIDER


@pytest.mark.parametrize("mood", [Mood.SILENT, Mood.BROKEN])
async def test_an_sns_that_does_not_answer_is_unknown_and_asked_once(
    monkeypatch: pytest.MonkeyPatch, local_aws: LocalAws, mood: Mood
) -> None:
    """I15: boto3 repeats calls by itself, but not this one."""
    asked, over = [], asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        if mood is Mood.SILENT:
            await over.wait()
        return web.Response(status=500)

    app = web.Application()
    app.router.add_post("/", answer)
    async with listening(app, "127.0.0.1", 0) as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", f"http://127.0.0.1:{port}")
        async with opened(provider(Environment({"PROVIDER": "sns", "PROVIDER_SECONDS": "0.3"})), calls=2) as sns:
            assert isinstance(await sns.send(SMS), Unknown)
        over.set()
    assert len(asked) == 1
