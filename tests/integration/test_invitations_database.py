"""The database port, on a real PostgreSQL and on SQLite."""

import asyncio
import contextlib
import itertools
import sys

import httpx
import pytest

from hack.node.postgres import Postgres
from tests.e2e.patience import until
from tests.invitation_service import environment
from workloads.invitations import schema
from workloads.invitations.app import create
from workloads.invitations.database import BusyError, DatabaseGoneError, Session
from workloads.invitations.migrating import migrate
from workloads.invitations.opening import open_database
from workloads.invitations.postgres import Pooling
from workloads.invitations.readiness import Readiness
from workloads.invitations.settings import read

pytest_plugins = ["tests.integration.invitations_fixture"]


async def used(database: Session) -> list[int]:
    async with database.transaction() as rows:
        return [row["used"] for row in await rows.fetch("SELECT used FROM quotas ORDER BY used")]


async def test_what_a_block_wrote_is_there_after_it(database):
    async with database.transaction() as rows:
        assert await rows.execute("INSERT INTO quotas VALUES ($1, $2, $3), ($1, $4, $3)", "u", 1, 7, 2) == 2
        assert await rows.execute("UPDATE quotas SET used = $2 WHERE day = $1", 1, 5) == 1
    assert await used(database) == [5, 7]


async def test_a_block_that_raises_leaves_nothing(database):
    async def fail():
        async with database.transaction() as rows:
            await rows.execute("INSERT INTO quotas VALUES ($1, $2, $3)", "u", 1, 7)
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert await used(database) == []


@contextlib.asynccontextmanager
async def crowd(database):
    """Twenty who want a connection for a fifth of a second each, again and again."""

    async def want():
        while True:
            try:
                await database.once("SELECT pg_sleep(0.2)")
            except BusyError:
                await asyncio.sleep(0)

    wanting = [asyncio.create_task(want()) for _ in range(20)]
    yield
    for task in wanting:
        task.cancel()
    await asyncio.gather(*wanting, return_exceptions=True)


async def test_a_full_pool_is_no_reason_to_take_a_pod_from_the_gateway(postgres_url):
    """I24: its part would come upon the other pods, which are as full, until none is left."""
    database = await open_database(postgres_url, Pooling(connections=2, acquire=0.5))
    readiness = Readiness(database, clock=itertools.count().__next__)  # each time is a second later
    assert await readiness.trouble() == ""
    async with crowd(database):
        others = await asyncio.gather(*(database.once("SELECT 1") for _ in range(20)), return_exceptions=True)
        assert [await readiness.trouble() for _ in range(10)] == [""] * 10
    assert "BusyError('2 connections were in use for 0.5 s')" in map(repr, others)
    await database.close()


async def test_a_full_pool_in_front_of_a_silent_database_is_not_ready(postgres_url):
    """I24: somebody is waiting for an answer on each connection, and nobody gets one."""
    database = await open_database(postgres_url, Pooling(connections=2, acquire=0.5, statement=2.0))
    readiness = Readiness(database, clock=itertools.count().__next__)
    assert await readiness.trouble() == ""
    silent = [asyncio.create_task(database.once("SELECT pg_sleep(20)")) for _ in range(2)]
    await asyncio.sleep(0)
    assert "2 connections were in use" in await readiness.trouble()
    assert all(isinstance(one, DatabaseGoneError) for one in await asyncio.gather(*silent, return_exceptions=True))
    await database.close()


async def test_who_is_cancelled_while_the_database_goes_away_is_cancelled():
    """I24: a relay that took it for an outage would never end."""
    with Postgres() as server:
        database = await open_database(server.url(), Pooling())
        begun = asyncio.Event()

        async def wait():
            async with database.transaction() as rows:
                await rows.fetch("SELECT 1")
                begun.set()
                await asyncio.Event().wait()

        waiting = asyncio.create_task(wait())
        await begun.wait()
        await asyncio.to_thread(server.crash)
        waiting.cancel()
        await asyncio.wait({waiting})
        await database.close()
    assert waiting.cancelled()


async def test_migrating_again_changes_nothing(database_url, database):
    """I23."""
    async with database.transaction() as rows:
        await rows.execute("INSERT INTO quotas VALUES ($1, $2, $3)", "u", 1, 7)
    await migrate(database_url)
    assert await used(database) == [7]


async def test_of_two_migrations_at_once_one_waits_for_the_other(postgres):
    """I23."""
    url = postgres.create("migrated_twice")
    program = f"import asyncio; from workloads.invitations.migrating import migrate; asyncio.run(migrate({url!r}))"
    both = [await asyncio.create_subprocess_exec(sys.executable, "-c", program) for _ in range(2)]
    assert [await each.wait() for each in both] == [0, 0]


async def test_it_is_ready_when_its_database_answers(database_url):
    app = create(read(environment(database_url)))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        assert (await client.get("/readyz")).status_code == httpx.codes.OK


async def test_it_is_not_ready_before_its_database_is_migrated(postgres, tmp_path):
    """I23."""
    for url in (postgres.create("never_migrated"), f"sqlite:///{tmp_path / 'never_migrated.sqlite'}"):
        app = create(read(environment(url)))
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
        ):
            assert "alembic_version" in (await client.get("/readyz")).text
            await migrate(url)

            async def is_ready(client=client):
                return (await client.get("/readyz")).status_code == httpx.codes.OK

            await until(is_ready, "the answer of a second ago is over", seconds=30)


async def test_a_schema_that_is_older_than_the_version_is_not_enough_and_a_newer_one_is(database):
    """I23."""
    for revision, enough in (("0000", False), (schema.NEEDED, True), ("9999", True)):
        await database.once("UPDATE alembic_version SET version_num = $1", revision)
        assert await schema.is_there(database) is enough


async def test_it_is_alive_but_not_ready_without_a_database(tmp_path):
    """I24."""
    app = create(read(environment(f"postgresql://nobody@/none?host={tmp_path}")))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        assert (await client.get("/healthz")).status_code == httpx.codes.OK
        answer = await client.get("/readyz")
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert "the database does not answer" in answer.text
