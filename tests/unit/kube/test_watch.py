"""A watch of children goes on, whatever one of the objects is."""

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import aiohttp
import pytest

from controller.api.names import RELEASE_LABEL
from controller.api.resources import CONFIG_MAPS, DEPLOYMENTS, HTTP_ROUTES
from controller.kube.watch import Change, ChildWatch
from tests.bench.tasks import meanwhile
from tests.unit.runtime.fake_api import FakeApi
from tests.unit.runtime.fake_client import FakeClient, FakeContent, Weather
from tests.unit.runtime.fault_world import loop_at

SHOP = "shop"


class World:
    def __init__(self) -> None:
        self.api = FakeApi(time.time)
        self.kube = FakeClient(self.api, Weather, "a")
        self.seen: list[str] = []
        self.broken = ""
        """The name of the object that cannot be handled."""

    def create(self, name: str, **labels: str) -> None:
        body = {"metadata": {"name": name, "labels": labels} if labels else {"name": name}, "spec": {}}
        assert self.api.handle("POST", DEPLOYMENTS.path(SHOP), {}, body).status == 201

    def change(self, name: str, size: int) -> None:
        body = {"spec": {"replicas": size}}
        assert self.api.handle("PATCH", DEPLOYMENTS.path(SHOP, name), {}, body).status == 200

    def watch(self, label: str) -> ChildWatch:
        def seen(change: Change) -> None:
            if change.metadata["name"] == self.broken:
                raise KeyError("spec")
            self.seen.append(change.metadata["name"])

        return ChildWatch(self.kube, DEPLOYMENTS, label, seen)

    async def until_seen(self, *names: str) -> None:
        async with asyncio.timeout(30):
            while not set(names) <= set(self.seen):  # noqa: ASYNC110 - a list that the watch fills
                await asyncio.sleep(0.005)


@pytest.fixture
def world():
    return World()


async def test_with_an_empty_label_all_objects_are_seen_also_those_without_labels(world):
    world.create("listed")
    async with meanwhile(world.watch("").run()):
        await world.until_seen("listed")
        world.create("watched")
        await world.until_seen("watched")


async def test_an_object_that_cannot_be_handled_is_skipped_and_said_once(world, caplog):
    world.broken = "odd"
    world.create("odd", **{RELEASE_LABEL: "odd"})
    with caplog.at_level(logging.ERROR):
        async with meanwhile(world.watch(RELEASE_LABEL).run()):
            world.create("before", **{RELEASE_LABEL: "web"})
            await world.until_seen("before")
            for size in range(3):
                world.change("odd", size)
            world.create("after", **{RELEASE_LABEL: "web"})
            await world.until_seen("after")
    assert [record.message for record in caplog.records] == [
        "deployments shop/odd cannot be handled. It is skipped; this is logged once"
    ]


async def test_what_no_api_server_sends_cuts_the_watch_and_it_begins_again(world, caplog):
    world.create("web", **{RELEASE_LABEL: "web"})
    watch, lists = world.watch(RELEASE_LABEL), 0
    pages = world.kube.pages

    async def odd(*arguments, **options):
        nonlocal lists
        lists += 1
        async for page in pages(*arguments, **options):
            yield page if lists > 1 else {"items": [{"kind": "Deployment"}]}

    world.kube.pages = odd
    async with meanwhile(watch.run()):
        await world.until_seen("web")
    assert [record.message for record in caplog.records] == ["the watch of deployments was cut: KeyError('metadata')"]


class Streams(FakeClient):
    """Its watches end, one way or another; lists are answered."""

    def __init__(self, end: Callable[[], AsyncIterator[bytes]] | None) -> None:
        super().__init__(FakeApi(time.time), Weather, "a")
        self.lists: list[float] = []
        self._end = end

    async def pages(self, *arguments: Any, **options: Any) -> AsyncIterator[dict[str, Any]]:
        self.lists.append(asyncio.get_running_loop().time())
        async for page in super().pages(*arguments, **options):
            yield page

    async def stream(self, *arguments: Any, **options: Any) -> aiohttp.ClientResponse:
        response = await super().stream(*arguments, **options)
        if self._end is not None:
            cast("Any", response).content = FakeContent(self._end())
        return response


async def at_once() -> AsyncIterator[bytes]:
    for line in list[bytes]():
        yield line


async def cut() -> AsyncIterator[bytes]:
    async for line in at_once():
        yield line
    raise aiohttp.ClientPayloadError("cut")


def lists_of(end: Callable[[], AsyncIterator[bytes]] | None, seconds: float) -> tuple[list[float], list[bool]]:
    """When a watch has listed, and what it said of itself."""
    kube, said = Streams(end), list[bool]()

    def tell(*, watched: bool) -> None:
        said.append(watched)

    async def story() -> None:
        watch = ChildWatch(kube, DEPLOYMENTS, RELEASE_LABEL, lambda _: None, watched=tell)
        async with meanwhile(watch.run()):
            await asyncio.sleep(seconds)

    with asyncio.Runner(loop_factory=loop_at(0.0)) as runner:
        runner.run(story())
    return kube.lists, said


@pytest.mark.parametrize("end", [at_once, cut])
def test_a_watch_that_ends_at_once_lists_less_and_less_often(end):
    lists, said = lists_of(end, 600.0)
    assert 15 < len(lists) < 50, "in ten minutes"
    assert said[:4] == [True, False, True, False], "between two of them nothing is seen"


def test_a_watch_that_ends_in_its_time_goes_on_without_a_pause():
    lists, said = lists_of(None, 1500.0)
    assert 5 <= len(lists) <= 7
    assert all(240 <= after - before <= 301 for before, after in itertools.pairwise(lists))
    assert all(said)


async def test_a_kind_that_is_not_installed_is_no_error(world, caplog):
    watch = ChildWatch(world.kube, HTTP_ROUTES, RELEASE_LABEL, lambda _: None)
    async with meanwhile(watch.run()), asyncio.timeout(30):
        await watch.tried.wait()
    assert not caplog.records


class Sized(FakeClient):
    """Its pages, by how many objects they had."""

    def __init__(self) -> None:
        super().__init__(FakeApi(time.time), Weather, "a")
        self.sizes: list[int] = []

    async def pages(self, *arguments: Any, **options: Any) -> AsyncIterator[dict[str, Any]]:
        async for page in super().pages(*arguments, **options):
            self.sizes.append(len(page["items"]))
            yield page


async def test_what_tenants_have_is_listed_in_small_pages():
    """Their annotations may have 256 KiB each: a page of 500 had 128 MiB, before it was read."""
    kube, seen = Sized(), set[str]()
    for number in range(230):
        await kube.create(CONFIG_MAPS, "shop", {"metadata": {"namespace": "shop", "name": f"c{number}"}})

    def note(change: Change) -> None:
        seen.add(change.metadata["name"])

    watch = ChildWatch(kube, CONFIG_MAPS, RELEASE_LABEL, note, counts=lambda *_: True)
    async with meanwhile(watch.run()):
        await watch.tried.wait()
    assert kube.sizes == [100, 100, 30]
    assert len(seen) == 230
