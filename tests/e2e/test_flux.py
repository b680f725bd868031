"""Flux's own kustomize-controller brings versions to the cluster, which real pods serve and real metrics judge."""

from pathlib import Path

import pytest
import yaml

from controller.api.resources import RELEASES
from tests.e2e.patience import until
from tests.e2e.shop import APPROVE, SHORT_DRAIN, set_values, weight
from tests.flux import PROMOTED, SERVING, Flux, controller

_JUDGED = {
    "interval": "1s",
    "metrics": [{"name": "errors", "template": "http-errors"}],
    "advanced": {"settle": "2s", "warmUp": "2s"},
}


@pytest.fixture(scope="session")
def flux_controller(cluster, tmp_path_factory):
    with controller(Path(cluster.kubeconfig), tmp_path_factory.mktemp("flux")) as running:
        yield running


@pytest.fixture
async def flux(flux_controller, shop):
    flux = Flux(shop.kube, shop.namespace, flux_controller)
    yield flux
    await flux.stop()  # or nobody would take away the finalizer on which the namespace waits


@pytest.fixture
def manifests(shop):
    """A Release with these values, and what stands beside it."""
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"currency": "EUR"}}

    def manifests(spec=None, **values):
        steps = (weight(20, atLeast="2s", atMost="10s"), APPROVE)
        wanted = shop.wanted(*steps, analysis=_JUDGED, drain=SHORT_DRAIN, **(spec or {}))
        set_values(wanted, **values)
        return {"settings.yaml": yaml.safe_dump(settings), "release.yaml": yaml.safe_dump(wanted)}

    return manifests


async def test_flux_applies_in_mid_release_waits_for_the_promotion_says_a_rollback_and_prunes(shop, flux, manifests):
    first = await flux.commit(manifests())
    await flux.follow(SERVING)
    await flux.until_ready(first)
    stable = (await shop.until_phase("Healthy"))["stableRevision"]
    await until(lambda: shop.is_routed(shop.host), "the gateway answers")
    async with shop.load(rate=50) as load:
        second = await flux.commit(manifests(VERSION="2"))
        await flux.until_ready(second)
        paused = await shop.until(lambda status: status["reason"] == "AwaitingApproval", 90)
        third = await flux.commit(manifests({"revisionHistoryLimit": 3}, VERSION="2"))
        await flux.until_ready(third)
        assert (await shop.release())["spec"]["revisionHistoryLimit"] == 3
        now = await shop.until(lambda status: status["reason"] == "AwaitingApproval")
        same = ("stableRevision", "canaryRevision", "attempt", "step", "weight")
        assert {key: now[key] for key in same} == {key: paused[key] for key in same}

        await flux.wait_by(PROMOTED)
        await flux.until(lambda found, _: found["Ready"]["status"] != "True")
        await shop.ask("approve")
        await flux.until_ready(third)
        promoted = await shop.until_phase("Healthy")
        assert (paused["stableRevision"], promoted["stableRevision"]) == (stable, paused["canaryRevision"])

        await flux.commit(manifests({"revisionHistoryLimit": 3}, VERSION="3", ERROR_RATE="0.5"))
        message = await flux.until_failed_early()
        back = await shop.until_phase("RolledBack")
        assert f"Release/{shop.namespace}/{shop.name}" in message
        assert (back["reason"], back["stableRevision"]) == ("Regressed", promoted["stableRevision"])
        counted = await load.stop()
    rejected = back["lastRollback"]["revision"]
    assert counted.failed == counted.revisions[rejected].bad > 0, "no version fails but the bad one"

    without = await flux.commit({"settings.yaml": manifests()["settings.yaml"]})
    await flux.until_ready(without)
    assert await flux.applied() == {"ConfigMap"}

    async def is_gone():
        return await shop.kube.find(RELEASES, shop.namespace, shop.name) is None

    await until(is_gone, "the Release is gone")
    await shop.until_gone(promoted["stableRevision"])
