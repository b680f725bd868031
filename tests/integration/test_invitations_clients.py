"""Each client of a version is counted once, whichever pods served it, and whichever pod still lives to tell."""

import asyncio

import pytest

from tests.e2e.patience import until
from tests.invitation_service import Watch, environment, serving, signed_in
from tests.telemetry_receivers import receiving
from workloads.common.http_metrics import Identity
from workloads.common.line_protocol import Point
from workloads.invitations.clients import Clients
from workloads.invitations.database import DatabaseGoneError
from workloads.invitations.purging import Purging
from workloads.invitations.settings import Limits

pytest_plugins = ["tests.integration.aws_fixture", "tests.integration.invitations_fixture"]

STABLE, CANARY = "aaaaaaaaaa", "bbbbbbbbbb"
SECONDS = 30


class Pods:
    """Of several versions, on one database and one clock."""

    def __init__(self, database):
        self.database = database
        self.watch = Watch()
        self._flushes = 0

    def start(self, revision, pod):
        identity = Identity("invitations", revision, pod)
        return Clients(identity, b"k" * 32, seconds=SECONDS, clock=self.watch)

    async def tell(self, *pods) -> list[Point]:
        points = []
        for pod in pods:
            await pod.turn(self.database)
            self._flushes += 1
            points += pod.take(time_ns=self._flushes)
        return points


def header(user):
    return signed_in(user)["Authorization"].encode()


def counts(points):
    """Total and bad by revision."""
    found: dict[str, tuple[int, int]] = {}
    for point in points:
        total, bad = found.get(point.tags["revision"], (0, 0))
        found[point.tags["revision"]] = (total + point.fields["total"], bad + point.fields["bad"])
    return found


@pytest.fixture
def pods(database):
    return Pods(database)


async def test_a_client_counts_once_for_a_version_however_often_it_fails_and_wherever(pods):
    one, two = pods.start(CANARY, "canary-1"), pods.start(CANARY, "canary-2")
    for pod in (one, two):
        for code in (200, 500, 500, 503):
            pod.answered(header("ana"), code)
        pod.answered(header("bea"), 200)
    two.answered(header("cem"), 200)
    assert await pods.tell(one, two) == []
    pods.watch.move(seconds=SECONDS)
    assert counts(await pods.tell(one, two)) == {CANARY: (3, 1)}
    one.answered(header("ana"), 500)
    two.answered(header("bea"), 500)
    pods.watch.move(seconds=SECONDS)
    assert await pods.tell(one, two) == [], "each has been told of"


async def test_a_client_of_two_versions_counts_for_each(pods):
    stable, canary = pods.start(STABLE, "stable-1"), pods.start(CANARY, "canary-1")
    stable.answered(header("ana"), 200)
    canary.answered(header("ana"), 500)
    await pods.tell(stable, canary)
    pods.watch.move(seconds=SECONDS)
    assert counts(await pods.tell(stable, canary)) == {STABLE: (1, 0), CANARY: (1, 1)}


async def test_what_fails_within_the_time_counts_and_what_fails_later_does_not(pods):
    canary = pods.start(CANARY, "canary-1")
    canary.answered(header("ana"), 200)
    canary.answered(header("bea"), 200)
    await pods.tell(canary)
    pods.watch.move(seconds=SECONDS - 1)
    canary.answered(header("ana"), 500)
    pods.watch.move(seconds=2)
    canary.answered(header("bea"), 500)
    assert counts(await pods.tell(canary)) == {CANARY: (2, 1)}


async def test_clients_of_a_pod_that_died_are_told_of_by_another_version(pods):
    dying, stable = pods.start(CANARY, "canary-1"), pods.start(STABLE, "stable-1")
    dying.answered(header("ana"), 503)
    await pods.tell(dying)
    began = pods.watch()
    pods.watch.move(seconds=SECONDS)
    (point,) = await pods.tell(stable)
    assert counts([point]) == {CANARY: (1, 1)}
    assert point.tags["pod"] == "stable-1"
    assert point.time_ns // 10**9 == began // 1000, "at the second of the first request"


async def test_two_that_tell_at_once_tell_of_each_client_once(pods):
    some = [pods.start(CANARY, f"canary-{number}") for number in range(4)]
    for number in range(1200):
        some[number % 4].answered(header(f"user-{number}"), 500 if number % 3 == 0 else 200)
    await pods.tell(*some)
    pods.watch.move(seconds=SECONDS)
    await asyncio.gather(*(pod.turn(pods.database) for pod in some))
    points = [point for place, pod in enumerate(some) for point in pod.take(time_ns=place)]
    assert counts(points) == {CANARY: (1200, 400)}


async def test_while_the_database_is_away_nothing_is_lost_and_the_failure_is_kept(pods, monkeypatch):
    canary = pods.start(CANARY, "canary-1")
    transaction = type(pods.database).transaction

    def gone(_):
        raise DatabaseGoneError("away")

    monkeypatch.setattr(type(pods.database), "transaction", gone)
    canary.answered(header("ana"), 200)
    assert await pods.tell(canary) == []
    pods.watch.move(seconds=5)
    canary.answered(header("ana"), 503)
    canary.answered(header("bea"), 200)
    assert await pods.tell(canary) == []
    monkeypatch.setattr(type(pods.database), "transaction", transaction)
    await pods.tell(canary)
    pods.watch.move(seconds=SECONDS)
    assert counts(await pods.tell(canary)) == {CANARY: (2, 1)}


async def test_what_was_noted_last_is_written_at_the_end(pods):
    canary = pods.start(CANARY, "canary-1")
    task = asyncio.create_task(canary.run(pods.database))
    await asyncio.sleep(0)
    canary.answered(header("ana"), 503)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [row["revision"] for row in await pods.database.once("SELECT revision FROM clients")] == [CANARY]


async def test_old_clients_are_cleared_away(pods):
    canary = pods.start(CANARY, "canary-1")
    canary.answered(header("ana"), 200)
    await pods.tell(canary)
    purging = Purging(pods.database, Limits(), clock=pods.watch)
    assert (await purging.clear())["clients"] == 0
    pods.watch.move(days=31)
    assert (await purging.clear())["clients"] == 1


async def test_a_service_tells_of_its_clients_where_it_is_asked_to(sqlite_url):
    async with receiving() as receiver:
        settings = {"TELEMETRY_URL": receiver.url, "REVISION": CANARY, "CLIENT_SECONDS": "30"}
        async with serving(environment(sqlite_url, **settings)) as service:
            await service.invite("ana", "+15551234567")
            await service.invite("ana", "+15551234568")
            await service.invite("bea", "+1")
            await service.client.get("/")

            def told() -> bool:
                service.watch.move(seconds=31)
                return receiver.total("client.outcome", "total") == 2

            await until(told, "both are told of")
        assert receiver.total("client.outcome", "bad") == 0
    assert not [secret for secret in ("1234567", "ana") if secret in receiver.text]
