"""Brings a database to the newest schema, and never back.

Stable and canary share one schema, so each migration may only add what the version before does not miss (expand);
what no version reads any more goes in a later release (contract). Run before the rollout, by a Job of its own.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from workloads.invitations.database import Dialect
from workloads.invitations.opening import dialect, file_of

_LOCK = 7_046_029_254_386_353_131  # any number that nobody else takes in this database


async def migrate(url: str) -> None:
    """Two at once go one after the other. Raises DatabaseUrlError, and what SQLAlchemy raises."""
    engine = create_async_engine(_with_driver(url))
    try:
        async with engine.begin() as connection:
            if dialect(url) is Dialect.POSTGRESQL:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def _with_driver(url: str) -> str:
    if dialect(url) is Dialect.SQLITE:
        return f"sqlite+aiosqlite:///{file_of(url)}"
    return f"postgresql+asyncpg://{url.split('://', 1)[1]}"


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
