"""The database port on SQLite, for development: one connection, one transaction at a time."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

import aiosqlite

from workloads.invitations.database import ConstraintError, DatabaseGoneError, Dialect, Rows


class _Transaction:
    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def fetch(self, sql: str, *args: object) -> list[Mapping[str, Any]]:
        rows = await self._connection.execute_fetchall(sql, _named(args))
        return cast("list[Mapping[str, Any]]", list(rows))

    async def execute(self, sql: str, *args: object) -> int:
        async with self._connection.execute(sql, _named(args)) as cursor:
            return cursor.rowcount


def _named(args: tuple[object, ...]) -> dict[str, object]:
    """SQLite takes `$1` for a parameter of the name 1."""
    return {str(place): value for place, value in enumerate(args, start=1)}


class Sqlite:
    dialect = Dialect.SQLITE

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._one = asyncio.Lock()
        self.answered = 0

    @classmethod
    async def connect(cls, file: Path) -> "Sqlite":
        # Transactions are begun by hand: Python would begin one at the first write only, and not IMMEDIATE.
        connection = await aiosqlite.connect(file, isolation_level=None, timeout=5)
        connection.row_factory = sqlite3.Row
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("PRAGMA synchronous = NORMAL")
        return cls(connection)

    async def once(self, sql: str, *args: object) -> list[Mapping[str, Any]]:
        async with self.transaction() as rows:
            return await rows.fetch(sql, *args)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Rows]:
        try:
            async with self._one:
                await self._connection.execute("BEGIN IMMEDIATE")  # another process may be writing
                try:
                    yield _Transaction(self._connection)
                except BaseException:
                    await self._connection.rollback()
                    raise
                await self._connection.commit()
                self.answered += 1
        except sqlite3.IntegrityError as problem:
            raise ConstraintError(str(problem)) from problem
        except sqlite3.OperationalError as problem:
            raise DatabaseGoneError(str(problem)) from problem

    async def close(self) -> None:
        await self._connection.close()
