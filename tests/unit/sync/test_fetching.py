"""What is kept of fetches, and whose room and whose turn it is."""

import asyncio
import inspect
import socket
from pathlib import Path

import pytest
import yaml

from controller.cli import syncing
from controller.git.remote import Remote
from controller.kube.objects import Key
from controller.sync import _yaml_process, controller, fetching, kustomize, parsing, rendering
from controller.sync.fetching import Fetches, Outcome
from controller.sync.planning import Source
from controller.sync.rendering import Rendered
from tests.git_server import Origin
from tests.unit.git.story import TESTED, anywhere
from tests.unit.sync.test_rendering import config_map

SOURCE = Source("https://git.qa/shop.git", "main", "")


def kept(fetches):
    return [str(key) for key, outcome in fetches._outcomes.items() if outcome.rendered is not None]


def keep(fetches, namespace, name):
    rendered = Rendered("c" * 40, (), 1, {}, {}, 0, b"x" * 10)
    fetches._keep(Key(namespace, name), Outcome(SOURCE, 0.0, rendered, commit=rendered.commit))


def test_who_has_the_most_room_gives_up_what_was_fetched_first(monkeypatch):
    monkeypatch.setattr(fetching, "_MOST_KEPT", 40)
    fetches = Fetches(anywhere, lambda _: None)
    keep(fetches, "shop", "one")
    for number in range(6):
        keep(fetches, "crowd", str(number))
    assert kept(fetches) == ["shop/one", "crowd/3", "crowd/4", "crowd/5"]
    outcome = fetches.outcome(Key("crowd", "0"), SOURCE)
    assert outcome is not None
    assert (outcome.rendered, outcome.commit) == (None, "c" * 40)


@pytest.fixture
def origin(tmp_path):
    return Origin(tmp_path / "git")


async def test_servers_of_one_namespace_that_hang_delay_no_other_namespace(origin):
    commit = origin.commit("one", {"a.yaml": config_map("a")})
    key, fetches = Key("shop", "shop"), Fetches(anywhere, lambda _: None)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.git"
        for number in range(20):
            fetches.start(Key("crowd", str(number)), SOURCE, Remote(url, schemes=TESTED))
        await asyncio.sleep(0)
        fetches.start(key, SOURCE, Remote(origin.url, schemes=TESTED))
        async with asyncio.timeout(15):
            while fetches.outcome(key, SOURCE) is None:  # noqa: ASYNC110 - no event says it
                await asyncio.sleep(0.02)
        assert fetches.active == 20
        await fetches.close()
    outcome = fetches.outcome(key, SOURCE)
    assert outcome is not None
    assert (outcome.commit, outcome.problem) == (commit, "")


def test_all_bounds_together_are_within_the_memory_of_the_pod():
    """Two readers and up to thirty-two fetches had nine times as much."""
    with (Path(__file__).parents[3] / "gitops" / "sync" / "sync.yaml").open() as file:
        (pod,) = [one["spec"]["template"]["spec"] for one in yaml.safe_load_all(file) if one["kind"] == "Deployment"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["memory"] == "1Gi"
    git = fetching._AT_ONCE * 3 * fetching.GIT_MEMORY  # git, its transport, and what reads the pack
    renderer = fetching._RENDERED_AT_ONCE * max(_yaml_process._MEMORY, kustomize._BOUNDS.memory)
    large = parsing.MOST_BYTES + parsing.MOST_VALUES * rendering._VALUE_BYTES
    workers = inspect.signature(syncing.sync).parameters["workers"].default
    others = (workers - 1) * controller._LARGE
    itself = (60 << 20) + fetching._MOST_KEPT + large + others
    assert git + renderer + itself < 1 << 30
