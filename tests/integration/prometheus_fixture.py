"""A real Prometheus for the tests that ask one; it is started once a session."""

from collections.abc import Iterator

import pytest

from hack.node.prometheus import Prometheus


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with Prometheus(tmp_path_factory.mktemp("prometheus")) as running:
        yield running
