"""`replicas`: callers inside the cluster, who pass no router, share a Release's versions by the number of pods."""

import time

from tests.e2e.callers import Callers
from tests.e2e.patience import until
from tests.e2e.shop import APPROVE, NOT_JUDGED, SHORT_DRAIN, weight


async def test_callers_of_the_service_meet_both_versions_while_they_share(shop, measured):
    stable = await shop.given(
        weight(33), APPROVE, replicas=3, traffic={"replicas": {}}, analysis=NOT_JUDGED, drain=SHORT_DRAIN
    )
    async with Callers(await shop.address_inside()).calling() as callers:
        await until(lambda: callers.answered()[stable] > 20, "the node's proxy knows the new Service")
        begun = time.time()
        await shop.commit(VERSION="2")
        canary = (await shop.until_phase("Paused"))["canaryRevision"]
        shared = time.time()
        await until(lambda: callers.answered(since=shared).total() >= 200, "200 answers while they share")
        while_shared = callers.answered(since=shared)
        await shop.ask("approve")
        assert (await shop.until_phase("Healthy"))["stableRevision"] == canary
        await shop.until_gone(stable)
        promoted = time.time()
        await until(lambda: callers.answered(since=promoted).total() >= 40, "40 answers after the promotion")
    measured("while_shared", dict(while_shared))
    measured("answers", len(callers.answers))
    assert set(while_shared) == {stable, canary}
    assert 0.15 < while_shared[canary] / while_shared.total() < 0.55, "one pod of three"
    assert set(callers.answered(since=promoted)) == {canary}
    assert callers.failed(since=begun) == []
