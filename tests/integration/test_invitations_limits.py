"""Limits are exact however many ask at once, and looking first would not make them so."""

import asyncio
from collections import Counter

import pytest

from tests.invitation_service import environment, phone
from workloads.invitations import codes
from workloads.invitations.inviting import Inviting
from workloads.invitations.numbers import Phone
from workloads.invitations.opening import open_database
from workloads.invitations.order import Invited, NoCodeError, Order, PhoneTaken, QuotaUsedUp
from workloads.invitations.parts import now_ms
from workloads.invitations.postgres import Pooling
from workloads.invitations.privacy import Privacy
from workloads.invitations.quota import Window
from workloads.invitations.settings import read

pytest_plugins = ["tests.integration.invitations_fixture"]

AT_ONCE = 32


@pytest.fixture
async def database(database_url):
    """With a connection for each of those who come at once."""
    session = await open_database(database_url, Pooling(connections=AT_ONCE, acquire=30))
    yield session
    await session.close()


@pytest.fixture
def inviting(database, database_url):
    settings = read(environment(database_url))
    return Inviting(database, Privacy(settings.keys), settings.limits)


def order(user, number):
    return Order(inviter=user, inviter_name="John", phone=Phone(phone(number), "US", test_range=True), trace_parent="")


async def all_of(ask, orders):
    """By so many tasks at once, each asking one after the other."""
    answers: Counter[type] = Counter()
    left = iter(orders)

    async def some():
        for each in left:
            answers[type(await ask(each))] += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(some())
    return answers


async def test_one_user_and_320_phones_are_10_invitations(inviting):
    """I4."""
    answers = await all_of(lambda each: inviting.invite(each, now=now_ms()), [order("u1", n) for n in range(320)])
    assert answers == {Invited: 10, QuotaUsedUp: 310}


async def test_320_users_and_one_phone_are_1_invitation(inviting):
    """I5."""
    answers = await all_of(lambda each: inviting.invite(each, now=now_ms()), [order(f"u{n}", 7) for n in range(320)])
    assert answers == {Invited: 1, PhoneTaken: 319}


async def test_looking_first_lets_too_many_pass(database):
    """The negative control of I4 and I5: were this exact too, the two above would show nothing."""

    async def look_then_insert(each, looked):
        async with database.transaction() as rows:
            sent = await rows.fetch("SELECT used FROM quotas WHERE inviter_user_id = $1", each.inviter)
            phones = await rows.fetch("SELECT until FROM phones WHERE phone_hash = $1", each.phone.e164.encode())
        await looked.wait()  # 20 at once, whoever is faster on this machine
        if len(sent) >= 10:
            return QuotaUsedUp(Window(10, 0))
        if phones:
            return PhoneTaken(0)
        async with database.transaction() as rows:
            day = int(each.phone.e164[1:])  # a row an invitation: there is nothing to conflict with
            await rows.execute("INSERT INTO quotas VALUES ($1, $2, 1)", each.inviter, day % 10**9)
            await rows.execute("INSERT INTO phones VALUES ($1, 0, '') ON CONFLICT DO NOTHING", each.phone.e164.encode())
        return Invited("", "", Window(1, 0))

    by_user, by_phone = asyncio.Barrier(20), asyncio.Barrier(20)
    one_user = await all_of(lambda each: look_then_insert(each, by_user), [order("u1", n) for n in range(320)])
    one_phone = await all_of(lambda each: look_then_insert(each, by_phone), [order(f"u{n}", 999) for n in range(320)])
    assert one_user[Invited] > 10
    assert one_phone[Invited] > 1


async def test_a_code_that_is_taken_is_drawn_again(database, inviting):
    """I7."""
    drawn = iter(["APP-222222", "APP-222222", "APP-222222", "APP-333333"])
    same = Inviting(database, inviting.privacy, inviting.limits, draw=lambda: next(drawn))
    first = await same.invite(order("u1", 1), now=now_ms())
    second = await same.invite(order("u1", 2), now=now_ms())
    assert isinstance(first, Invited)
    assert isinstance(second, Invited)
    assert (first.code, second.code) == ("APP-222222", "APP-333333")


async def test_after_five_taken_codes_nothing_is_used_up(database, inviting):
    """I6, I7."""
    stuck = Inviting(database, inviting.privacy, inviting.limits, draw=lambda: "APP-222222")
    await stuck.invite(order("u1", 1), now=now_ms())
    with pytest.raises(NoCodeError, match=f"{codes.TRIES} codes"):
        await stuck.invite(order("u1", 2), now=now_ms())
    answer = await inviting.invite(order("u1", 2), now=now_ms())
    assert isinstance(answer, Invited)
    assert answer.window.used == 2


async def test_two_users_who_invite_each_others_phones_wait_in_no_circle(inviting):
    """I4, I5: rows are locked in one order."""
    orders = [order(f"u{n % 2}", n // 2 % 5) for n in range(320)]
    answers = await all_of(lambda each: inviting.invite(each, now=now_ms()), orders)
    assert answers[Invited] == 5
    assert answers[QuotaUsedUp] + answers[PhoneTaken] == 315
