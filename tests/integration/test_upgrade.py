"""From 0.1.0, operator and CRDs, to today's in mid-release, and one version down: nothing is lost."""

from functools import partial
from typing import Any

import pytest

from controller.api.resources import CONTROLLER_REVISIONS, DEPLOYMENTS, RELEASES
from controller.kube.client import InvalidError
from tests import earlier, golden
from tests.e2e.patience import until
from tests.integration.operator_fixture import APPROVE, pause, release, weight
from tests.integration.upgrade_fixture import pictures, plane, under_way, upgrade

__all__ = ["plane", "upgrade"]

pytestmark = pytest.mark.upgrade


async def _everything_goes_on(upgrade, shops, before):
    """Each is promoted, rolled back, approved, deleted or retried, with the names that 0.1.0 gave."""
    was = {name: picture.status for name, picture in before.items()}
    await shops["waiting"].ask("approve", was["waiting"]["canaryRevision"])
    await shops["pausing"].ask("promote", was["pausing"]["canaryRevision"])
    await shops["by-pods"].ask("skip", was["by-pods"]["canaryRevision"])
    await shops["going"].ask("abort", was["going"]["canaryRevision"])
    await shops["calm"].ask("rollback", was["calm"]["stableRevision"])
    await shops["rejected"].ask("retry", was["rejected"]["rejected"][0]["revision"])
    for name in ("waiting", "pausing", "by-pods"):
        done = await shops[name].until_phase("Healthy")
        assert (done["stableRevision"], done["previousStable"], done["attempt"]) == (
            was[name]["canaryRevision"],
            was[name]["stableRevision"],
            was[name]["attempt"],
        )
    for name, left, stays in (
        ("going", "canaryRevision", "stableRevision"),
        ("calm", "stableRevision", "previousStable"),
    ):
        back = await shops[name].until_phase("RolledBack")
        assert (back["rejected"][0]["revision"], back["stableRevision"]) == (was[name][left], was[name][stays])
        assert await shops[name].shares() == {was[name][stays]: 10000}
    await _deleted_with_orphan(upgrade, shops["leaving"], before["leaving"])
    again = await shops["rejected"].until(lambda status: status["reason"] == "AwaitingApproval")
    assert again["canaryRevision"] == was["rejected"]["rejected"][0]["revision"]
    assert again["attempt"] == was["rejected"]["attempt"] + 1


async def _deleted_with_orphan(upgrade, shop, before):
    await upgrade.kube.delete(RELEASES, upgrade.namespace, shop.name)
    await until(lambda: _gone(upgrade, shop.name), "the Release is gone")
    assert await shop.shares() == {before.status["stableRevision"]: 10000}
    left = await upgrade.objects(shop)
    stable = f"Deployment {shop.name}-{before.status['stableRevision']}"
    assert left[stable] == before.objects[stable], "what serves is not touched"
    for kind in (DEPLOYMENTS, CONTROLLER_REVISIONS):
        for item in await upgrade.kube.list(kind, upgrade.namespace, labels=f"pointsman.dev/release={shop.name}"):
            assert "ownerReferences" not in item["metadata"]


async def _gone(upgrade, name):
    return await upgrade.kube.find(RELEASES, upgrade.namespace, name) is None


async def test_the_operator_of_before_is_killed_and_every_release_goes_on(upgrade):
    upgrade.earlier.start()
    shops = await under_way(upgrade)
    before = await pictures(upgrade, shops)
    upgrade.earlier.kill()
    await upgrade.apply_current_crds()
    upgrade.current.start()
    await upgrade.taken_over(*shops.values())
    await upgrade.touched(*shops.values())
    assert await pictures(upgrade, shops) == before
    for shop in shops.values():
        await until(partial(upgrade.autoscaled, shop), f"an autoscaler counts all pods of {shop.name}")
    await _everything_goes_on(upgrade, shops, before)
    assert upgrade.current.alive


async def test_crds_that_come_first_leave_the_operator_of_before_at_work(upgrade):
    upgrade.earlier.start()
    shops = await under_way(upgrade)
    before = await pictures(upgrade, shops)
    await upgrade.apply_current_crds()
    await upgrade.touched(*shops.values())
    assert await pictures(upgrade, shops) == before
    # the next release is begun by the operator of before
    late = await upgrade.given("late", weight(10), pause(0.2), weight(50), APPROVE)
    await late.until(lambda status: status["reason"] == "AwaitingApproval")
    shops["late"] = late
    before = await pictures(upgrade, shops)
    upgrade.current.start()
    await until(lambda: "standing by" in upgrade.log, "today's operator stands by")
    assert upgrade.earlier.stop() == 0
    await upgrade.taken_over(*shops.values())
    await upgrade.touched(*shops.values())
    assert await pictures(upgrade, shops) == before
    await _everything_goes_on(upgrade, shops, before)
    await late.ask("approve", before["late"].status["canaryRevision"])
    assert (await late.until_phase("Healthy"))["stableRevision"] == before["late"].status["canaryRevision"]


TIGHTER: dict[str, dict[str, Any]] = {
    "capital": {"traffic": {"gatewayAPI": {"parentRefs": [{"name": "public"}], "hostnames": ["Web.localhost"]}}},
    "centuries": {"drain": {"quiet": "1s", "max": "100000d"}},
}
"""Specs that 0.1.0's CRDs take and today's refuse."""
DATAGRAMS: dict[str, Any] = {"service": {"ports": [{"port": 80, "protocol": "UDP"}]}}
"""What both take, and today's operator refuses."""


async def stored(upgrade):
    """By 0.1.0's CRDs: of today's valid manifests those that they take, and what only they take."""
    kube, kept = upgrade.kube, []
    kinds = {item["spec"]["names"]["kind"] for item in earlier.definitions()}
    examples = [raw for raw in map(golden.load, golden.valid()) if raw["kind"] in kinds]
    for number, raw in enumerate([*examples, *(release(**spec) for spec in (*TIGHTER.values(), DATAGRAMS))]):
        resource = golden.KINDS[raw["kind"]]
        body = {**raw, "metadata": {"name": f"kept-{number}"}}
        try:
            await kube.create(resource, upgrade.namespace, body)  # without the fields that 0.1.0 does not have
        except InvalidError:  # it needs what 0.1.0 does not know
            continue
        kept.append((resource, f"kept-{number}"))
    return kept


async def test_stored_objects_take_every_write_that_leaves_what_they_have(upgrade):
    """A rule that is new may not keep a finalizer, a label, a status or another field from being written."""
    kube, namespace = upgrade.kube, upgrade.namespace
    kept = await stored(upgrade)
    assert {resource.kind for resource, _ in kept} == golden.KINDS.keys() - {"ReleaseRepository"}
    assert len(kept) > len(TIGHTER) + 10
    await upgrade.apply_current_crds()
    for spec in TIGHTER.values():
        with pytest.raises(InvalidError):
            await kube.create(RELEASES, namespace, {**release(**spec), "metadata": {"name": "new"}})
    for resource, name in kept:
        found = await kube.get(resource, namespace, name)
        found["metadata"]["labels"] = {"team": "shop"}
        await kube.replace(resource, found)
        for finalizers in (["pointsman.dev/traffic"], []):
            await kube.patch(resource, namespace, name, {"metadata": {"finalizers": finalizers}})
        if resource is RELEASES:
            await kube.patch(resource, namespace, name, {"status": {"phase": "Pending", "reason": "New"}}, "status")
            await kube.patch(resource, namespace, name, {"spec": {"replicas": 3, "suspend": True}})
        listed = await kube.list(resource, namespace)
        assert name in {item["metadata"]["name"] for item in listed}
