"""The outbox and its relay: with PostgreSQL and SQLite, a real queue, and a database that goes away and comes back."""

import asyncio
import json
import uuid
from collections import Counter
from datetime import UTC, datetime

import boto3
import httpx
import pytest

from hack.node.postgres import Postgres
from tests.e2e.patience import until
from tests.invitation_service import Watch, environment, phone, problem, serving
from workloads.common.aws import Aws
from workloads.invitations.inviting import Inviting
from workloads.invitations.migrating import migrate
from workloads.invitations.numbers import Phone
from workloads.invitations.opening import open_database
from workloads.invitations.order import Invited, Order
from workloads.invitations.outbox import Relay
from workloads.invitations.postgres import Pooling
from workloads.invitations.privacy import Privacy
from workloads.invitations.settings import read

pytest_plugins = ["tests.integration.invitations_fixture", "tests.integration.aws_fixture"]

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


class Queue:
    def __init__(self) -> None:
        self.sqs = boto3.client("sqs")
        self.url = self.sqs.create_queue(QueueName=f"q{uuid.uuid4().hex[:12]}")["QueueUrl"]

    def messages(self):
        """All that are in it; they stay hidden afterwards."""
        found = []
        while got := self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=600
        ).get("Messages"):
            found += got
        return found

    def ids(self):
        return [json.loads(message["Body"])["job_id"] for message in self.messages()]


@pytest.fixture
def queue(local_aws):
    return Queue()


@pytest.fixture
async def aws(local_aws):
    async with Aws() as aws:
        yield aws


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def invite(database, database_url, watch):
    settings = read(environment(database_url, DAILY_LIMIT="1000"))
    inviting = Inviting(database, Privacy(settings.keys), settings.limits)

    async def invite(number):
        order = Order(inviter="u1", inviter_name="John", phone=Phone(phone(number), "US"), trace_parent=TRACE)
        answer = await inviting.invite(order, now=watch())
        assert isinstance(answer, Invited)
        return answer.invitation_id

    return invite


async def test_each_invitation_comes_to_the_queue_once_with_its_trace(database, invite, aws, queue, watch):
    """I14, I26."""
    ids = [await invite(number) for number in range(25)]
    relay = Relay(database, aws, queue.url, clock=watch)
    assert [await relay.turn(), await relay.turn()] == [25, 0]
    messages = queue.messages()
    assert sorted(json.loads(message["Body"])["job_id"] for message in messages) == sorted(ids)
    assert {message["MessageAttributes"]["traceparent"]["StringValue"] for message in messages} == {TRACE}
    assert {row["status"] for row in await database.once("SELECT status FROM invitations")} == {"QUEUED"}


async def test_two_relays_send_nothing_twice(database, database_url, invite, aws, queue, watch):
    """I14."""
    ids = [await invite(number) for number in range(200)]
    other = await open_database(database_url, Pooling())
    relays = [Relay(each, aws, queue.url, clock=watch) for each in (database, other)]
    try:
        while sum(await asyncio.gather(*(relay.turn() for relay in relays))):
            pass
    finally:
        await other.close()
    assert Counter(queue.ids()) == Counter(ids)


async def test_what_a_dead_relay_took_is_sent_by_another(database, invite, aws, queue, watch):
    """I14."""
    invitation_id = await invite(1)
    await Relay(database, aws, queue.url, clock=watch)._take()
    relay = Relay(database, aws, queue.url, clock=watch)
    assert await relay.turn() == 0
    watch.move(seconds=61)
    assert await relay.turn() == 1
    assert queue.ids() == [invitation_id]
    assert relay.lag_s == 61


async def test_what_is_made_at_night_leaves_in_the_morning_and_holds_up_nobody(
    database, database_url, aws, queue, watch
):
    """21 item 8."""
    settings = read(environment(database_url, DAILY_LIMIT="1000", QUIET_HOURS="21:00-08:00"))
    inviting = Inviting(database, Privacy(settings.keys), settings.limits, settings.quiet_hours)
    night, day = "+12125550123", "+447400123456"  # 3:00 in New York, 8:00 in London
    watch.now = round(datetime(2026, 11, 30, 8, 0, tzinfo=UTC).timestamp() * 1000)

    async def invite(user, number, key=""):
        order = Order(inviter=user, inviter_name="Ana", phone=Phone(number, "US"), trace_parent=TRACE, key=key)
        answer = await inviting.invite(order, now=watch())
        assert isinstance(answer, Invited)
        return answer.invitation_id

    waits = await invite("ana", night, "a key")
    watch.move(hours=1)
    assert await invite("ana", night, "a key") == waits
    leaves = await invite("bob", day)
    relay = Relay(database, aws, queue.url, clock=watch)
    assert [await relay.turn(), relay.lag_s, await relay.turn(), queue.ids()] == [1, 0, 0, [leaves]]
    watch.move(hours=4, seconds=7)
    assert [await relay.turn(), relay.lag_s, queue.ids()] == [1, 7, [waits]]


