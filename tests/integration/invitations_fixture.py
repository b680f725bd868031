"""An empty invitation database for a test: of PostgreSQL, of SQLite, or of each in turn."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hack.node.postgres import Postgres
from tests.integration.postgres_fixture import postgres
from tests.invitation_service import PATIENT, Service, environment, serving
from workloads.invitations.database import Session
from workloads.invitations.migrating import migrate
from workloads.invitations.opening import open_database
from workloads.invitations.postgres import Pooling

__all__ = ["postgres"]

_names = iter(range(10**6))


_TEMPLATE = "invitations"


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres) -> Postgres:
    """Holds an empty database of the newest schema, which is copied in a moment."""
    asyncio.run(migrate(postgres.create(_TEMPLATE)))
    return postgres


@pytest.fixture
def postgres_url(migrated_postgres: Postgres) -> str:
    return migrated_postgres.create(f"{_TEMPLATE}{next(_names)}", template=_TEMPLATE)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("sqlite") / "invitations.sqlite"
    asyncio.run(migrate(f"sqlite:///{file}"))
    return file


@pytest.fixture
def sqlite_url(tmp_path: Path, migrated_file: Path) -> str:
    file = shutil.copy(migrated_file, tmp_path / "invitations.sqlite")
    return f"sqlite:///{file}"


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
    async with serving(environment(database_url, **PATIENT)) as service:
        yield service
