"""PostgreSQL of this machine, started once a session, and fresh databases for a test."""

from collections.abc import Iterator

import pytest

from hack.node.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server
