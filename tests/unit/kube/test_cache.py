"""What is remembered of a Release's objects, and when it must be read again."""

import asyncio

import pytest

from controller.api.resources import DEPLOYMENTS, HTTP_ROUTES, RELEASES, SERVICES
from controller.kube.client import NotFoundError
from tests.unit.kube.cache_world import LABELS, deployments, replicas, seen, unseen


async def test_what_has_not_changed_is_read_once(cache, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    assert await deployments(cache) == await deployments(cache) == {"web-a": 2}
    assert await cache.find(HTTP_ROUTES, "shop", "web") is None
    assert await cache.find(HTTP_ROUTES, "shop", "web") is None
    assert cluster.asked == ["list deployments", "find httproutes web"]


async def test_what_a_watch_calls_changed_is_read_again_and_nothing_else(cache, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    cluster.put(SERVICES, "web-a")
    await deployments(cache)
    await cache.list(SERVICES, "shop", labels=LABELS)
    cluster.put(DEPLOYMENTS, "web-a", replicas=3)
    cache.on_event(DEPLOYMENTS, "web", unseen("web-a"))
    assert await deployments(cache) == {"web-a": 3}
    await cache.list(SERVICES, "shop", labels=LABELS)
    assert cluster.asked == ["list deployments", "list services", "list deployments"]


async def test_an_answer_that_was_overtaken_by_a_change_is_not_remembered(cache, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    cluster.gate.clear()
    reading = asyncio.create_task(deployments(cache))
    await asyncio.sleep(0)
    cluster.put(DEPLOYMENTS, "web-a", replicas=3)
    cache.on_event(DEPLOYMENTS, "web", unseen("web-a"))
    cluster.gate.set()
    assert await reading == {"web-a": 2}
    assert await deployments(cache) == {"web-a": 3}


async def test_own_writes_are_remembered_without_reading(cache, cluster):
    cluster.put(HTTP_ROUTES, "web", weight=5)
    route = await cache.find(HTTP_ROUTES, "shop", "web")
    await cache.replace(HTTP_ROUTES, {**route, "spec": {"weight": 50}})
    assert (await cache.find(HTTP_ROUTES, "shop", "web"))["spec"] == {"weight": 50}
    assert cluster.asked == ["find httproutes web", "replace httproutes"]


async def overtaken(cache, cluster, told):
    """The route, after a write whose answer came later than another's change; `told` makes what a watch says of it."""
    route = cluster.put(HTTP_ROUTES, "web", weight=5)
    await cache.find(HTTP_ROUTES, "shop", "web")
    cluster.gate.clear()
    writing = asyncio.create_task(cache.replace(HTTP_ROUTES, {**route, "spec": {"weight": 50}}))
    await asyncio.sleep(0)
    cache.on_event(HTTP_ROUTES, "web", told(cluster.put(HTTP_ROUTES, "web", weight=77)))
    cluster.gate.set()
    await writing
    return (await cache.find(HTTP_ROUTES, "shop", "web"))["spec"]


async def test_a_write_that_was_overtaken_is_read_again(cache, cluster):
    assert await overtaken(cache, cluster, lambda item: unseen(item["metadata"]["name"])) == {"weight": 77}


async def test_what_was_scaled_or_deleted_is_known_without_reading(cache, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    cluster.put(DEPLOYMENTS, "web-b", replicas=1)
    await deployments(cache)
    await cache.patch(DEPLOYMENTS, "shop", "web-a", {"spec": {"replicas": 4}}, "scale")
    assert await deployments(cache) == {"web-a": 4, "web-b": 1}
    await cache.delete(DEPLOYMENTS, "shop", "web-b")
    assert await deployments(cache) == {"web-a": 4}
    assert cluster.asked == ["list deployments", "patch deployments", "delete deployments"]


async def test_what_waits_for_a_finalizer_is_read_again(cache, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    await deployments(cache)
    cluster.finalizers = True
    await cache.delete(DEPLOYMENTS, "shop", "web-a")
    assert await deployments(cache) == {"web-a": 2}


async def test_what_a_watch_shows_is_known_without_reading(cache, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    await deployments(cache)
    changed = cluster.put(DEPLOYMENTS, "web-a", replicas=3)
    cache.on_event(DEPLOYMENTS, "web", seen(changed))
    assert await deployments(cache) == {"web-a": 3}
    cache.on_event(DEPLOYMENTS, "web", seen(cluster.put(DEPLOYMENTS, "web-a", replicas=3), gone=True))
    assert await deployments(cache) == {}
    assert cluster.asked == ["list deployments"]


async def test_an_event_that_comes_late_changes_nothing(cache, cluster):
    old = cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    cluster.put(DEPLOYMENTS, "web-a", replicas=3)
    await deployments(cache)
    cache.on_event(DEPLOYMENTS, "web", seen(old))
    cache.on_event(DEPLOYMENTS, "web", seen(old, gone=True))
    assert await deployments(cache) == {"web-a": 3}
    assert cluster.asked == ["list deployments"]


async def test_what_is_new_is_known_from_its_event(cache, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    await deployments(cache)
    cache.on_event(DEPLOYMENTS, "web", seen(cluster.put(DEPLOYMENTS, "web-b", replicas=1)))
    assert await deployments(cache) == {"web-a": 2, "web-b": 1}
    assert cluster.asked == ["list deployments"]


async def test_what_may_be_long_gone_is_read_and_not_believed(cache, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    before = cluster.put(DEPLOYMENTS, "web-b", replicas=1)
    await deployments(cache)
    after = cluster.put(DEPLOYMENTS, "web-c", replicas=1)
    cache.on_event(DEPLOYMENTS, "web", seen(cluster.put(DEPLOYMENTS, "web-c", replicas=1), gone=True))
    del cluster.objects[DEPLOYMENTS, "web-b"], cluster.objects[DEPLOYMENTS, "web-c"]
    cache.on_event(DEPLOYMENTS, "web", seen(before, gone=True))  # a list was newer, and showed it
    assert await deployments(cache) == {"web-a": 2, "web-b": 1}
    cache.on_event(DEPLOYMENTS, "web", seen(after))
    assert await deployments(cache) == {"web-a": 2}
    assert cluster.asked == ["list deployments"] * 2


async def test_a_write_is_not_undone_by_the_answer_to_an_earlier_one(cache, cluster):
    assert await overtaken(cache, cluster, seen) == {"weight": 77}


async def test_nothing_is_remembered_while_a_watch_is_cut(cache, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    await deployments(cache)
    cache.trust(DEPLOYMENTS, watched=False)
    cluster.put(DEPLOYMENTS, "web-a", replicas=3)
    assert await deployments(cache) == {"web-a": 3}
    cluster.put(DEPLOYMENTS, "web-a", replicas=4)
    assert await deployments(cache) == {"web-a": 4}


async def test_what_was_asked_before_a_watch_was_cut_is_not_remembered_after_it_is_back(cache, cluster):
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    cluster.gate.clear()
    reading = asyncio.create_task(deployments(cache))
    await asyncio.sleep(0)
    cache.trust(DEPLOYMENTS, watched=False)
    cluster.put(DEPLOYMENTS, "web-a", replicas=3)
    cache.trust(DEPLOYMENTS, watched=True)
    cluster.gate.set()
    await reading
    assert await deployments(cache) == {"web-a": 3}


async def test_a_release_is_believed_for_ten_seconds_and_its_objects_for_a_minute(cache, cluster, clock):
    cluster.put(RELEASES, "web", replicas=2)
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    for clock.now, asked in ((1000, 2), (1009, 2), (1011, 3), (1059, 4), (1061, 5)):
        assert (await cache.get(RELEASES, "shop", "web"))["spec"] == {"replicas": 2}
        await deployments(cache)
        assert len(cluster.asked) == asked, clock.now


async def test_a_route_of_somebody_else_is_looked_at_each_time(cache, cluster):
    cluster.put(HTTP_ROUTES, "web", release="")
    await cache.find(HTTP_ROUTES, "shop", "web")
    del cluster.objects[HTTP_ROUTES, "web"]
    assert await cache.find(HTTP_ROUTES, "shop", "web") is None


async def test_a_service_found_by_name_is_not_taken_for_all_of_them(cache, cluster):
    cluster.put(SERVICES, "web")
    cluster.put(SERVICES, "web-a")
    await cache.find(SERVICES, "shop", "web")
    assert set(replicas(await cache.list(SERVICES, "shop", labels=LABELS))) == {"web", "web-a"}


async def test_a_release_that_is_forgotten_is_read_afresh(cache, cluster):
    with pytest.raises(NotFoundError):
        await cache.get(RELEASES, "shop", "web")
    cluster.put(RELEASES, "web", replicas=1)
    with pytest.raises(NotFoundError):
        await cache.get(RELEASES, "shop", "web")
    cache.forget("shop", "web")
    assert (await cache.get(RELEASES, "shop", "web"))["spec"] == {"replicas": 1}


async def made_again(cache, cluster, told):
    """A revision's Deployment that was found missing, after somebody has made it again and `told` has heard of it."""
    assert await cache.find(DEPLOYMENTS, "shop", "web-a") is None
    told(cluster.put(DEPLOYMENTS, "web-a", replicas=2))
    return await cache.find(DEPLOYMENTS, "shop", "web-a")


async def test_a_revisions_object_is_found_once_a_watch_has_shown_it(cache, cluster):
    assert await made_again(cache, cluster, lambda item: cache.on_event(DEPLOYMENTS, "web", seen(item)))


async def test_a_revisions_object_is_found_in_the_pass_after_the_one_that_failed(cache, cluster):
    await cache.find(DEPLOYMENTS, "shop", "other-a")
    assert await made_again(cache, cluster, lambda _: cache.forget("shop", "web"))
    assert await cache.find(DEPLOYMENTS, "shop", "other-a") is None
    assert cluster.asked.count("find deployments other-a") == 1


async def test_a_revisions_object_is_found_once_it_was_written(cache):
    assert await cache.find(DEPLOYMENTS, "shop", "web-a") is None
    await cache.create(DEPLOYMENTS, "shop", {"metadata": {"name": "web-a", "namespace": "shop"}})
    assert await cache.find(DEPLOYMENTS, "shop", "web-a") is not None


async def test_a_revisions_object_that_is_made_while_it_is_asked_for_is_found_the_next_time(cache, cluster):
    cluster.gate.clear()
    reading = asyncio.create_task(cache.find(DEPLOYMENTS, "shop", "web-a"))
    await asyncio.sleep(0)
    cache.on_event(DEPLOYMENTS, "web", seen(cluster.put(DEPLOYMENTS, "web-a")))
    cluster.gate.set()
    assert await reading is None
    assert await cache.find(DEPLOYMENTS, "shop", "web-a") is not None


async def test_what_is_old_or_too_much_is_evicted(cache, cluster, clock):
    for number in range(3000):
        await cache.find(HTTP_ROUTES, "shop", f"web-{number}")
    assert len(cache._entries) == 2500
    clock.now += 61
    await cache.find(HTTP_ROUTES, "shop", "web")
    assert len(cache._entries) == 1
