"""The PostgreSQL that tests start, and the cluster."""

import shutil
import tempfile
from pathlib import Path

import asyncpg
import pytest

from hack.node import leftovers
from hack.node.postgres import Listening, Postgres
from hack.node.process import Identity, free_port, gone


async def ask(url: str, sql: str) -> list:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


def running(server: Postgres) -> Identity:
    identity = server.identity
    assert identity is not None
    return identity


def status(server: Postgres) -> str:
    return Path(f"/proc/{running(server).pid}/status").read_text()


async def test_what_was_committed_outlives_a_crash_and_a_stop():
    with Postgres() as server:
        url = server.create("shop")
        await ask(url, "CREATE TABLE t AS SELECT 1 AS n")
        for end in (server.crash, server.stop):
            end()
            assert server.identity is None
            server.start()
            assert await ask(url, "SELECT n FROM t") == [(1,)]
        assert await ask(server.create("copy", template="shop"), "SELECT n FROM t") == [(1,)]


def test_nothing_is_left_of_it_whether_it_runs_or_not():
    for crashed in (False, True):
        with Postgres() as server:
            process = running(server)
            if crashed:
                server.crash()
        assert not process.alive()
        assert not server.folder.exists()


async def test_two_do_not_know_of_each_other_and_neither_is_root():
    with Postgres() as first, Postgres() as second:
        first.create("shop")
        assert not any("\nUid:\t0\t" in status(server) for server in (first, second))
        assert await ask(first.url("shop"), "SELECT 1") == [(1,)]
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await ask(second.url("shop"), "SELECT 1")


async def test_who_comes_from_elsewhere_needs_a_password():
    listening = Listening("127.0.0.1", free_port(), clients="127.0.0.0/8")
    with Postgres(listening=listening) as server:
        await ask(server.url(), "CREATE ROLE visitor LOGIN PASSWORD 'known'")
        where = f"127.0.0.1:{listening.port}/postgres"
        assert await ask(f"postgresql://visitor:known@{where}", "SELECT 1") == [(1,)]
        for nobody in ("visitor:guessed", "postgres:known"):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await ask(f"postgresql://{nobody}@{where}", "SELECT 1")


async def test_only_those_it_listens_for_are_let_in():
    listening = Listening("127.0.0.1", free_port(), clients="10.244.0.0/16")
    with Postgres(listening=listening) as server:
        await ask(server.url(), "CREATE ROLE visitor LOGIN PASSWORD 'known'")
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="no pg_hba"):
            await ask(f"postgresql://visitor:known@127.0.0.1:{listening.port}/postgres", "SELECT 1")


async def test_one_whose_making_was_interrupted_is_made_anew(short_path, tmp_path):
    (short_path / "data.new").mkdir(parents=True)
    (short_path / "data.new" / "PG_VERSION").write_text("half")
    with Postgres(short_path, log_in=tmp_path) as server:
        assert await ask(server.url(), "SELECT 1") == [(1,)]
        assert (tmp_path / "log" / "postgres.log").exists()
    assert not short_path.exists()


def test_one_whose_record_was_lost_is_found_by_where_it_runs(short_path, tmp_path):
    with Postgres(short_path, log_in=tmp_path) as server:
        process = running(server)
        (tmp_path / "run" / "postgres.process").unlink()
        leftovers.end_processes(short_path)
        assert gone(process, seconds=0)


@pytest.fixture
def short_path():
    """A folder that is not there yet, where the user of PostgreSQL may look."""
    outer = Path(tempfile.mkdtemp(prefix="pointsman-test-"))
    outer.chmod(0o755)
    yield outer / "postgres"
    shutil.rmtree(outer)
