"""Repositories over HTTPS, with their own certificate. A module adds its fixture `origin`, below `tmp_path/git`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.git_server import Certificate, Origin, Served, served


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return Certificate.make(tmp_path)


@pytest.fixture
def server(origin: Origin, certificate: Certificate, tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "git", certificate=certificate) as server:
        yield server
