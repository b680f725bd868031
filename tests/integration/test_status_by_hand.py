"""What people do to a status by hand, or with a backup."""

import asyncio

import pytest

from controller.api.resources import EVENTS, RELEASES
from tests.integration.operator_fixture import APPROVE, release, weight


async def test_a_status_removed_in_mid_release_promotes_nothing(shop):
    """The canary, which nobody had judged, got all of the traffic as a first version."""
    await shop.given(release(weight(10), APPROVE))
    stable = (await shop.status())["stableRevision"]
    await shop.commit("2")
    await shop.until(lambda status: status["reason"] == "AwaitingApproval")
    await shop.kube.patch(RELEASES, shop.namespace, shop.name, {"status": None}, subresource="status")
    for _ in range(20):
        assert (await shop.shares())[stable] >= 9000
        await asyncio.sleep(0.1)  # nothing happens, and that takes time
    again = await shop.until(lambda status: status.get("reason") == "AwaitingApproval")
    assert again["stableRevision"] == stable
    assert "StatusLost" in {event["reason"] for event in await shop.kube.list(EVENTS, shop.namespace)}


@pytest.mark.parametrize("asked_for", ["1", "2"])
async def test_a_status_removed_after_a_switch_promotes_nothing(shop, asked_for):
    """The spec is at the new version, or somebody goes back to the old one at the same time."""
    await shop.given(release(strategy={"blueGreen": {"steps": [APPROVE], "keepOld": "10m"}}))
    stable = (await shop.status())["stableRevision"]
    await shop.commit("2")
    await shop.until(lambda status: status["reason"] == "AwaitingApproval")
    await shop.command("approve", "web")
    switched = await shop.until(lambda status: status["reason"] == "KeepingOld")
    await shop.kube.patch(RELEASES, shop.namespace, shop.name, {"status": None}, subresource="status")
    await shop.commit(asked_for)
    coming = switched["canaryRevision"] if asked_for == "2" else None
    phase = "Paused" if asked_for == "2" else "Healthy"
    again = await shop.until(lambda status: status.get("phase") == phase)
    assert (again["stableRevision"], again.get("canaryRevision")) == (stable, coming)
    assert (await shop.shares())[stable] == 10_000


async def test_a_reason_is_one_printable_line_in_the_status(shop):
    await shop.given(release(weight(10), APPROVE))
    await shop.commit("2")
    await shop.until(lambda status: status["reason"] == "AwaitingApproval")
    await shop.command("pause", "web", "--reason", "a\x1b[31mred\nline2\u202ex")
    paused = await shop.until(lambda status: status["reason"] == "PausedByPerson")
    assert paused["message"].isprintable()
    assert "red line2x" in paused["message"]
