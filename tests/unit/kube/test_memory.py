"""What is remembered of a Release's objects, and when it must be read again."""

import asyncio
from copy import deepcopy

import pytest

from controller.api.names import RELEASE_LABEL
from controller.api.resources import DEPLOYMENTS, HTTP_ROUTES, RELEASES, SERVICES
from controller.kube.client import NotFoundError
from controller.kube.memory import Memory
from controller.kube.watch import Change

LABELS = f"{RELEASE_LABEL}=web"


class Cluster:
    """Answers as an API server does, counts what it is asked, and can keep an answer back."""

    def __init__(self):
        self.objects = {}
        self.asked = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.finalizers = False
        self._version = 0

    def put(self, resource, name, *, release="web", **spec):
        """As it is now; a copy, as a watch would show it."""
        self._version += 1
        labels = {RELEASE_LABEL: release} if release else {}
        metadata = {"name": name, "namespace": "shop", "labels": labels, "resourceVersion": str(self._version)}
        self.objects[resource, name] = {"metadata": metadata, "spec": spec}
        return deepcopy(self.objects[resource, name])

    async def _answer(self, what, answer):
        self.asked.append(what)
        answer = deepcopy(answer)
        await self.gate.wait()
        return answer

    async def find(self, resource, namespace, name):
        return await self._answer(f"find {resource.plural} {name}", self.objects.get((resource, name)))

    async def list(self, resource, namespace=None, *, labels=""):
        found = [item for (kind, _), item in self.objects.items() if kind == resource]
        return await self._answer(f"list {resource.plural}", [item for item in found if item["metadata"]["labels"]])

    async def listing(self, resource, namespace=None, *, labels=""):
        version = str(self._version)
        return await self.list(resource, namespace, labels=labels), version

    async def pages(self, resource, namespace, *, labels="", accept=""):
        for item in await self.list(resource, namespace, labels=labels):  # a page each
            yield {"items": [item], "metadata": {"resourceVersion": str(self._version)}}

    async def create(self, resource, namespace, body, *, strict=False):
        return await self._answer(f"create {resource.plural}", self.put(resource, body["metadata"]["name"]))

    async def replace(self, resource, body, subresource=None):
        name = body["metadata"]["name"]
        return await self._answer(f"replace {resource.plural}", self.put(resource, name, **body["spec"]))

    async def patch(self, resource, namespace, name, body, subresource=None):
        metadata = self.put(resource, name, **body["spec"])["metadata"]
        return await self._answer(f"patch {resource.plural}", {"kind": "Scale", "metadata": metadata, **body})

    async def delete(self, resource, namespace, name, *, seen=None):
        if not self.finalizers:
            self.objects.pop((resource, name), None)
        return await self._answer(f"delete {resource.plural}", not self.finalizers)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
async def memory(cluster, clock):
    memory = Memory(cluster, clock)
    for resource in (DEPLOYMENTS, SERVICES, HTTP_ROUTES):
        memory.trust(resource, watched=True)
    return memory


def unseen(name):
    """A change that a list has found after a watch was cut: of what kind, it does not tell."""
    return Change({"name": name, "namespace": "shop", "resourceVersion": "999"})


def seen(item, *, gone=False):
    return Change(item["metadata"], item, gone=gone)


def replicas(items):
    return {item["metadata"]["name"]: item["spec"].get("replicas") for item in items}


async def deployments(memory):
    return replicas(await memory.list(DEPLOYMENTS, "shop", labels=LABELS))


