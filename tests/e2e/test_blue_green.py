"""Blue/green on real pods and a real gateway: seen in the preview, switched at once, and back without a pod start."""

import time

import aiohttp

from tests.e2e.patience import until
from tests.e2e.shop import APPROVE, NOT_JUDGED, SHORT_DRAIN

_FOLLOWED_S = 3.0
"""The router's own time from a weight that was written to its last request elsewhere: 0.4 to 1.1 s were seen."""


def blue_green(shop, *steps, keep="10m"):
    return {"blueGreen": {"preview": {"hostnames": [preview(shop)]}, "steps": list(steps), "keepOld": keep}}


def preview(shop):
    return f"preview.{shop.host}"


async def answered_by(shop, host):
    """The revision that answers there; empty while none does."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(shop.cluster.gateway_url, headers={"Host": host}) as answer,
    ):
        return answer.headers.get("X-Revision", "") if answer.ok else ""


async def until_answered_at(shop, host, revision):
    async def is_it():
        return await answered_by(shop, host) == revision

    await until(is_it, f"{revision} answers at {host}")


async def until_the_service_leads_to(shop, revision):
    """It is written after the route, in the same pass."""

    async def is_it():
        return await shop.service_revision() == revision

    await until(is_it, f"Service {shop.name} leads to {revision}", 5)


async def test_a_version_is_previewed_switched_and_returned_and_no_request_is_lost(shop, measured):
    first = await shop.given(strategy=blue_green(shop, APPROVE), analysis=NOT_JUDGED, drain=SHORT_DRAIN)
    await until_answered_at(shop, preview(shop), first)
    async with shop.load(rate=100, fresh=0.3) as load:
        await shop.commit(VERSION="2")
        second = (await shop.until_phase("Paused"))["canaryRevision"]
        await until_answered_at(shop, preview(shop), second)
        assert second not in load.snapshot().revisions, "nobody but who asked for it has met it"
        await shop.ask("approve")
        await shop.until(lambda status: status.get("reason") == "KeepingOld")
        switched = await shop.moment_with_shares({second: 10_000})
        await until_the_service_leads_to(shop, second)
        await shop.until_answered_by(load, second, 200)
        old = load.snapshot().revisions[first]
        pods = {pod["metadata"]["uid"] for pod in await shop.pods(first)}
        await shop.ask("abort")
        returned = await shop.moment_with_shares({first: 10_000})
        await until_the_service_leads_to(shop, first)
        assert {pod["metadata"]["uid"] for pod in await shop.pods(first)} == pods, "no pod had to start"
        answers = load.snapshot().revisions[first].answers
        await shop.until_answered_by(load, first, answers + 200)
        await until_answered_at(shop, preview(shop), first)
        await shop.until_gone(second)
        counted = await load.stop()
    new = counted.revisions[second]
    measured("requests", counted.sent)
    measured("failed", counted.failed)
    measured("switch_s", round(old.last - switched, 2))
    measured("return_s", round(new.last - returned, 2))
    assert counted.failed == 0
    assert old.last - switched < _FOLLOWED_S
    assert new.last - returned < _FOLLOWED_S


async def test_a_version_that_fails_under_everybodys_load_is_switched_back_by_itself(shop, measured):
    analysis = {
        "interval": "1s",
        "metrics": [{"name": "errors", "template": "http-errors"}],
        "advanced": {"settle": "2s", "minBadUnits": 5},
    }
    first = await shop.given(strategy=blue_green(shop), analysis=analysis, drain=SHORT_DRAIN)
    async with shop.load(rate=50, fresh=0.3) as load:
        await shop.until_answered_by(load, first, 1_000)  # twenty looks of what was before
        committed = time.time()
        await shop.commit(VERSION="2", ERROR_RATE="0.1")
        status = await shop.until_phase("RolledBack", seconds=120)
        counted = await load.stop()
    second = status["lastRollback"]["revision"]
    measured("rolled_back_after_s", round(time.time() - committed, 1))
    measured("message", status["message"])
    measured("exposed_s", round(counted.revisions[second].last - counted.revisions[second].first, 1))
    assert status["reason"] == "Regressed"
    assert "before it" in status["message"]
    assert await shop.shares() == {first: 10_000}
    explained = await shop.pointsman("explain", shop.name)
    assert "has no bound" in explained.text
