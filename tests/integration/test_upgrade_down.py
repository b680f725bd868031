"""One version down, from today's operator to 0.1.0's on today's CRDs, and up again."""

import asyncio
from functools import partial

import pytest

from controller.api.resources import CONFIG_MAPS
from tests.e2e.patience import until
from tests.integration.operator_fixture import APPROVE, pause, weight
from tests.integration.upgrade_fixture import at_rest, pictures, plane, under_way, upgrade

__all__ = ["plane", "upgrade"]

pytestmark = pytest.mark.upgrade

CONFIGURED = {
    "spec": {"containers": [{"name": "web", "image": "web:1", "envFrom": [{"configMapRef": {"name": "prompts"}}]}]}
}
UNREADABLE = ("fields", "fresh", "green", "switched")
"""By 0.1.0."""


async def newer(upgrade):
    """By today's operator: Releases that 0.1.0 reads and whose versions it names otherwise, and some it cannot read."""
    kube, namespace = upgrade.kube, upgrade.namespace
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "prompts"}, "data": {"tone": "polite"}}
    await kube.create(CONFIG_MAPS, namespace, config)
    made = await asyncio.gather(
        upgrade.given("settled", weight(50), pause(0.2), version=""),
        upgrade.given("configured", weight(20), pause(900), version="", template=CONFIGURED),
        upgrade.given("begun", weight(20), pause(900)),
        upgrade.given("refused", weight(20), APPROVE),
        upgrade.given("held", weight(20), APPROVE),
        upgrade.given("fields", weight(20), pause(900), configRefs="None", keepFailed="10m"),
        upgrade.given("fresh", strategy={"canary": {"baseline": "fresh", "steps": [weight(20), pause(900)]}}),
        upgrade.given("green", strategy={"blueGreen": {"steps": [APPROVE]}}),
        upgrade.given("switched", strategy={"blueGreen": {"steps": []}}),
    )
    shops = {shop.name: shop for shop in made}
    for name in ("refused", "held", "green"):
        await shops[name].until(lambda status: status["reason"] == "AwaitingApproval")
    for name in ("refused", "held"):
        await shops[name].ask("abort", (await shops[name].status())["canaryRevision"])
        await shops[name].until_phase("RolledBack")
    await shops["held"].commit("2", suspend=True)
    await shops["held"].until(lambda status: status["reason"] == "Suspended")
    for name in ("begun", "fields", "fresh"):
        await shops[name].until(lambda status: status["reason"] == "Pausing")
    await shops["switched"].until(lambda status: status["reason"] == "KeepingOld")
    return shops


@pytest.mark.timeout(900)
async def test_one_version_down_is_harmless_and_up_again_nothing_is_lost(upgrade):
    upgrade.earlier.start()
    older = await under_way(upgrade)
    assert upgrade.earlier.stop() == 0
    await upgrade.apply_current_crds()
    upgrade.current.start()
    await upgrade.taken_over(*older.values())
    newest = await newer(upgrade)
    for name in ("refused", "held", "configured", "begun"):
        await until(partial(at_rest, upgrade, newest[name]), f"{name} is at rest")
    shops = older | newest
    before = {name: await upgrade.picture(shop) for name, shop in shops.items()}
    assert upgrade.current.stop() == 0
    upgrade.earlier.start()
    await upgrade.taken_back(*shops.values())
    await newest["settled"].until(_is_again("Healthy", before["settled"]))
    for name in ("begun", "configured"):
        await newest[name].until(lambda status: status["reason"] == "Pausing" and status["weight"] == 20)
    await newest["refused"].until(lambda status: status["reason"] == "AwaitingApproval")
    for name in UNREADABLE:
        await newest[name].until_phase("Invalid")
    await upgrade.touched(*older.values())
    # what 0.1.0 has named is as it was
    assert await pictures(upgrade, older) == {name: before[name] for name in older}
    assert await upgrade.picture(newest["held"]) == before["held"]
    # what it cannot read is at stable, and nothing is deleted
    for name in UNREADABLE:
        found = await upgrade.picture(newest[name])
        assert found.shares == {before[name].status["stableRevision"]: 10000}
        assert found.objects == before[name].objects
        assert found.status["canaryRevision"] == before[name].status["canaryRevision"]
    # what today's operator has named is released once more, beside a stable version that is not touched
    for name in ("begun", "configured", "refused"):
        stable = before[name].status["stableRevision"]
        found = await upgrade.picture(newest[name])
        assert (found.status["stableRevision"], found.shares[stable]) == (stable, 8000)
        assert found.objects[f"Deployment {name}-{stable}"] == before[name].objects[f"Deployment {name}-{stable}"]
    settled = (await newest["settled"].status())["stableRevision"]
    assert upgrade.earlier.alive
    assert upgrade.earlier.stop() == 0
    upgrade.current.start()
    await upgrade.taken_over(*shops.values())
    await upgrade.touched(*shops.values())
    assert await pictures(upgrade, older) == {name: before[name] for name in older}
    assert (await newest["settled"].status())["stableRevision"] == settled
    assert await newest["settled"].shares() == {settled: 10000}
    # versions that it knows to be stable or rejected leave the canaries that 0.1.0 has made of them
    for name, phase in (("configured", "Healthy"), ("refused", "RolledBack")):
        await newest[name].until_phase(phase)
        assert await newest[name].shares() == before[name].shares
    for name, reason in (
        ("fields", "Pausing"),
        ("fresh", "Pausing"),
        ("green", "AwaitingApproval"),
        ("begun", "Pausing"),
    ):
        await newest[name].until(lambda status, reason=reason: status["reason"] == reason)
    await newest["switched"].until(lambda status: status["reason"] == "KeepingOld")
    for name in UNREADABLE:
        assert await newest[name].shares() == before[name].shares
    assert "Traceback" not in upgrade.log


def _is_again(phase, before):
    """Another revision has come out since."""
    old = before.status["stableRevision"]
    return lambda status: status["phase"] == phase and status["stableRevision"] != old
