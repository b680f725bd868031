"""The port to a database: PostgreSQL in production, SQLite for development, one SQL for both.

Placeholders are `$1`, `$2`; times are whole milliseconds since 1970, ids are text, booleans 0 and 1. What differs
between the two, such as SKIP LOCKED, asks for the `dialect`.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Any, Protocol


class DatabaseGoneError(Exception):
    """It cannot be reached, or is too busy to answer in time. Nothing is known of a commit that was under way."""


class BusyError(DatabaseGoneError):
    """All connections are in use, and none became free in time. The database may be well."""


class LockedError(DatabaseGoneError):
    """Another transaction holds a row for longer than is waited."""


class ConstraintError(Exception):
    """The schema refuses what a statement would write; nothing of the statement was done."""


class Dialect(Enum):
    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"


class Rows(Protocol):
    """One transaction. Every call may raise DatabaseGoneError."""

    async def fetch(self, sql: str, *args: object) -> list[Mapping[str, Any]]: ...

    async def execute(self, sql: str, *args: object) -> int:
        """How many rows it changed."""
        ...


class Database(Protocol):
    @property
    def dialect(self) -> Dialect: ...

    @property
    def answered(self) -> int:
        """How many transactions have ended well so far: a sign of life, whoever began them."""
        ...

    async def once(self, sql: str, *args: object) -> list[Mapping[str, Any]]:
        """One statement that is a transaction of its own; cheaper. Raises DatabaseGoneError, ConstraintError."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Rows]:
        """Committed at the end of the block, rolled back when it raises.

        READ COMMITTED in PostgreSQL; in SQLite one transaction at a time, so that no two ever wait for each other.
        Raises DatabaseGoneError, ConstraintError.
        """
        ...


class Session(Database, Protocol):
    """A database that is open."""

    async def close(self) -> None: ...
