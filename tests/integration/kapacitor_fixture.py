"""A real Kapacitor for the tests, one a session: with the shipped tasks, and an InfluxDB that they ask."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.boards import kapacitor as boards
from hack.node.kapacitor import Kapacitor
from tests.integration.influx_server import Server

CHECKOUT = Path(__file__).parents[2]
EVERY = {"var every = 1m": "var every = 1s"}
"""Of which a test waits some; nothing else of a task changes but where it asks."""


@pytest.fixture(scope="session")
def kapacitor(running: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kapacitor]:
    directory = tmp_path_factory.mktemp("kapacitor")
    tasks = directory / "load" / "tasks"
    shutil.copytree(CHECKOUT / boards.FOLDER, tasks)
    where = {
        "var bucket = 'metrics'": f"var bucket = '{running.influx.bucket}'",
        "var org = 'example'": f"var org = '{running.influx.org}'",
    }
    for script in tasks.iterdir():
        text = script.read_text()
        for written, wanted in (EVERY | where).items():
            assert text.count(written) == 1
            text = text.replace(written, wanted)
        script.write_text(text)
    with Kapacitor(directory, influx=running.influx, load=tasks.parent) as started:
        yield started
