"""The PostgreSQL that tests start."""

from pathlib import Path

import asyncpg
import pytest

from hack.node.postgres import Postgres
from hack.node.process import Identity


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
        assert not server.directory.exists()


async def test_two_do_not_know_of_each_other_and_neither_is_root():
    with Postgres() as first, Postgres() as second:
        first.create("shop")
        assert not any("\nUid:\t0\t" in status(server) for server in (first, second))
        assert await ask(first.url("shop"), "SELECT 1") == [(1,)]
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await ask(second.url("shop"), "SELECT 1")
