"""Under load, on fresh connections and on kept ones: every change of who serves, planned or not."""

import asyncio
import signal
import time

import pytest

from hack.load.tally import UNNAMED
from tests.e2e import containers
from tests.e2e.patience import until
from tests.e2e.shop import APPROVE, NOT_JUDGED, SHORT_DRAIN, pause, set_values, weight

pytestmark = pytest.mark.alone  # what is lost when cores are short is no fault of whoever switches

_FOLLOWED_S = 3.0
"""The router's own time from a weight that was written to its last request elsewhere: 0.4 to 1.1 s were seen."""


async def test_promotion_rollback_and_deletion_lose_no_request(shop, measured):
    steps = (weight(10), pause(2), weight(50), APPROVE)
    first = await shop.given(*steps, analysis=NOT_JUDGED, drain=SHORT_DRAIN, deletionPolicy="Orphan")
    async with shop.load(rate=100, fresh=0.3) as load:
        await shop.commit(VERSION="2")
        second = (await shop.until_phase("Paused"))["canaryRevision"]
        await shop.ask("approve")
        assert (await shop.until_phase("Healthy"))["stableRevision"] == second
        await shop.until_gone(first)
        promoted = load.snapshot()
        await shop.commit(VERSION="3")
        third = (await shop.until_phase("Paused"))["canaryRevision"]
        await shop.until_answered_by(load, third)
        await shop.ask("abort")
        assert (await shop.until_phase("RolledBack"))["stableRevision"] == second
        await shop.until_gone(third)
        rolled_back = load.snapshot()
        await shop.commit(VERSION="4")
        fourth = (await shop.until_phase("Paused"))["canaryRevision"]
        await shop.until_answered_by(load, fourth)
        await shop.delete()
        assert await shop.shares() == {second: 10_000}, (
            "to stable first; what was made stays, as spec.deletionPolicy says"
        )
        await shop.until_answered_by(load, second, load.snapshot().revisions[second].answers + 200)
        counted = await load.stop()
    measured("requests", counted.sent)
    measured("failed", counted.failed)
    assert (promoted.failed, rolled_back.failed, counted.failed) == (0, 0, 0)
    assert counted.skipped == 0
    assert set(counted.revisions) == {first, second, third, fourth}


async def test_a_node_that_learns_late_of_a_versions_first_pod_loses_no_request(shop, measured):
    """kube-proxy knows the Service, and stands still, as on a busy node, until a second after its pod is ready."""

    def starts_slowly(release):
        set_values(release, VERSION="2")
        release["spec"]["template"]["spec"]["containers"][0]["startupProbe"]["initialDelaySeconds"] = 5

    parents = [{"name": "public", "namespace": "gateways", "sectionName": "web"}]
    by_address = {"traefik": {"parentRefs": parents, "hostnames": [shop.host], "nativeLB": True}}
    first = await shop.given(weight(50), APPROVE, traffic=by_address, analysis=NOT_JUDGED)
    await until(lambda: shop.is_routed(shop.host), "the gateway answers")
    async with shop.load(rate=100, fresh=0.3) as load:
        await shop.until_answered_by(load, first)
        await shop.edit(starts_slowly)
        canary = (await shop.until(lambda status: status.get("canaryRevision")))["canaryRevision"]
        await asyncio.sleep(3)
        assert containers.signal_named(signal.SIGSTOP, "kube-proxy")
        try:
            await shop.moment_with_endpoints(canary)
            await asyncio.sleep(1)
        finally:
            containers.signal_named(signal.SIGCONT, "kube-proxy")
        await shop.until_answered_by(load, canary, 200)
        counted = await load.stop()
    measured("requests", counted.sent)
    measured("failed", counted.failed)
    assert counted.failed == 0


async def test_a_release_that_takes_all_with_it_finishes_what_was_begun(shop, measured):
    stable = await shop.given(weight(50), pause(60), analysis=NOT_JUDGED)
    async with shop.load(rate=100, fresh=0.3) as load:
        await shop.commit(VERSION="2")
        canary = await shop.until_weight(50)
        await shop.until_answered_by(load, canary)
        await shop.delete()
        await shop.until_gone(stable)
        await shop.until_gone(canary)
        counted = await load.stop()
    measured("requests", counted.sent)
    measured("codes", counted.codes)
    assert counted.revisions[stable].bad == 0
    assert counted.revisions[canary].bad == 0
    assert set(counted.revisions[UNNAMED].codes) <= {"404", "500", "503"}, "the router has nobody to ask any more"
    assert counted.transport_errors == 0


@pytest.mark.parametrize("loss", ["killed", "frozen", "deleted"])
async def test_a_canary_that_loses_all_its_pods_gives_its_work_to_stable_at_once(shop, loss, measured):
    stable = await shop.given(weight(50), pause(300), analysis=NOT_JUDGED)
    async with shop.load(rate=100, fresh=0.3) as load:
        await shop.commit(VERSION="2")
        canary = await shop.until_weight(50)
        await shop.until_answered_by(load, canary)
        lost = time.time()
        mend = await lose(shop, canary, loss)
        try:
            gone = await shop.moment_without_endpoints(canary)
            moved = await shop.moment_with_shares({stable: 10_000})
        finally:
            mend()
        await shop.moment_with_shares({stable: 5_000, canary: 5_000})
        await shop.until_answered_by(load, canary, load.snapshot().revisions[canary].answers + 20)
        counted = await load.stop()
    router = counted.revisions.get(UNNAMED)
    measured("without_endpoints_s", round(gone - lost, 2))
    measured("then_at_stable_s", round(moved - gone, 2))
    measured("failed_by_code", router.codes if router else {})
    measured("failing_until_s_after", round(router.last - moved, 2) if router else None)
    assert moved - gone < 2
    assert counted.revisions[stable].bad == 0
    assert counted.revisions[canary].bad == 0
    assert counted.transport_errors == 0
    if router is not None:
        assert router.last < moved + _FOLLOWED_S, "no request fails once the router has followed"
        assert router.first > (lost if loss == "killed" else gone - 0.5), "while it still answers, nothing is lost"


async def lose(shop, canary, how):
    """All pods of the canary at once; what is returned mends what does not mend itself."""
    match how:
        case "killed":
            await shop.kill_pods(canary)
        case "deleted":
            await shop.delete_pods(canary)
        case "frozen":
            return await shop.freeze_pods(canary)
    return lambda: None
