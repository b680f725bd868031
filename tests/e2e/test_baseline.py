"""`baseline: fresh` on real pods and a real gateway: three versions share the work, and none of it is lost."""

from controller.api.resources import ANALYSIS_RUNS
from tests.e2e.shop import SHORT_DRAIN, weight

ANALYSIS = {
    "interval": "1s",
    "metrics": [{"name": "errors", "template": "http-errors"}],
    "advanced": {"settle": "2s", "minBadUnits": 5},
}


def fresh(*steps):
    return {"canary": {"baseline": "fresh", "steps": list(steps)}}


async def test_a_canary_shares_with_its_baseline_and_comes_out_without_a_lost_request(shop, measured):
    first = await shop.given(
        strategy=fresh(weight(20, atLeast="5s", atMost="15s"), weight(50, atLeast="5s", atMost="15s")),
        analysis=ANALYSIS,
        drain=SHORT_DRAIN,
    )
    async with shop.load(rate=100, fresh=0.3) as load:
        await shop.commit(VERSION="2")
        second = await shop.until_weight(20)
        baseline = (await shop.status())["baselineRevision"]
        await shop.moment_with_shares({first: 6_000, second: 2_000, baseline: 2_000})
        await shop.until_answered_by(load, baseline, 100)
        await shop.moment_with_shares({second: 5_000, baseline: 5_000})
        done = await shop.until_phase("Healthy", seconds=120)
        await shop.until_gone(baseline)
        counted = await load.stop()
    measured("requests", counted.sent)
    measured("failed", counted.failed)
    assert done["stableRevision"] == second
    assert counted.failed == 0
    run = await shop.kube.get(ANALYSIS_RUNS, shop.namespace, f"{shop.name}-{second}-{done['attempt']}")
    assert run["spec"]["baselineRevision"] == baseline
    seen = [
        look["rows"]["errors"] for look in run["status"]["looks"] if look.get("baseline") and "errors" in look["rows"]
    ]
    canary, beside = (sum(row[column] for row in seen) for column in (1, 3))
    measured("canary_units", canary)
    measured("baseline_units", beside)
    assert 0 < beside <= counted.revisions[baseline].answers, "the other row is the baseline's, each request once"
    assert 0.7 < canary / beside < 1.4


async def test_a_canary_that_is_worse_than_its_baseline_is_rolled_back(shop):
    first = await shop.given(strategy=fresh(weight(20, atMost="2m")), analysis=ANALYSIS, drain=SHORT_DRAIN)
    async with shop.load(rate=100, fresh=0.3) as load:
        await shop.commit(VERSION="2", ERROR_RATE="0.3")
        done = await shop.until_phase("RolledBack", seconds=120)
        await load.stop()
    assert done["lastRollback"]["reason"] in ("Regressed", "AllBad")
    assert await shop.shares() == {first: 10_000}
    explained = await shop.pointsman("explain", shop.name)
    assert ", baseline " in explained.text
