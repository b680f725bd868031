"""The database port on PostgreSQL, by asyncpg: a pool, prepared statements, and time-outs everywhere."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import asyncpg

from workloads.invitations.database import BusyError, ConstraintError, DatabaseGoneError, Dialect, LockedError, Rows

_GONE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.exceptions.OperatorInterventionError,  # it is being shut down, or a statement took too long
    asyncpg.exceptions.InsufficientResourcesError,  # too many connections, no memory, no room on its disk
    asyncpg.exceptions.ReadOnlySQLTransactionError,  # a standby that is to take over
    asyncpg.exceptions.UndefinedTableError,  # it is not migrated yet
    asyncpg.exceptions.TransactionRollbackError,  # the other of two that waited for each other goes on
)


@dataclass(frozen=True, slots=True)
class Pooling:
    """Seconds, but for `connections`: of this process."""

    connections: int = 10
    acquire: float = 2.0
    lock: float = 2.0
    connect: float = 3.0
    statement: float = 5.0


async def _as_it_is(connection: Any) -> None:
    """Nothing of a session is changed here, and an open transaction asyncpg rolls back by itself.

    Its default would be a second round trip with each statement, to put back what nobody has touched.
    """


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except asyncpg.exceptions.IntegrityConstraintViolationError as problem:
        raise ConstraintError(str(problem)) from problem
    except asyncpg.exceptions.LockNotAvailableError as problem:
        raise LockedError(str(problem)) from problem
    except _GONE as problem:
        if (task := asyncio.current_task()) and task.cancelling():  # rolling back on a lost connection hides it
            raise asyncio.CancelledError from problem
        raise DatabaseGoneError(f"{type(problem).__name__}: {problem}") from problem


class _Transaction:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, sql: str, *args: object) -> list[Mapping[str, Any]]:
        return cast("list[Mapping[str, Any]]", await self._connection.fetch(sql, *args))

    async def execute(self, sql: str, *args: object) -> int:
        said = await self._connection.execute(sql, *args)  # "INSERT 0 1", "UPDATE 3"
        return int(said.rsplit(" ", 1)[1])


class Postgres:
    dialect = Dialect.POSTGRESQL

    def __init__(self, pool: Any, pooling: Pooling) -> None:
        self._pool = pool
        self._pooling = pooling
        self.answered = 0

    @classmethod
    async def connect(cls, url: str, pooling: Pooling) -> "Postgres":
        """Returns whether or not the server can be reached: it may come later."""
        pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=pooling.connections,
            timeout=pooling.connect,
            command_timeout=pooling.statement,
            reset=_as_it_is,
            server_settings={
                "application_name": "invitations",
                "idle_in_transaction_session_timeout": str(round(pooling.statement * 2000)),
                "lock_timeout": str(round(pooling.lock * 1000)),
                "statement_timeout": str(round(pooling.statement * 1000)),
            },
        )
        await pool
        return cls(pool, pooling)

    async def once(self, sql: str, *args: object) -> list[Mapping[str, Any]]:
        with _translated():
            async with self._acquired() as connection:
                rows = cast("list[Mapping[str, Any]]", await connection.fetch(sql, *args))
        self.answered += 1
        return rows

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Rows]:
        with _translated():
            async with self._acquired() as connection, connection.transaction():
                yield _Transaction(connection)
        self.answered += 1

    @contextlib.asynccontextmanager
    async def _acquired(self) -> AsyncIterator[Any]:
        """Raises BusyError, and what asyncpg raises."""
        wait = self._pooling.acquire
        try:
            connection = await self._pool.acquire(timeout=wait)
        except TimeoutError as problem:
            if self._pool.get_size() < self._pooling.connections:
                raise  # it was one that could not be made
            raise BusyError(f"{self._pooling.connections} connections were in use for {wait:g} s") from problem
        try:
            yield connection
        finally:
            await self._pool.release(connection)

    async def close(self) -> None:
        """Waits for transactions under way, but not for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pooling.statement):
                await self._pool.close()
                return
        self._pool.terminate()
