"""An empty invitation database for a test: of PostgreSQL, of SQLite, or of each in turn."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hack.node.postgres import Postgres
from tests.integration.postgres_fixture import postgres
from tests.invitation_service import Service, environment, serving
from workloads.invitations.database import Session
from workloads.invitations.migrating import migrate
from workloads.invitations.opening import open_database
from workloads.invitations.postgres import Pooling

__all__ = ["postgres"]

_names = iter(range(10**6))


@pytest.fixture
async def postgres_url(postgres: Postgres) -> str:
    url = postgres.create(f"invitations{next(_names)}")
    await migrate(url)
    return url


@pytest.fixture
async def sqlite_url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'invitations.sqlite'}"
    await migrate(url)
    return url


@pytest.fixture(params=["postgresql", "sqlite"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Every rule holds on both."""
    url: str = request.getfixturevalue("postgres_url" if request.param == "postgresql" else "sqlite_url")
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Session]:
    session = await open_database(database_url, Pooling())
    yield session
    await session.close()


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    async with serving(environment(database_url)) as service:
        yield service