class SlowAws(Aws):
    """Sends when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def call(self, function, **arguments):
        self.asked.set()
        await self.let.wait()
        return await super().call(function, **arguments)


async def test_a_relay_that_is_stopped_ends_its_turn(database, invite, local_aws, queue, watch):
    """I14: else what it had taken would wait until that is over."""
    invitation_id = await invite(1)
    async with SlowAws() as aws:
        running = asyncio.create_task(Relay(database, aws, queue.url, clock=watch).run())
        await aws.asked.wait()
        running.cancel()
        await asyncio.sleep(0)
        aws.let.set()
        await asyncio.wait({running})
    assert running.cancelled()
    assert queue.ids() == [invitation_id]
    assert [row["sent_at"] for row in await database.once("SELECT sent_at FROM outbox")] == [watch.now]


async def test_what_the_queue_did_not_take_waits(database, invite, aws, queue, watch):
    """I14."""
    await invite(1)
    with pytest.raises(aws.sqs.exceptions.QueueDoesNotExist):
        await Relay(database, aws, f"{queue.url}-gone", clock=watch).turn()
    assert await Relay(database, aws, queue.url, clock=watch).turn() == 1


async def test_an_invitation_that_has_come_further_stays_there(database, invite, aws, queue, watch):
    """I14."""
    invitation_id = await invite(1)
    await database.once("UPDATE invitations SET status = 'SENT' WHERE invitation_id = $1", invitation_id)
    await Relay(database, aws, queue.url, clock=watch).turn()
    assert [row["status"] for row in await database.once("SELECT status FROM invitations")] == ["SENT"]


async def test_a_database_that_was_gone_has_lost_nothing_and_its_outbox_drains_once(local_aws, queue):
    """I24."""
    with Postgres() as postgres:
        await migrate(postgres.url())
        variables = environment(postgres.url(), ROLES="api,relay", QUEUE_URL=queue.url, DEAD_LETTER_QUEUE_URL="none")
        async with serving(variables) as service:
            answers: list[httpx.Response] = []
            numbers = iter(range(10**6))

            async def invite_all_the_time(worker):
                while not ended:
                    answers.append(await service.invite(f"u{worker}-{next(numbers) // 9}", phone(next(numbers))))

            async def answered(status):
                before = len(answers)
                await until(
                    lambda: any(answer.status_code == status for answer in answers[before:]), f"a {status}", seconds=20
                )

            ended = False
            async with asyncio.TaskGroup() as tasks:
                for worker in range(4):
                    tasks.create_task(invite_all_the_time(worker))
                try:
                    await answered(201)
                    await asyncio.to_thread(postgres.crash)
                    await answered(503)
                    assert (await service.client.get("/readyz")).status_code == 503
                    assert (await service.client.get("/healthz")).status_code == 200
                    await asyncio.to_thread(postgres.start)
                    await answered(201)
                finally:
                    ended = True
            database = await open_database(postgres.url(), Pooling())
            await until(lambda: drained(database), "the outbox is drained", seconds=30)
            rows = await database.once("SELECT invitation_id, invite_code FROM invitations")
            await database.close()
    assert {answer.status_code for answer in answers} == {201, 503}
    for answer in answers:
        if answer.status_code == 503:
            problem(answer, 503, "UNAVAILABLE")
            assert int(answer.headers["Retry-After"]) > 0
    promised = {answer.json()["inviteCode"] for answer in answers if answer.status_code == 201}
    assert promised <= {row["invite_code"] for row in rows}
    assert Counter(queue.ids()) == Counter(row["invitation_id"] for row in rows)


async def drained(database):
    return not await database.once("SELECT 1 FROM outbox WHERE sent_at IS NULL")
