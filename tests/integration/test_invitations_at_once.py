"""Without a queue: the request waits for the provider, and hears when it fails."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.invitation_sending import FAST, FRIEND
from tests.invitation_service import PATIENT, Service, environment, problem, serving
from tests.twilio_server import Mood, TwilioServer

pytest_plugins = ["tests.integration.invitations_fixture"]

OTHER = "+12025550124"


@pytest.fixture
async def server() -> AsyncIterator[TwilioServer]:
    async with TwilioServer().running() as server:
        yield server


@pytest.fixture
async def service(postgres_url: str, server: TwilioServer) -> AsyncIterator[Service]:
    variables = {**FAST, **server.environment, "DELIVERY": "synchronous", "BREAKER_FAILURES": "3"}
    async with serving(environment(postgres_url, **variables)) as service:
        yield service


async def statuses(service: Service, user: str) -> list[str]:
    found = (await service.get("/api/invitations", user)).json()["invitations"]
    return [each["status"] for each in found]


async def test_who_is_answered_has_sent(service: Service, server: TwilioServer) -> None:
    """I25"""
    assert (await service.invite("ana", FRIEND)).status_code == 201
    assert await statuses(service, "ana") == ["SENT"]
    assert [message["to"] for message in server.messages] == [FRIEND]


async def test_a_provider_that_fails_is_a_503_after_which_the_same_may_be_tried_again(
    service: Service, server: TwilioServer
) -> None:
    """I10, I25: phone, quota and idempotency key are free."""
    server.mood = Mood.BUSY
    answer = await service.invite("ana", FRIEND, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 503
    assert (answer.json()["code"], answer.json()["success"]) == ("PROVIDER_FAILED", False)
    assert int(answer.headers["Retry-After"]) > 0
    assert await statuses(service, "ana") == ["FAILED"]
    server.mood = Mood.WELL
    again = await service.invite("ana", FRIEND, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.headers["RateLimit-Remaining"]) == (201, "9")
    assert sorted(await statuses(service, "ana")) == ["FAILED", "SENT"]
    assert len(server.messages) == 1


async def test_a_lost_answer_is_no_failure_of_which_a_caller_could_try_again(
    service: Service, server: TwilioServer
) -> None:
    """I15, I25"""
    server.mood = Mood.SILENT
    assert (await service.invite("ana", FRIEND)).status_code == 201
    assert await statuses(service, "ana") == ["UNKNOWN"]
    assert (await service.invite("bob", FRIEND)).status_code == 409


async def test_a_number_that_is_refused_for_good_is_no_success_and_costs_nothing(
    service: Service, server: TwilioServer
) -> None:
    """I6, I25"""
    server.refuses[FRIEND] = 21211
    for _ in range(2):
        refused = await service.invite("ana", FRIEND, headers={"Idempotency-Key": "k"})
        assert "are refused" in problem(refused, 422, "INVALID_PHONE_NUMBER")
    assert await statuses(service, "ana") == ["FAILED", "FAILED"]
    assert (await service.invite("ana", OTHER)).headers["RateLimit-Remaining"] == "9"


async def test_a_region_that_our_account_may_not_send_to_is_no_fault_of_the_number(
    service: Service, server: TwilioServer
) -> None:
    """I16, I25: nor a reason to send to nobody else."""
    server.refuses[FRIEND] = 21408
    for _ in range(5):
        problem(await service.invite("ana", FRIEND), 503, "PROVIDER_FAILED")
    assert (await service.invite("ana", OTHER)).headers["RateLimit-Remaining"] == "9"


async def test_twenty_with_one_key_to_a_busy_number_are_no_success(database_url: str, server: TwilioServer) -> None:
    """I11, I25: a repetition that came while the first one failed was told that it had sent."""
    variables = {**FAST, **PATIENT, **server.environment, "DELIVERY": "synchronous"}
    server.mood = Mood.BUSY
    async with serving(environment(database_url, **variables)) as service:
        for _ in range(5):
            answers = await asyncio.gather(
                *(service.invite("ana", FRIEND, headers={"Idempotency-Key": "k"}) for _ in range(20))
            )
            assert {answer.status_code for answer in answers} <= {409, 503}
        server.mood = Mood.WELL
        well = await service.invite("ana", FRIEND, headers={"Idempotency-Key": "k"})
        assert (well.status_code, well.headers["RateLimit-Remaining"]) == (201, "9")


async def test_an_open_breaker_answers_without_asking(service: Service, server: TwilioServer) -> None:
    """I16, I25"""
    server.mood = Mood.BUSY
    answers = [await service.invite("ana", number) for number in (FRIEND, OTHER, FRIEND, OTHER, FRIEND)]
    assert [answer.status_code for answer in answers] == [503] * 5
    assert server.asked == 3
