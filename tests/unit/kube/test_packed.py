"""What is read ahead for a first pass, or shown by a watch before it."""

import asyncio

from controller.api.resources import DEPLOYMENTS, HTTP_ROUTES, RELEASES
from tests.unit.kube.cache_world import deployments, unseen


async def test_at_rest_what_is_old_is_evicted(cache, cluster, clock):
    cache.on_release_event(cluster.put(RELEASES, "web", replicas=2))
    cluster.put(DEPLOYMENTS, "web-a")
    await cache.preload(DEPLOYMENTS, "shop", listed=True, single=False)
    await cache.find(HTTP_ROUTES, "shop", "web")
    for seconds, preloaded, entries in ((59, 2, 1), (2, 2, 0), (58, 2, 0), (2, 0, 0)):
        clock.now += seconds
        cache.evict_old()
        assert (len(cache._preloaded), len(cache._entries)) == (preloaded, entries), clock.now


async def test_of_a_release_it_is_not_remembered_who_wrote_which_field(cache, cluster):
    release = cluster.put(RELEASES, "web", replicas=2)
    release["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    cache.on_release_event(release)
    known = await cache.get(RELEASES, "shop", "web")
    assert known["metadata"] == {name: release["metadata"][name] for name in known["metadata"]}
    assert "managedFields" not in known["metadata"]


async def test_what_was_filled_in_at_the_start_is_believed_once(cache, cluster):
    for name in ("web", "shop"):
        cluster.put(DEPLOYMENTS, f"{name}-a", release=name, replicas=2, template={"large": True})
    await cache.preload(DEPLOYMENTS, "shop", listed=True, single=False)
    assert await deployments(cache) == {"web-a": 2}
    assert cluster.asked == ["list deployments"]
    await deployments(cache)
    assert cluster.asked == ["list deployments"] * 2


async def test_what_changed_while_it_was_filled_in_is_read_again(cache, cluster):
    cluster.put(HTTP_ROUTES, "web", weight=5)
    cluster.gate.clear()
    filling = asyncio.create_task(cache.preload(HTTP_ROUTES, "shop", listed=False, single=True))
    await asyncio.sleep(0)
    cluster.put(HTTP_ROUTES, "web", weight=50)
    cache.on_event(HTTP_ROUTES, "web", unseen("web"))
    cluster.gate.set()
    await filling
    assert (await cache.find(HTTP_ROUTES, "shop", "web"))["spec"] == {"weight": 50}


async def test_what_was_filled_in_is_not_believed_after_a_change_a_cut_or_two_minutes(cache, cluster, clock):
    cluster.put(HTTP_ROUTES, "web", weight=5)
    for ends in (
        lambda: cache.on_event(HTTP_ROUTES, "web", unseen("web")),
        lambda: cache.trust(HTTP_ROUTES, watched=False),
        lambda: setattr(clock, "now", clock.now + 121),
    ):
        cache.trust(HTTP_ROUTES, watched=True)
        await cache.preload(HTTP_ROUTES, "shop", listed=False, single=True)
        ends()
        asked = len(cluster.asked)
        await cache.find(HTTP_ROUTES, "shop", "web")
        assert len(cluster.asked) == asked + 1


async def test_a_release_that_its_watch_shows_is_not_read(cache, cluster):
    cache.on_release_event(cluster.put(RELEASES, "web", replicas=2))
    assert (await cache.get(RELEASES, "shop", "web"))["spec"] == {"replicas": 2}
    assert cluster.asked == []


async def test_a_start_that_takes_long_reads_nothing_one_by_one(cache, cluster, clock):
    cache.on_release_event(cluster.put(RELEASES, "web", replicas=2))
    cluster.put(DEPLOYMENTS, "web-a", replicas=2)
    await cache.preload(DEPLOYMENTS, "shop", listed=True, single=False)
    clock.now += 119
    assert (await cache.get(RELEASES, "shop", "web"))["spec"] == {"replicas": 2}
    assert await deployments(cache) == {"web-a": 2}
    assert cluster.asked == ["list deployments"]


async def test_an_older_event_does_not_hide_what_was_written_since(cache, cluster):
    old = cluster.put(RELEASES, "web", replicas=2)
    cache.on_release_event(old)
    await cache.replace(RELEASES, {**old, "spec": {"replicas": 3}})
    cache.on_release_event(old)
    assert (await cache.get(RELEASES, "shop", "web"))["spec"] == {"replicas": 3}


async def test_what_was_written_meanwhile_hides_what_was_filled_in(cache, cluster):
    route = cluster.put(HTTP_ROUTES, "web", weight=5)
    cluster.put(DEPLOYMENTS, "web-a", release="web", replicas=2)
    await cache.preload(HTTP_ROUTES, "shop", listed=True, single=True)
    await cache.preload(DEPLOYMENTS, "shop", listed=True, single=False)
    await cache.replace(HTTP_ROUTES, {**route, "spec": {"weight": 50}})
    await cache.patch(DEPLOYMENTS, "shop", "web-a", {"spec": {"replicas": 7}}, "scale")
    asked = len(cluster.asked)
    assert (await cache.find(HTTP_ROUTES, "shop", "web"))["spec"] == {"weight": 50}
    assert len(cluster.asked) == asked, "the answer to the write has told"
    assert await deployments(cache) == {"web-a": 7}
    assert len(cluster.asked) == asked + 1


async def test_a_release_that_was_told_of_is_known_once_and_again_when_it_was_written(cache, cluster):
    told = cluster.put(RELEASES, "web", replicas=2)
    cache.on_release_event(told)
    await cache.get(RELEASES, "shop", "web")
    await cache.replace(RELEASES, {**told, "spec": {"replicas": 3}})
    for _ in range(2):
        assert (await cache.get(RELEASES, "shop", "web"))["spec"] == {"replicas": 3}
    assert cluster.asked == ["replace releases"]
