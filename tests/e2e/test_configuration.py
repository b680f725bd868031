"""An edit of a ConfigMap, with real pods: found out, taken back, and out of reach of the pods of stable."""

import yaml

from controller.api.resources import CONFIG_MAPS
from tests.e2e.patience import until
from tests.e2e.shop import SHORT_DRAIN, weight

_JUDGED = {
    "interval": "1s",
    "metrics": [{"name": "errors", "template": "http-errors"}],
    "advanced": {"settle": "2s", "warmUp": "2s"},
}


async def write(shop, error_rate):
    metadata = {"name": "settings", "namespace": shop.namespace}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"error-rate": error_rate}}
    if await shop.kube.find(CONFIG_MAPS, shop.namespace, "settings") is None:
        await shop.kube.create(CONFIG_MAPS, shop.namespace, body)
    else:
        await shop.kube.replace(CONFIG_MAPS, body)


def configured(shop):
    """The subject's pods, which fail as often as their ConfigMap says."""
    pods = yaml.safe_load(shop.manifest.read_text())["spec"]["template"]
    for variable in pods["spec"]["containers"][0]["env"]:
        if variable["name"] == "ERROR_RATE":
            del variable["value"]
            variable["valueFrom"] = {"configMapKeyRef": {"name": "settings", "key": "error-rate"}}
    return pods


async def test_a_configuration_that_fails_is_rolled_back_and_stays_so_until_it_is_mended(shop, measured):
    await write(shop, "0")
    stable = await shop.given(weight(20, atMost="1m"), template=configured(shop), analysis=_JUDGED, drain=SHORT_DRAIN)
    async with shop.load(rate=50) as load:
        await write(shop, "0.3")
        bad = await shop.until_phase("RolledBack", seconds=90)
        rejected = bad["lastRollback"]["revision"]
        await shop.delete_pods(stable)  # those that follow read what stable was released with

        async def is_whole():
            status = await shop.status()
            return status.get("readyReplicas") == 2 and len(await shop.pods(stable)) == 2

        await until(is_whole, "stable has its pods again")
        before = load.snapshot().failed
        await shop.until_answered_by(load, stable, load.snapshot().revisions[stable].answers + 200)
        counted = await load.stop()
    measured("rolled_back_after_s", round(counted.revisions[rejected].last - counted.revisions[rejected].first, 1))
    measured("message", bad["message"])
    assert bad["reason"] == "Regressed"
    assert bad["lastRollback"]["configurationChange"] == "configuration: settings/error-rate changed"
    assert counted.failed == before, "stable does not read what was rejected"
    assert await shop.shares() == {stable: 10_000}
    explained = await shop.pointsman("explain", shop.name)
    assert "change  configuration: settings/error-rate changed" in explained.text
    await write(shop, "0")
    assert (await shop.until_phase("Healthy"))["stableRevision"] == stable
    copies = await shop.kube.list(CONFIG_MAPS, shop.namespace, labels="pointsman.dev/revision")
    assert [item["metadata"]["name"] for item in copies] == [f"{shop.name}-{stable}-settings"]
