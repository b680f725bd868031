"""A live view reads what changed of a run, and no more."""

import pytest

from controller.analysis import runs
from controller.analysis.record import PAGE
from controller.kube.objects import Key

KEY = Key("shop", "web")


class Cluster:
    """Pages by name, and what was read of them."""

    def __init__(self):
        self.pages, self.read = {}, []

    def write(self, name, looks):
        version = str(
            int(self.pages.get(name, {"metadata": {"resourceVersion": 0}})["metadata"]["resourceVersion"]) + 1
        )
        metadata = {"name": name, "resourceVersion": version}
        self.pages[name] = {"metadata": metadata, "status": {"looks": list(range(looks))}}

    async def find(self, resource, namespace, name):
        del resource, namespace
        self.read.append(name)
        return self.pages.get(name)

    def reads(self):
        read, self.read = self.read, []
        return read


def reader_of(cluster):
    return runs.RunReader(cluster)


@pytest.fixture
def judged(monkeypatch):
    judged = []

    def from_pages(key, name, pages):
        judged.append(sum(len(page["status"]["looks"]) for page in pages))
        return judged[-1]

    monkeypatch.setattr(runs, "run_of", from_pages)
    return judged


async def test_only_the_last_page_is_read_again_and_judged_when_it_has_changed(judged):
    cluster = Cluster()
    for number, looks in enumerate((PAGE, PAGE, 3)):
        cluster.write(f"run-p{number}" if number else "run", looks)
    reader = reader_of(cluster)
    assert await reader.read(KEY, "run") == 2 * PAGE + 3
    assert cluster.reads() == ["run", "run-p1", "run-p2"]
    assert await reader.read(KEY, "run") == 2 * PAGE + 3
    assert (cluster.reads(), judged) == (["run-p2"], [2 * PAGE + 3])
    cluster.write("run-p2", PAGE)
    cluster.write("run-p3", 1)
    assert await reader.read(KEY, "run") == 3 * PAGE + 1
    assert cluster.reads() == ["run-p2", "run-p3"]


async def test_another_run_is_read_from_its_beginning_and_one_that_is_gone_is_none(judged):
    cluster = Cluster()
    cluster.write("run", 2)
    cluster.write("next", 1)
    reader = reader_of(cluster)
    assert [await reader.read(KEY, name) for name in ("run", "next", "run")] == [2, 1, 2]
    cluster.pages.clear()
    assert await reader.read(KEY, "run") is None
    assert judged == [2, 1, 2]
