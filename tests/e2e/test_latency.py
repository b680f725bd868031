"""A version that is slow and otherwise fine: only the application's own histograms show it."""

import pytest

from controller.api.resources import ANALYSIS_RUNS
from tests.e2e.own_source import offer_influxdb
from tests.e2e.shop import SHORT_DRAIN, weight


@pytest.fixture
async def own_source(shop):
    await offer_influxdb(shop)


async def test_a_version_that_only_adds_latency_is_rolled_back_for_it(shop, own_source, measured):
    metrics = [{"name": "errors", "template": "http-errors"}, {"name": "latency", "template": "http-latency"}]
    analysis = {"interval": "1s", "metrics": metrics, "advanced": {"settle": "2s", "warmUp": "2s"}}
    stable = await shop.given(weight(20, atMost="1m"), analysis=analysis, drain=SHORT_DRAIN)
    async with shop.load(rate=50) as load:
        # a half of them: a version that slows down all is taken back before the first look is over
        await shop.commit(VERSION="2", EXTRA_LATENCY="0.4", LATENCY_SHARE="0.5")
        done = await shop.until_phase("RolledBack", seconds=90)
        counted = await load.stop()
    slow = counted.revisions[done["lastRollback"]["revision"]]
    measured("rolled_back_after_s", round(slow.last - slow.first, 1))
    measured("slow_answers", slow.answers)
    measured("message", done["message"])
    assert done["reason"] == "Regressed"
    assert done["message"].startswith("latency: ")
    assert await shop.shares() == {stable: 10_000}
    assert counted.failed == 0, "it was slow, and nothing else"
    assert slow.last - slow.first < 30
    looks = await looks_of(shop, done)
    for name in ("errors", "latency"):
        seen = sum(look["rows"][name][1] for look in looks if name in look["rows"])
        assert 0 < seen <= slow.answers, f"{name} counts the canary's requests, each once"


async def looks_of(shop, done):
    run = await shop.kube.get(
        ANALYSIS_RUNS, shop.namespace, f"{shop.name}-{done['lastRollback']['revision']}-{done['attempt']}"
    )
    return run["status"]["looks"]
