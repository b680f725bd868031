"""Sending one invitation, on both databases, with a Twilio that has moods."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.e2e.patience import until
from tests.invitation_sending import FRIEND, Sends, sends
from tests.invitation_service import stop_link
from tests.twilio_server import Mood, TwilioServer
from workloads.common.attempt import RefusedError
from workloads.invitations.database import Session
from workloads.invitations.sending.port import Accepted, Fault, Unknown
from workloads.invitations.sending.sender import Ended, Held
from workloads.invitations.status import Status

pytest_plugins = ["tests.integration.invitations_fixture"]


@pytest.fixture
async def server() -> AsyncIterator[TwilioServer]:
    async with TwilioServer().running() as server:
        yield server


@pytest.fixture
async def it(database_url: str, database: Session, server: TwilioServer) -> AsyncIterator[Sends]:
    async with sends(database_url, database, server) as found:
        yield found


async def test_an_invitation_is_sent_once_and_its_attempt_is_logged(it: Sends, server: TwilioServer) -> None:
    """I9, I17"""
    invitation = await it.invite()
    assert await it.deliver(invitation) == Ended(Status.SENT)
    assert await it.deliver(invitation) == Ended(Status.SENT), "and not again"
    [message] = server.messages
    row = await it.invitation(invitation)
    link, _, rest = (
        message["body"].removeprefix("Ana invited you to try AppName. Sign up using this link: ").partition(" ")
    )
    assert link == f"https://app.example.com{(await stop_link(it.database, row['invite_code'])).replace('/stop', '')}"
    assert rest == "Reply STOP to opt out."
    assert (row["status"], row["sent_at"], row["provider"]) == ("SENT", it.watch.now, "twilio")
    assert row["provider_message_id"] == message["sid"]
    [attempt] = await it.attempts(invitation)
    assert (attempt["number"], attempt["outcome"], attempt["provider"]) == (1, "ACCEPTED", "twilio")
    assert (attempt["started_at"], attempt["ended_at"]) == (it.watch.now, it.watch.now)
    assert attempt["provider_message_id"] == message["sid"]
    assert it.heard == [Accepted(message["sid"])]


async def test_the_attempt_is_written_down_before_the_call(it: Sends, server: TwilioServer) -> None:
    """I15"""
    server.mood = Mood.SILENT
    invitation = await it.invite()
    sending = asyncio.create_task(it.deliver(invitation))
    await until(lambda: server.asked, "Twilio is asked")
    assert (await it.status(invitation), (await it.attempts(invitation))[0]["outcome"]) == ("SENDING", "STARTED")
    assert await sending == Ended(Status.UNKNOWN)


async def test_an_unknown_outcome_is_found_out_and_never_sent_again(it: Sends, server: TwilioServer) -> None:
    """I15: it timed out, was cut off, or got a 500 after Twilio had accepted it."""
    server.moods = {"+12025550101": Mood.SILENT, "+12025550102": Mood.GONE, "+12025550103": Mood.BROKEN}
    invitations = [await it.invite(number) for number in server.moods]
    assert [await it.deliver(each) for each in invitations] == [Ended(Status.UNKNOWN)] * 3
    assert all(isinstance(heard, Unknown) for heard in it.heard)
    server.moods = {}
    assert [await it.deliver(each) for each in invitations] == [Ended(Status.UNKNOWN)] * 3
    assert await it.look() == 3
    assert [await it.deliver(each) for each in invitations] == [Ended(Status.SENT)] * 3
    assert server.asked == len(server.messages) == 3
    for invitation, message in zip(invitations, server.messages, strict=True):
        row, [attempt] = await it.invitation(invitation), await it.attempts(invitation)
        assert row["provider_message_id"] == attempt["provider_message_id"] == message["sid"]
        assert (row["status"], attempt["outcome"]) == ("SENT", "ACCEPTED")


async def test_a_search_that_finds_nothing_proves_nothing(it: Sends, server: TwilioServer) -> None:
    """I15: it is looked for again after longer and longer whiles, for a day, and stays UNKNOWN."""
    server.mood, server.hidden = Mood.SILENT, True
    invitation = await it.invite()
    await it.deliver(invitation)
    assert await it.look() == 0
    assert (await it.status(invitation), await it.is_phone_free()) == ("UNKNOWN", False)
    server.hidden = False
    assert await it.look() == 0, "not at once again"
    it.watch.move(hours=1.1)
    assert await it.look() == 1
    server.hidden = True
    late = await it.invite("+12025550124")
    await it.deliver(late)
    it.watch.move(hours=25)
    server.hidden = False
    assert await it.look() == 0
    assert await it.status(late) == "UNKNOWN"


async def test_a_message_that_was_delivered_meanwhile_is_found_delivered(it: Sends, server: TwilioServer) -> None:
    """I15, I18"""
    server.mood = Mood.GONE
    invitation = await it.invite()
    await it.deliver(invitation)
    server.messages[0]["status"] = "delivered"
    await it.look()
    row = await it.invitation(invitation)
    assert (row["status"], row["delivered_at"]) == ("DELIVERED", it.watch.now)


async def test_a_permanent_refusal_ends_it_and_releases_the_phone(it: Sends, server: TwilioServer) -> None:
    """I6"""
    server.refuses = {"+12025550101": 21211, "+12025550102": 21614, "+12025550103": 21610}
    for number, code in server.refuses.items():
        invitation = await it.invite(number)
        assert await it.deliver(invitation) == Ended(Status.FAILED)
        [attempt] = await it.attempts(invitation)
        assert (attempt["outcome"], attempt["code"]) == ("REFUSED", str(code))
        assert number[1:] not in attempt["why"], "which outlives the number"
        assert await it.is_phone_free(number)


async def test_who_said_stop_to_the_provider_is_opted_out_here_too(it: Sends, server: TwilioServer) -> None:
    """I21"""
    server.refuses[FRIEND] = 21610
    await it.deliver(await it.invite())
    again = await it.invite()
    assert await it.deliver(again) == Ended(Status.FAILED)
    assert server.asked == 1, "the second was not even tried"
    [attempt] = await it.attempts(again)
    assert (attempt["outcome"], attempt["code"]) == ("REFUSED", "opted_out")


async def test_who_opts_out_before_it_is_sent_gets_nothing(it: Sends, server: TwilioServer) -> None:
    """I21"""
    invitation = await it.invite()
    await it.execute(
        "INSERT INTO optouts SELECT phone_hash, $2 FROM invitations WHERE invitation_id = $1", invitation, it.watch()
    )
    assert await it.deliver(invitation) == Ended(Status.FAILED)
    assert server.asked == 0


async def test_an_expired_invitation_is_not_sent(it: Sends, server: TwilioServer) -> None:
    """I19"""
    invitation = await it.invite()
    it.watch.move(days=31)
    assert await it.deliver(invitation) == Ended(Status.EXPIRED)
    assert server.asked == 0


async def test_a_test_number_never_reaches_a_paid_provider(it: Sends, server: TwilioServer) -> None:
    """I3: however it came into the database."""
    invitation = await it.invite("+15551234567")
    assert await it.deliver(invitation) == Ended(Status.FAILED)
    assert server.asked == 0
    assert [attempt["code"] for attempt in await it.attempts(invitation)] == ["test_range"]


async def test_a_refusal_for_now_is_tried_again_and_both_attempts_are_logged(it: Sends, server: TwilioServer) -> None:
    """I15, I17"""
    server.mood = Mood.BUSY
    invitation = await it.invite()
    held = await it.deliver(invitation)
    assert isinstance(held, Held)
    assert held.fault is Fault.PROVIDER
    assert (await it.status(invitation), await it.is_phone_free()) == ("SENDING", False)
    server.mood = Mood.WELL
    assert await it.deliver(invitation) == Ended(Status.SENT)
    attempts = await it.attempts(invitation)
    assert [(each["number"], each["outcome"], each["code"]) for each in attempts] == [
        (1, "REFUSED", "20429"),
        (2, "ACCEPTED", None),
    ]
    assert len(server.messages) == 1


async def test_who_waits_for_the_answer_does_not_wait_for_a_provider_to_come_back(
    it: Sends, server: TwilioServer
) -> None:
    """I25: it is FAILED, and the phone free, before the caller is told."""
    server.mood = Mood.BUSY
    invitation = await it.invite()
    held = await it.deliver(invitation, only_now=True)
    assert isinstance(held, Held)
    assert await it.status(invitation) == "FAILED"
    assert await it.is_phone_free()


async def test_an_attempt_that_came_to_no_end_is_not_repeated(it: Sends, server: TwilioServer) -> None:
    """I15: its process died after the call, or before; nobody knows."""
    invitation = await it.invite()
    await it.leave_half_sent(invitation)
    assert await it.deliver(invitation) == Ended(Status.UNKNOWN)
    assert server.asked == 0
    assert [attempt["outcome"] for attempt in await it.attempts(invitation)] == ["UNKNOWN"]


async def test_an_attempt_whose_job_never_comes_again_becomes_unknown_by_itself(it: Sends) -> None:
    """I15: its message lies in the dead letter queue, or is gone."""
    invitation = await it.invite()
    await it.leave_half_sent(invitation)
    await it.look()
    assert await it.status(invitation) == "SENDING", "somebody may be at it"
    it.watch.move(hours=1)
    await it.look()
    assert await it.status(invitation) == "UNKNOWN"


async def test_a_number_whose_key_is_gone_is_our_fault(it: Sends, server: TwilioServer) -> None:
    """I22"""
    invitation = await it.invite()
    await it.execute("UPDATE invitations SET key_id = 'lost' WHERE invitation_id = $1", invitation)
    held = await it.deliver(invitation)
    assert isinstance(held, Held)
    assert held.fault is Fault.SETUP
    assert "PHONE_KEYS has no key 'lost'" in held.why
    assert server.asked == 0


async def test_an_invitation_that_there_is_not_is_refused(it: Sends) -> None:
    """I15"""
    with pytest.raises(RefusedError, match="there is no invitation 'nothing'"):
        await it.deliver("nothing")


async def test_a_breaker_leaves_a_failing_provider_alone_and_tries_it_again(
    database_url: str, database: Session, server: TwilioServer
) -> None:
    """I16: what is not called leaves no unknown outcomes."""
    async with sends(database_url, database, server, BREAKER_FAILURES="3", BREAKER_SECONDS="0.5") as it:
        server.mood = Mood.BROKEN
        invitations = [await it.invite(f"+1202555{place:04d}") for place in range(100, 106)]
        verdicts = [await it.deliver(invitation) for invitation in invitations]
        assert verdicts[:3] == [Ended(Status.UNKNOWN)] * 3
        assert all(isinstance(verdict, Held) and verdict.fault is Fault.PROVIDER for verdict in verdicts[3:])
        assert [await it.status(each) for each in invitations[3:]] == ["PENDING"] * 3
        assert server.asked == 3
        server.mood = Mood.WELL

        async def delivered() -> bool:
            return await it.deliver(invitations[3]) == Ended(Status.SENT)

        await until(delivered, "a trial is let through")
        assert [await it.deliver(each) for each in invitations[4:]] == [Ended(Status.SENT)] * 2
        assert server.asked == 6
