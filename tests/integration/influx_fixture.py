"""Fixtures for the tests that ask a real InfluxDB; it is started once a session."""

from collections.abc import AsyncIterator, Iterator

import pytest

from controller.providers.rendering import Renderer
from hack.node.influx import InfluxDB
from tests.integration.influx_server import Server


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with InfluxDB(tmp_path_factory.mktemp("influx")) as influx:
        yield Server(influx)


_measurements = iter(range(10**6))


@pytest.fixture
def measurement() -> str:
    """A name of its own for each test, so that one server is enough."""
    return f"m{next(_measurements)}"


@pytest.fixture
async def renderer() -> AsyncIterator[Renderer]:
    renderer = Renderer()
    yield renderer
    await renderer.close()
