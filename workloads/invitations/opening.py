"""Opens the database that a URL names."""

from pathlib import Path
from urllib.parse import urlsplit

from workloads.invitations.database import Dialect, Session
from workloads.invitations.postgres import Pooling, Postgres
from workloads.invitations.sqlite import Sqlite


class DatabaseUrlError(ValueError):
    """Says what a URL may look like; it does not repeat the URL, which may hold a password."""


def dialect(url: str) -> Dialect:
    """Raises DatabaseUrlError."""
    match urlsplit(url).scheme:
        case "postgresql" | "postgres":
            return Dialect.POSTGRESQL
        case "sqlite":
            return Dialect.SQLITE
        case other:
            raise DatabaseUrlError(
                f"{other!r} names no database: give postgresql://user:password@host/name or sqlite:///path/of/the/file"
            )


def file_of(url: str) -> Path:
    """`sqlite:///relative`, `sqlite:////absolute`."""
    return Path(url.removeprefix("sqlite:///"))


async def open_database(url: str, pooling: Pooling) -> Session:
    """Raises DatabaseUrlError. Whether PostgreSQL can be reached is seen at the first transaction."""
    if dialect(url) is Dialect.SQLITE:
        return await Sqlite.connect(file_of(url))
    return await Postgres.connect(url, pooling)
