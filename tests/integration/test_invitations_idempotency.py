"""A request that is sent again is done once, on a real server."""

import asyncio
from collections import Counter

import pytest

from tests.invitation_service import PATIENT, environment, phone, problem, serving
from workloads.invitations.opening import open_database
from workloads.invitations.postgres import Pooling

pytest_plugins = ["tests.integration.invitations_fixture"]


@pytest.fixture
async def service(sqlite_url):
    """What is refused here never comes as far as the database."""
    async with serving(environment(sqlite_url)) as service:
        yield service


async def test_100_same_requests_at_once_are_one_invitation(database_url, database):
    """I11."""
    async with serving(environment(database_url, **PATIENT)) as service:
        key = {"Idempotency-Key": "k1"}
        answers = await asyncio.gather(*(service.invite("u1", "+15551234567", headers=key) for _ in range(100)))
    assert Counter(answer.status_code for answer in answers) == {201: 100}
    assert len({answer.json()["inviteCode"] for answer in answers}) == 1
    assert sorted(answer.headers.get("Idempotency-Replayed", "") for answer in answers) == [""] + ["true"] * 99
    assert {answer.headers["RateLimit-Remaining"] for answer in answers} == {"9"}
    async with database.transaction() as rows:
        assert len(await rows.fetch("SELECT * FROM invitations")) == 1


async def test_100_same_requests_without_a_key_are_one_invitation_too(database_url):
    """I5."""
    async with serving(environment(database_url, **PATIENT)) as service:
        answers = await asyncio.gather(*(service.invite("u1", "+15551234567") for _ in range(100)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 99}


async def test_while_a_request_waits_for_the_provider_its_repetition_is_409(sqlite_url):
    """I10, I11, I25."""
    key = {"Idempotency-Key": "k1"}
    async with serving(environment(sqlite_url)) as service:  # as far as it was when its process was killed
        await service.invite("u1", phone(1), headers=key)
    async with serving(environment(sqlite_url, DELIVERY="synchronous")) as service:
        problem(await service.invite("u1", phone(1), headers=key), 409, "IDEMPOTENCY_KEY_IN_USE")
        other = {"Idempotency-Key": "k2"}
        answers = [await service.invite("u1", phone(1234567), headers=other) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


async def test_a_key_that_belongs_to_another_request_is_422(service):
    """I10, I11."""
    key = {"Idempotency-Key": "k1"}
    assert (await service.invite("u1", phone(1), headers=key)).status_code == 201
    problem(await service.invite("u1", phone(2), headers=key), 422, "IDEMPOTENCY_KEY_REUSED")
    assert (await service.invite("u2", phone(2), headers=key)).status_code == 201


async def test_a_refusal_is_not_what_a_key_is_answered_with_for_ever(service):
    """I11."""
    await service.invite("u2", phone(1))
    key = {"Idempotency-Key": "k1"}
    assert (await service.invite("u1", phone(1), headers=key)).status_code == 409
    service.watch.move(hours=24)
    assert (await service.invite("u1", phone(1), headers=key)).status_code == 201


async def test_a_key_is_forgotten_after_a_day(service):
    """I11."""
    key = {"Idempotency-Key": "k1"}
    await service.invite("u1", phone(1), headers=key)
    service.watch.move(hours=24)
    assert (await service.invite("u1", phone(2), headers=key)).status_code == 201


NO_KEYS = ["", "k" * 129, "a key", "schlüssel".encode()]


async def test_a_key_that_is_none_is_400(service):
    """I10, I11."""
    for key in NO_KEYS:
        answer = await service.invite("u1", phone(1), headers={"Idempotency-Key": key})
        assert "Idempotency-Key" in problem(answer, 400, "MALFORMED_REQUEST")


async def test_a_key_whose_request_is_still_under_way_is_409(postgres_url):
    """I10, I11."""
    variables = environment(postgres_url, DATABASE_LOCK_SECONDS="0.2")
    async with serving(variables) as service:
        await service.invite("u1", phone(1))
        other = await open_database(postgres_url, Pooling())
        async with other.transaction() as rows:
            await rows.execute("INSERT INTO idempotency VALUES ('u1', 'k1', $1, 'i', $2)", b"", service.watch.now)
            answer = await service.invite("u1", phone(2), headers={"Idempotency-Key": "k1"})
        await other.close()
    problem(answer, 409, "IDEMPOTENCY_KEY_IN_USE")
    assert answer.headers["Retry-After"] == "1"
