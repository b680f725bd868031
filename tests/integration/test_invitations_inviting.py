"""`POST /api/invitations` on a real server, with PostgreSQL and with SQLite."""

import asyncio
import re
from collections import Counter

from tests.invitation_service import phone

pytest_plugins = ["tests.integration.invitations_fixture"]


async def test_an_invitation_is_answered_with_its_code_and_nothing_else(service):
    """I1, I7."""
    answer = await service.invite("u1", "+15551234567")
    assert answer.status_code == 201
    assert set(answer.json()) == {"success", "inviteCode"}
    assert answer.json()["success"] is True
    assert re.fullmatch("APP-[2-9A-HJKMNP-Z]{6}", answer.json()["inviteCode"])
    assert answer.headers["RateLimit-Limit"] == "10"
    assert answer.headers["RateLimit-Remaining"] == "9"
    assert 0 < int(answer.headers["RateLimit-Reset"]) <= 86400
    seen = await service.get(answer.headers["Location"], "u1")
    assert seen.json()["inviteCode"] == answer.json()["inviteCode"]


async def test_what_is_stored_is_what_was_asked_for(service, database):
    """I9, I14, I22."""
    answer = await service.invite("u1", "+1 555 123-4567", headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    async with database.transaction() as rows:
        (row,) = await rows.fetch("SELECT * FROM invitations")
        (queued,) = await rows.fetch("SELECT * FROM outbox")
    assert row["inviter_user_id"] == "u1"
    assert row["inviter_name"] == "John"
    assert row["invite_code"] == answer.json()["inviteCode"]
    assert (row["status"], row["region"], row["sent_at"]) == ("PENDING", "US", None)
    assert row["created_at"] == service.watch.now
    assert row["trace_parent"] == f"00-{'a' * 32}-{'b' * 16}-01"
    assert b"5551234567" not in bytes(row["phone_cipher"]) + bytes(row["phone_hash"])
    assert (queued["invitation_id"], queued["sent_at"]) == (row["invitation_id"], None)


async def test_of_64_phones_at_once_one_user_invites_exactly_10(service, database):
    """I4; with 320 and more at once in test_invitations_limits.py."""
    answers = await asyncio.gather(*(service.invite("u1", phone(number)) for number in range(64)))
    assert Counter(answer.status_code for answer in answers) == {201: 10, 429: 54}
    assert [await count(database, table) for table in ("invitations", "outbox", "phones")] == [10, 10, 10]


async def test_of_64_users_at_once_exactly_one_invites_a_phone(service, database):
    """I5, I6."""
    answers = await asyncio.gather(*(service.invite(f"u{number}", "+15551234567") for number in range(64)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 63}
    assert [await count(database, table) for table in ("invitations", "outbox", "quota_windows")] == [1, 1, 1]


async def test_a_phone_may_be_invited_again_after_24_hours(service):
    """I5."""
    assert (await service.invite("u1", "+15551234567")).status_code == 201
    service.watch.move(hours=24, seconds=-1)
    assert (await service.invite("u2", "+15551234567")).status_code == 409
    service.watch.move(seconds=1)
    assert (await service.invite("u2", "+15551234567")).status_code == 201


async def test_around_midnight_it_is_still_ten_in_24_hours(service, database):
    """I4: of UTC or of anywhere. 20 were possible within 2 ms."""
    service.watch.now = 1_767_225_600_000 - 1
    sent = [(await service.invite("u1", phone(each))).status_code for each in range(6)]
    service.watch.move(seconds=0.001)
    sent += [(await service.invite("u1", phone(6 + each))).status_code for each in range(6)]
    assert sent == [201] * 10 + [429] * 2
    service.watch.move(hours=24, seconds=-0.001)
    assert [(await service.invite("u1", phone(20 + each))).status_code for each in range(7)] == [201] * 6 + [429]


async def test_a_limit_says_until_when(service):
    """I4, I5, I10."""
    service.watch.now = 1_767_225_600_000
    await service.invite("u2", phone(50))
    for each in range(10):
        service.watch.move(seconds=60)
        await service.invite("u1", phone(each))
    full = await service.invite("u1", phone(10))
    assert full.json()["detail"].endswith("2026-01-02 00:01:00 UTC")
    assert full.headers["Retry-After"] == str(86400 - 9 * 60)
    taken = await service.invite("u3", phone(50))
    assert taken.json()["detail"].endswith("2026-01-02 00:00:00 UTC")
    assert taken.headers["Retry-After"] == str(86400 - 10 * 60)
    service.watch.move(seconds=86400 - 10 * 60)
    assert (await service.invite("u3", phone(50))).status_code == 201


async def test_what_is_used_up_comes_back_after_24_hours(service):
    """I4, I10."""
    assert [(await service.invite("u1", phone(each))).status_code for each in range(11)] == [201] * 10 + [429]
    refused = await service.invite("u1", phone(11))
    assert refused.headers["Retry-After"] == refused.headers["RateLimit-Reset"]
    assert refused.headers["RateLimit-Remaining"] == "0"
    service.watch.move(seconds=int(refused.headers["Retry-After"]))
    assert (await service.invite("u1", phone(11))).status_code == 201


async def test_a_phone_that_is_refused_gives_the_quota_back(service):
    """I6."""
    await service.invite("u2", "+15551234567")
    await service.invite("u1", phone(1))
    assert (await service.invite("u1", "+15551234567")).status_code == 409
    assert (await service.invite("u1", phone(2))).headers["RateLimit-Remaining"] == "8"


async def count(database, table):
    async with database.transaction() as rows:
        (found,) = await rows.fetch(f"SELECT COUNT(*) AS n FROM {table}")  # noqa: S608 - of this file
    return found["n"]
