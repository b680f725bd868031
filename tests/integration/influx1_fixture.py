"""A real InfluxDB 1 for the tests that ask one; it is started once a session."""

from collections.abc import Iterator

import pytest

from hack.node.influx1 import InfluxDB1


@pytest.fixture(scope="session")
def influx1(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxDB1]:
    with InfluxDB1(tmp_path_factory.mktemp("influx1")) as running:
        yield running
