"""The same bad and good versions, judged by InfluxDB directly and through Grafana's API, end the same way."""

import pytest

from controller.api.resources import ANALYSIS_RUNS
from tests import real_grafana
from tests.e2e import own_source
from tests.e2e.shop import SHORT_DRAIN, weight
from tests.grafana_server import FLUX_UID, ORGANIZATION, TOKEN, GrafanaServer

ANALYSIS = {
    "interval": "1s",
    "metrics": [{"name": "errors", "template": "http-errors"}],
    "advanced": {"settle": "2s", "warmUp": "2s"},
}


@pytest.fixture(params=["directly", "through Grafana"])
async def server(request, shop):
    """The strict server in Grafana's place; None where InfluxDB itself, or a real Grafana, is asked."""
    if request.param == "directly":
        await own_source.offer_influxdb(shop)
        yield None
        return
    if real_grafana.GIVEN:
        of_flux = {"flux": real_grafana.of_influxdb(shop.cluster.influx)["flux"]}
        async with real_grafana.data_sources(of_flux) as uids:
            source = {"uid": uids["flux"], "type": "influxdb"}
            spec = {"url": real_grafana.GIVEN, "datasource": source, "bucket": shop.cluster.influx.bucket}
            await own_source.offer(shop, "grafana", spec, token=real_grafana.TOKEN)
            yield None
        return
    async with GrafanaServer(shop.cluster.influx, address=shop.cluster.address).running() as server:
        spec = {
            "url": server.url,
            "datasource": {"uid": FLUX_UID, "type": "influxdb"},
            "bucket": shop.cluster.influx.bucket,
            "orgId": ORGANIZATION,
        }
        await own_source.offer(shop, "grafana", spec, token=TOKEN)
        yield server


async def test_a_bad_version_is_rolled_back_and_a_good_one_promoted(shop, server, measured):
    stable = await shop.given(weight(20, atMost="20s"), analysis=ANALYSIS, drain=SHORT_DRAIN)
    async with shop.load(rate=100) as load:
        await shop.commit(VERSION="2", ERROR_RATE="0.3")
        rejected = await shop.until_phase("RolledBack", seconds=90)
        assert await shop.shares() == {stable: 10_000}
        await shop.commit(VERSION="3", ERROR_RATE="0")
        promoted = await shop.until(lambda status: status["phase"] == "Healthy", seconds=90)
        counted = await load.stop()
    bad, good = rejected["lastRollback"]["revision"], promoted["stableRevision"]
    assert rejected["reason"] == "Regressed"
    assert rejected["message"].startswith("errors: ")
    assert good not in (stable, bad)
    assert counted.failed == counted.revisions[bad].bad > 0, "nobody else's requests failed"
    for revision, status, verdict in ((bad, rejected, "regression"), (good, promoted, "promoted")):
        run = await shop.kube.get(ANALYSIS_RUNS, shop.namespace, f"{shop.name}-{revision}-{status['attempt']}")
        assert run["status"]["verdict"] == verdict
        seen = sum(look["rows"]["errors"][1] for look in run["status"]["looks"] if "errors" in look["rows"])
        assert 0 < seen <= counted.revisions[revision].answers, "the canary's requests, each once"
    if server is not None:
        assert server.requests, "Grafana was asked"
    measured("message", rejected["message"])
