"""A watch of children goes on, whatever one of the objects is."""

import asyncio
import logging
import time

import pytest

from controller.api.names import RELEASE_LABEL
from controller.api.resources import DEPLOYMENTS, HTTP_ROUTES
from controller.kube.watch import Change, ChildWatch
from tests.bench.tasks import meanwhile
from tests.unit.runtime.fake_api import FakeApi
from tests.unit.runtime.fake_client import FakeClient, Weather

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


async def test_a_kind_that_is_not_installed_is_no_error(world, caplog):
    watch = ChildWatch(world.kube, HTTP_ROUTES, RELEASE_LABEL, lambda _: None)
    async with meanwhile(watch.run()), asyncio.timeout(30):
        await watch.tried.wait()
    assert not caplog.records