async def test_what_has_not_changed_is_read_once(memory, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    assert await deployments(memory) == await deployments(memory) == {"web-a": 2}
    assert await memory.find(HTTP_ROUTES, "shop", "web") is None
    assert await memory.find(HTTP_ROUTES, "shop", "web") is None
    assert cluster.asked == ["list deployments", "find httproutes web"]


async def test_what_a_watch_calls_changed_is_read_again_and_nothing_else(memory, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    cluster.put(SERVICES, "web-a")
    await deployments(memory)
    await memory.list(SERVICES, "shop", labels=LABELS)
    cluster.put(DEPLOYMENTS, "web-a", replicas=3)
    memory.told(DEPLOYMENTS, "web", unseen("web-a"))
    assert await deployments(memory) == {"web-a": 3}
    await memory.list(SERVICES, "shop", labels=LABELS)
    assert cluster.asked == ["list deployments", "list services", "list deployments"]


async def test_an_answer_that_was_overtaken_by_a_change_is_not_remembered(memory, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    cluster.gate.clear()
    reading = asyncio.create_task(deployments(memory))
    await asyncio.sleep(0)
    cluster.put(DEPLOYMENTS, "web-a", replicas=3)
    memory.told(DEPLOYMENTS, "web", unseen("web-a"))
    cluster.gate.set()
    assert await reading == {"web-a": 2}
    assert await deployments(memory) == {"web-a": 3}


async def test_own_writes_are_remembered_without_reading(memory, cluster):
    cluster.put(HTTP_ROUTES, "web", weight=5)
    route = await memory.find(HTTP_ROUTES, "shop", "web")
    await memory.replace(HTTP_ROUTES, {**route, "spec": {"weight": 50}})
    assert (await memory.find(HTTP_ROUTES, "shop", "web"))["spec"] == {"weight": 50}
    assert cluster.asked == ["find httproutes web", "replace httproutes"]


async def overtaken(memory, cluster, told):
    """The route, after a write whose answer came later than another's change; `told` makes what a watch says of it."""
    route = cluster.put(HTTP_ROUTES, "web", weight=5)
    await memory.find(HTTP_ROUTES, "shop", "web")
    cluster.gate.clear()
    writing = asyncio.create_task(memory.replace(HTTP_ROUTES, {**route, "spec": {"weight": 50}}))
    await asyncio.sleep(0)
    memory.told(HTTP_ROUTES, "web", told(cluster.put(HTTP_ROUTES, "web", weight=77)))
    cluster.gate.set()
    await writing
    return (await memory.find(HTTP_ROUTES, "shop", "web"))["spec"]


async def test_a_write_that_was_overtaken_is_read_again(memory, cluster):
    assert await overtaken(memory, cluster, lambda item: unseen(item["metadata"]["name"])) == {"weight": 77}


async def test_what_was_scaled_or_deleted_is_known_without_reading(memory, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    cluster.put(DEPLOYMENTS, "web-b", replicas=1)
    await deployments(memory)
    await memory.patch(DEPLOYMENTS, "shop", "web-a", {"spec": {"replicas": 4}}, "scale")
    assert await deployments(memory) == {"web-a": 4, "web-b": 1}
    await memory.delete(DEPLOYMENTS, "shop", "web-b")
    assert await deployments(memory) == {"web-a": 4}
    assert cluster.asked == ["list deployments", "patch deployments", "delete deployments"]


async def test_what_waits_for_a_finalizer_is_read_again(memory, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    await deployments(memory)
    cluster.finalizers = True
    await memory.delete(DEPLOYMENTS, "shop", "web-a")
    assert await deployments(memory) == {"web-a": 2}


async def test_what_a_watch_shows_is_known_without_reading(memory, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    await deployments(memory)
    changed = cluster.put(DEPLOYMENTS, "web-a", replicas=3)
    memory.told(DEPLOYMENTS, "web", seen(changed))
    assert await deployments(memory) == {"web-a": 3}
    memory.told(DEPLOYMENTS, "web", seen(cluster.put(DEPLOYMENTS, "web-a", replicas=3), gone=True))
    assert await deployments(memory) == {}
    assert cluster.asked == ["list deployments"]


async def test_an_event_that_comes_late_changes_nothing(memory, cluster):
    old = cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    cluster.put(DEPLOYMENTS, "web-a", replicas=3)
    await deployments(memory)
    memory.told(DEPLOYMENTS, "web", seen(old))
    memory.told(DEPLOYMENTS, "web", seen(old, gone=True))
    assert await deployments(memory) == {"web-a": 3}
    assert cluster.asked == ["list deployments"]


async def test_what_is_new_is_known_from_its_event(memory, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    await deployments(memory)
    memory.told(DEPLOYMENTS, "web", seen(cluster.put(DEPLOYMENTS, "web-b", replicas=1)))
    assert await deployments(memory) == {"web-a": 2, "web-b": 1}
    assert cluster.asked == ["list deployments"]


async def test_what_may_be_long_gone_is_read_and_not_believed(memory, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    before = cluster.put(DEPLOYMENTS, "web-b", replicas=1)
    await deployments(memory)
    after = cluster.put(DEPLOYMENTS, "web-c", replicas=1)
    memory.told(DEPLOYMENTS, "web", seen(cluster.put(DEPLOYMENTS, "web-c", replicas=1), gone=True))
    del cluster.objects[DEPLOYMENTS, "web-b"], cluster.objects[DEPLOYMENTS, "web-c"]
    memory.told(DEPLOYMENTS, "web", seen(before, gone=True))  # a list was newer, and showed it
    assert await deployments(memory) == {"web-a": 2, "web-b": 1}
    memory.told(DEPLOYMENTS, "web", seen(after))
    assert await deployments(memory) == {"web-a": 2}
    assert cluster.asked == ["list deployments"] * 2


async def test_a_write_is_not_undone_by_the_answer_to_an_earlier_one(memory, cluster):
    assert await overtaken(memory, cluster, seen) == {"weight": 77}


async def test_nothing_is_remembered_while_a_watch_is_cut(memory, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    await deployments(memory)
    memory.trust(DEPLOYMENTS, watched=False)
    cluster.put(DEPLOYMENTS, "web-a", replicas=3)
    assert await deployments(memory) == {"web-a": 3}
    cluster.put(DEPLOYMENTS, "web-a", replicas=4)
    assert await deployments(memory) == {"web-a": 4}


async def test_what_was_asked_before_a_watch_was_cut_is_not_remembered_after_it_is_back(memory, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    cluster.gate.clear()
    reading = asyncio.create_task(deployments(memory))
    await asyncio.sleep(0)
    memory.trust(DEPLOYMENTS, watched=False)
    cluster.put(DEPLOYMENTS, "web-a", replicas=3)
    memory.trust(DEPLOYMENTS, watched=True)
    cluster.gate.set()
    await reading
    assert await deployments(memory) == {"web-a": 3}


async def test_a_release_is_believed_for_ten_seconds_and_its_objects_for_a_minute(memory, cluster, clock):
    cluster.put(RELEASES, "web", replicas=2)
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    for clock.now, asked in ((1000, 2), (1009, 2), (1011, 3), (1059, 4), (1061, 5)):
        assert (await memory.get(RELEASES, "shop", "web"))["spec"] == {"replicas": 2}
        await deployments(memory)
        assert len(cluster.asked) == asked, clock.now


async def test_a_route_of_somebody_else_is_looked_at_each_time(memory, cluster):
    cluster.put(HTTP_ROUTES, "web", release="")
    await memory.find(HTTP_ROUTES, "shop", "web")
    del cluster.objects[HTTP_ROUTES, "web"]
    assert await memory.find(HTTP_ROUTES, "shop", "web") is None


async def test_a_service_found_by_name_is_not_taken_for_all_of_them(memory, cluster):
    cluster.put(SERVICES, "web")
    cluster.put(SERVICES, "web-a")
    await memory.find(SERVICES, "shop", "web")
    assert set(replicas(await memory.list(SERVICES, "shop", labels=LABELS))) == {"web", "web-a"}


async def test_a_release_that_is_forgotten_is_read_afresh(memory, cluster):
    with pytest.raises(NotFoundError):
        await memory.get(RELEASES, "shop", "web")
    cluster.put(RELEASES, "web", replicas=1)
    with pytest.raises(NotFoundError):
        await memory.get(RELEASES, "shop", "web")
    memory.forget("shop", "web")
    assert (await memory.get(RELEASES, "shop", "web"))["spec"] == {"replicas": 1}


async def test_what_is_old_or_too_much_is_let_go(memory, cluster, clock):
    for number in range(3000):
        await memory.find(HTTP_ROUTES, "shop", f"web-{number}")
    assert len(memory._shelves) == 2500
    clock.now += 61
    await memory.find(HTTP_ROUTES, "shop", "web")
    assert len(memory._shelves) == 1


async def test_at_rest_what_is_old_is_let_go(memory, cluster, clock):
    memory.told_release(cluster.put(RELEASES, "web", replicas=2))
    cluster.put(DEPLOYMENTS, "web-a")
    await memory.fill(DEPLOYMENTS, "shop", listed=True, single=False)
    await memory.find(HTTP_ROUTES, "shop", "web")
    clock.now += 59.0
    memory.let_go()
    assert (len(memory._parcels), len(memory._shelves)) == (2, 1)
    clock.now += 2
    memory.let_go()
    assert (memory._parcels, len(memory._shelves)) == ({}, 0)


async def test_of_a_release_it_is_not_remembered_who_wrote_which_field(memory, cluster):
    release = cluster.put(RELEASES, "web", replicas=2)
    release["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    memory.told_release(release)
    known = await memory.get(RELEASES, "shop", "web")
    assert known["metadata"] == {name: release["metadata"][name] for name in known["metadata"]}
    assert "managedFields" not in known["metadata"]


async def test_what_was_filled_in_at_the_start_is_believed_once(memory, cluster):
    for name in ("web", "shop"):
        cluster.put(DEPLOYMENTS, f"{name}-a", release=name, replicas=2, template={"large": True})
    await memory.fill(DEPLOYMENTS, "shop", listed=True, single=False)
    assert await deployments(memory) == {"web-a": 2}
    assert cluster.asked == ["list deployments"]
    await deployments(memory)
    assert cluster.asked == ["list deployments"] * 2


async def test_what_changed_while_it_was_filled_in_is_read_again(memory, cluster):
    cluster.put(HTTP_ROUTES, "web", weight=5)
    cluster.gate.clear()
    filling = asyncio.create_task(memory.fill(HTTP_ROUTES, "shop", listed=False, single=True))
    await asyncio.sleep(0)
    cluster.put(HTTP_ROUTES, "web", weight=50)
    memory.told(HTTP_ROUTES, "web", unseen("web"))
    cluster.gate.set()
    await filling
    assert (await memory.find(HTTP_ROUTES, "shop", "web"))["spec"] == {"weight": 50}


async def test_what_was_filled_in_is_not_believed_after_a_change_a_cut_or_a_minute(memory, cluster, clock):
    cluster.put(HTTP_ROUTES, "web", weight=5)
    for ends in (
        lambda: memory.told(HTTP_ROUTES, "web", unseen("web")),
        lambda: memory.trust(HTTP_ROUTES, watched=False),
        lambda: setattr(clock, "now", clock.now + 61),
    ):
        memory.trust(HTTP_ROUTES, watched=True)
        await memory.fill(HTTP_ROUTES, "shop", listed=False, single=True)
        ends()
        asked = len(cluster.asked)
        await memory.find(HTTP_ROUTES, "shop", "web")
        assert len(cluster.asked) == asked + 1


async def test_a_release_that_its_watch_shows_is_not_read(memory, cluster):
    memory.told_release(cluster.put(RELEASES, "web", replicas=2))
    assert (await memory.get(RELEASES, "shop", "web"))["spec"] == {"replicas": 2}
    assert cluster.asked == []


async def test_an_older_event_does_not_hide_what_was_written_since(memory, cluster):
    old = cluster.put(RELEASES, "web", replicas=2)
    memory.told_release(old)
    await memory.replace(RELEASES, {**old, "spec": {"replicas": 3}})
    memory.told_release(old)
    assert (await memory.get(RELEASES, "shop", "web"))["spec"] == {"replicas": 3}


async def test_what_was_written_meanwhile_hides_what_was_filled_in(memory, cluster):
    route = cluster.put(HTTP_ROUTES, "web", weight=5)
    cluster.put(DEPLOYMENTS, "web-a", release="web", replicas=2)
    await memory.fill(HTTP_ROUTES, "shop", listed=True, single=True)
    await memory.fill(DEPLOYMENTS, "shop", listed=True, single=False)
    await memory.replace(HTTP_ROUTES, {**route, "spec": {"weight": 50}})
    await memory.patch(DEPLOYMENTS, "shop", "web-a", {"spec": {"replicas": 7}}, "scale")
    asked = len(cluster.asked)
    assert (await memory.find(HTTP_ROUTES, "shop", "web"))["spec"] == {"weight": 50}
    assert len(cluster.asked) == asked, "the answer to the write has told"
    assert await deployments(memory) == {"web-a": 7}
    assert len(cluster.asked) == asked + 1


async def test_a_release_that_was_told_of_is_known_once_and_again_when_it_was_written(memory, cluster):
    told = cluster.put(RELEASES, "web", replicas=2)
    memory.told_release(told)
    await memory.get(RELEASES, "shop", "web")
    await memory.replace(RELEASES, {**told, "spec": {"replicas": 3}})
    for _ in range(2):
        assert (await memory.get(RELEASES, "shop", "web"))["spec"] == {"replicas": 3}
    assert cluster.asked == ["replace releases"]
