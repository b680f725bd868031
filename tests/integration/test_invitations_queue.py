"""Invitations that come through the queue, to any number of senders, of which some die."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hack.node.aws import LocalAws
from hack.node.postgres import Postgres
from tests.e2e.patience import until
from tests.image_jobs import Jobs
from tests.invitation_sending import FAST, FRIEND, Sends, sends, sent_by_sns
from tests.invitation_service import environment, serving
from tests.twilio_server import Mood, TwilioServer
from workloads.common.dead_jobs import Redriven
from workloads.common.gate import Gate, Open, OpenPermit
from workloads.common.job_row import State
from workloads.invitations.database import Session
from workloads.invitations.opening import open_database
from workloads.invitations.postgres import Pooling
from workloads.invitations.sending.running import Hooks

pytest_plugins = ["tests.integration.aws_fixture", "tests.integration.invitations_fixture"]

CHECKOUT = Path(__file__).parents[2]
QUICK = {
    "VISIBILITY_SECONDS": "2", "WAIT_SECONDS": "1", "RETRY_SECONDS": "0.2", "LONGEST_RETRY_SECONDS": "0.5",
    "MAX_ATTEMPTS": "2", "CLOCK_SKEW_SECONDS": "0.1",
}  # fmt: skip


@pytest.fixture
async def server() -> AsyncIterator[TwilioServer]:
    async with TwilioServer().running() as server:
        yield server


def role(jobs: Jobs, **more: str) -> dict[str, str]:
    """Variables of a sender."""
    places = jobs.places
    return {
        "DELIVERY": "queue", "ROLES": "sender", "QUEUE_URL": places.queue, "DEAD_LETTER_QUEUE_URL": places.dead_letters,
        "JOBS_TABLE": places.jobs, **QUICK, **more,
    }  # fmt: skip


class Canary(Open):
    is_canary = True


class Broken(Open):
    async def permit(self, wanted: int) -> OpenPermit:
        raise KeyError("a defect")


class World:
    def __init__(self, url: str, database: Session, server: TwilioServer, jobs: Jobs) -> None:
        self.url = url
        self.database = database
        self.server = server
        self.jobs = jobs

    def pod(self, *, gate: Gate | None = None, **more: str) -> contextlib.AbstractAsyncContextManager[Sends]:
        """A sender in this process, which takes jobs until the block ends."""
        hooks = Hooks(gate=gate) if gate else None
        return sends(self.url, self.database, self.server, hooks=hooks, **role(self.jobs, **more))

    @contextlib.asynccontextmanager
    async def process(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """A sender of its own, to be ended by signals."""
        variables = environment(self.url, **FAST, **self.server.environment, **role(self.jobs))
        settings = {**os.environ, **variables, "PROVIDER_SECONDS": "20", "PORT": "0"}
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "workloads.invitations", cwd=CHECKOUT, stdout=asyncio.subprocess.DEVNULL, env=settings
        )
        try:
            yield child
        finally:
            if child.returncode is None:
                child.kill()
            await child.wait()


@pytest.fixture
async def world(sqlite_url: str, jobs: Jobs, server: TwilioServer) -> AsyncIterator[World]:
    database = await open_database(sqlite_url, Pooling())
    yield World(sqlite_url, database, server, jobs)
    await database.close()


async def test_the_same_invitation_many_times_for_many_senders_is_one_message(world: World) -> None:
    """I15: SQS may deliver twice, and the relay may send twice."""
    jobs, server = world.jobs, world.server
    async with world.pod() as it, world.pod(), world.pod():
        numbers = [f"+120255501{place:02d}" for place in range(8)]
        invitations = [await it.invite(number, user=number) for number in numbers]
        for _ in range(2):
            await jobs.send(*invitations, body={})
        await jobs.until_state(State.COMPLETED, *invitations)
        await jobs.until_empty()
        assert sorted(message["to"] for message in server.messages) == numbers
        assert {await it.status(invitation) for invitation in invitations} == {"SENT"}


async def test_a_sender_that_is_killed_before_the_answer_leaves_an_unknown_outcome_and_no_second_message(
    world: World,
) -> None:
    """I15"""
    world.server.mood = Mood.SLOW
    async with sends(world.url, world.database, world.server) as it:
        invitation = await it.invite()
        async with world.process() as process:
            await world.jobs.send(invitation, body={})
            await until(lambda: world.server.asked, "Twilio is asked", seconds=20)
            process.kill()
        assert await it.status(invitation) == "SENDING"
        world.server.mood = Mood.WELL
        async with world.pod():
            await world.jobs.until_state(State.COMPLETED, invitation)
        assert await it.status(invitation) == "UNKNOWN"
        assert await it.look() == 1
        assert await it.status(invitation) == "SENT"
    assert (world.server.asked, len(world.server.messages)) == (1, 1)


async def test_a_sender_that_is_ended_waits_for_its_answers(world: World) -> None:
    """I15: SIGTERM"""
    world.server.mood = Mood.SLOW
    async with sends(world.url, world.database, world.server) as it:
        invitation = await it.invite()
        async with world.process() as process:
            await world.jobs.send(invitation, body={})
            await until(lambda: world.server.asked, "Twilio is asked", seconds=20)
            process.send_signal(signal.SIGTERM)
            world.server.released.set()
            async with asyncio.timeout(20):
                await process.wait()
        assert await it.status(invitation) == "SENT"


async def test_a_provider_that_is_busy_is_waited_for_and_costs_no_attempts(world: World) -> None:
    """I15, I16"""
    world.server.mood = Mood.BUSY
    async with world.pod() as it:
        invitation = await it.invite()
        await world.jobs.send(invitation, body={})
        await until(lambda: world.server.asked >= 4, "it is tried more often than MAX_ATTEMPTS")
        world.server.mood = Mood.WELL
        await world.jobs.until_state(State.COMPLETED, invitation)
        assert await it.status(invitation) == "SENT"
        assert len(world.server.messages) == 1


async def test_an_open_breaker_keeps_messages_in_the_queue_until_the_provider_is_back(world: World) -> None:
    """I16"""
    world.server.mood = Mood.BUSY
    async with world.pod(BREAKER_FAILURES="2", BREAKER_SECONDS="1", SLOTS="1") as it:
        invitations = [await it.invite(f"+1202555010{place}") for place in range(5)]
        await world.jobs.send(*invitations, body={})
        await until(lambda: world.server.asked >= 2, "it failed twice")
        world.server.mood = Mood.WELL
        await world.jobs.until_state(State.COMPLETED, *invitations)
        assert {await it.status(invitation) for invitation in invitations} == {"SENT"}
        assert len(world.server.messages) == 5


async def test_a_fault_of_the_setup_ends_in_the_dead_letters_and_can_be_sent_once_it_is_mended(world: World) -> None:
    """I15: nothing was sent, and nothing is lost."""
    async with world.pod(TWILIO_SENDER="+12025550199") as it:
        invitation = await it.invite()
        await world.jobs.send(invitation, body={})
        await world.jobs.until_state(State.FAILED, invitation)
        await world.jobs.until_empty()
        assert [attempt["code"] for attempt in await it.attempts(invitation)] == ["21606", "21606"]
    [dead] = await world.jobs.producer.dead(most=10)
    assert dead.job_id == invitation
    assert FRIEND[1:] not in dead.last_error
    async with world.pod():
        assert [each async for each in world.jobs.producer.redrive(most=10)] == [(invitation, Redriven.SENT)]
        await world.jobs.until_state(State.COMPLETED, invitation)
        assert await it.status(invitation) == "SENT"
        assert len(world.server.messages) == 1


async def test_a_canary_that_is_set_up_wrong_ends_no_invitation(world: World) -> None:
    """I15: it fails each once, and the others send them."""
    async with world.pod(gate=Canary(), TWILIO_SENDER="+12025550199", REVISION="canary") as it:
        invitation = await it.invite()
        await world.jobs.send(invitation, body={})
        await world.jobs.until_state(State.RETRY, invitation)
    async with world.pod(REVISION="stable"):
        await world.jobs.until_state(State.COMPLETED, invitation)
        assert await it.status(invitation) == "SENT"


async def test_a_message_that_the_queue_held_up_until_the_night_waits_for_the_morning(world: World) -> None:
    """21 item 8: the attempt does not count, and nothing says that it was made."""
    async with world.pod(QUIET_HOURS="21:00-08:00", MAX_ATTEMPTS="1") as it:
        it.watch.now = round(datetime(2026, 11, 30, 8, 0, tzinfo=UTC).timestamp() * 1000)  # 3:00 in Washington
        invitation = await it.invite()
        await world.jobs.send(invitation, body={})

        async def handed_back() -> bool:
            row = (await world.jobs.rows()).get(invitation)
            return row is not None and row.fence == 1 and row.state is State.PENDING

        await until(handed_back, "it is handed back", seconds=20)
        assert (await it.attempts(invitation), world.server.asked) == ([], 0)
        assert await world.jobs.in_dead_letters() == []
        it.watch.move(hours=5)
        await world.jobs.send(invitation, body={})
        await world.jobs.until_state(State.COMPLETED, invitation)
        assert await it.status(invitation) == "SENT"


async def test_a_permanent_refusal_is_an_end_and_no_dead_letter(world: World) -> None:
    """I6"""
    world.server.refuses[FRIEND] = 21211
    async with world.pod() as it:
        invitation = await it.invite()
        await world.jobs.send(invitation, body={})
        await world.jobs.until_state(State.COMPLETED, invitation)
        await world.jobs.until_empty()
        assert await it.status(invitation) == "FAILED"
    assert await world.jobs.in_dead_letters() == []


async def test_a_database_that_is_gone_when_the_answer_comes_still_learns_of_it(
    postgres: Postgres, postgres_url: str, server: TwilioServer
) -> None:
    """I15, I24"""
    server.mood = Mood.SLOW
    database = await open_database(postgres_url, Pooling())
    async with sends(postgres_url, database, server, PROVIDER_SECONDS="20") as it:
        invitation = await it.invite()
        sending = asyncio.create_task(it.deliver(invitation))
        await until(lambda: server.asked, "Twilio is asked")
        postgres.stop()
        server.released.set()
        postgres.start()
        await sending
        assert (await it.status(invitation), server.asked) == ("SENT", 1)
        assert [attempt["outcome"] for attempt in await it.attempts(invitation)] == ["ACCEPTED"]
    await database.close()


async def test_sns_sends_what_comes_through_the_queue(world: World, local_aws: LocalAws) -> None:
    """I16"""
    number = "+12025550177"
    async with world.pod(PROVIDER="sns") as it:
        invitation = await it.invite(number)
        await world.jobs.send(invitation, invitation, body={})
        await world.jobs.until_state(State.COMPLETED, invitation)
        row = await it.invitation(invitation)
    [message] = sent_by_sns(local_aws, number)
    assert (row["status"], row["provider"], row["provider_message_id"]) == ("SENT", "sns", message["MessageId"])
    assert f"https://app.example.com/invite/{row['invite_code']}" in message["Message"]


async def test_from_a_request_to_the_friends_phone_and_back(world: World) -> None:
    """I14, I15, I18: all roles in one process, and Twilio at its end."""
    variables = {**FAST, **world.server.environment, **role(world.jobs), "ROLES": "api,relay,sender"}
    async with serving(environment(world.url, **variables)) as service:
        assert (await service.invite("ana", FRIEND)).status_code == 201

        async def status() -> str:
            (found,) = (await service.get("/api/invitations", "ana")).json()["invitations"]
            return str(found["status"])

        async def is_sent() -> bool:
            return await status() == "SENT"

        await until(is_sent, "it is sent", seconds=20)
        (message,) = world.server.messages
        await world.server.tell(service.client, message, "delivered")
        assert await status() == "DELIVERED"
        assert (await service.client.get("/healthz")).status_code == 200


async def test_a_process_that_takes_no_jobs_any_more_says_so(world: World) -> None:
    """I15: for kubelet, which starts it again."""

    async def live() -> None:
        async with world.pod(gate=Broken()) as it:
            told = await until(it.parts.trouble, "it says so")
            assert told == "nothing takes jobs from the queue any more"

    with pytest.raises(KeyError, match="a defect"):
        await live()
