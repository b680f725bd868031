"""A Release that is judged through Grafana's API behaves as one that is judged directly."""

from datetime import UTC, datetime

import pytest

from controller.api.resources import ANALYSIS_RUNS
from hack.node.influx import InfluxDB
from tests.grafana_server import FLUX_UID, ORGANIZATION, TOKEN, GrafanaServer
from tests.integration.metric_source import judged, offer_source
from tests.integration.operator_fixture import APPROVE, weight
from tests.integration.traffic import Traffic


@pytest.fixture
def influx(tmp_path):
    with InfluxDB(tmp_path / "influx") as server:
        yield server


@pytest.fixture
async def grafana(shop, influx):
    """The shipped template as it is, with a source that is Grafana."""
    async with GrafanaServer(influx).running() as server:
        source = {
            "url": server.url,
            "datasource": {"uid": FLUX_UID, "type": "influxdb"},
            "bucket": influx.bucket,
            "orgId": ORGANIZATION,
            "timeout": "1s",
        }
        await offer_source(shop.kube, shop.namespace, {"grafana": source}, token=TOKEN, templates=["http-errors"])
        yield server


@pytest.fixture
async def traffic(shop, influx, grafana):
    async with Traffic(shop.kube, shop.namespace, shop.name, influx).running() as traffic:
        yield traffic


async def test_a_bad_version_is_rolled_back_on_the_counts_that_grafana_passed_on(shop, traffic, grafana):
    await shop.given(judged(weight(10, atMost="60s")))
    stable = (await shop.status())["stableRevision"]
    traffic.bad[stable] = 0.01
    await shop.commit("2")
    canary = (await shop.until(lambda status: status.get("weight") == 10))["canaryRevision"]
    traffic.bad[canary] = 0.2
    done = await shop.until_phase("RolledBack")
    assert done["reason"] == "Regressed"
    assert await shop.shares() == {stable: 10000}
    run = await shop.kube.get(ANALYSIS_RUNS, shop.namespace, f"web-{canary}-1")
    bad, total = (sum(look["rows"]["errors"][index] for look in run["status"]["looks"]) for index in (0, 1))
    assert f"errors: {bad} of {total} bad on the canary" in done["message"]
    assert grafana.requests


async def test_a_good_version_is_promoted_and_an_outage_of_grafana_or_behind_it_blames_nobody(
    shop, traffic, grafana, influx
):
    await shop.given(judged(weight(10, atMost="5s")))
    await shop.commit("2")
    canary = (await shop.until(lambda status: status.get("weight") == 10))["canaryRevision"]
    influx.stop()
    behind = await shop.until(lambda status: status.get("reason") == "SourceOutage")
    assert (behind["phase"], behind["weight"]) == ("Waiting", 10)
    assert "cannot reach its data source" in behind["message"]
    grafana.token = "glsa_another"  # noqa: S105 - of a server of the tests
    itself = await shop.until(lambda status: "refuses the token (401)" in status.get("message", ""))
    assert itself["reason"] == "SourceOutage"
    grafana.token = TOKEN
    influx.start()
    done = await shop.until_phase("Healthy")
    assert done["stableRevision"] == canary
    assert "rejected" not in done


async def test_alerts_that_grafana_lists_take_a_version_back_or_make_it_wait(shop, traffic, grafana):
    def gate(name, then):
        return {"matchLabels": {"alertname": name, "service": "web"}, "source": "default", "then": then}

    gates = [gate("Errors", "rollback"), gate("Queue", "wait")]
    since = datetime.now(UTC)
    grafana.alerts.fire({"alertname": "Errors", "service": "web", "pod": "before"}, since)
    await shop.given(judged(weight(20), APPROVE, alerts=gates))
    stable = (await shop.status())["stableRevision"]
    await shop.commit("2")
    await shop.until(lambda status: status.get("reason") == "AwaitingApproval")
    assert grafana.alerts.asked, "and what fired before the rollout blames nobody"

    grafana.alerts.fire({"alertname": "Queue", "service": "web"}, datetime.now(UTC))
    waiting = await shop.until(lambda status: status.get("reason") == "AwaitingAlert")
    assert (waiting["phase"], waiting["weight"]) == ("Waiting", 20)
    grafana.alerts.listed.pop()
    await shop.until(lambda status: status.get("reason") == "AwaitingApproval")

    grafana.alerts.fire({"alertname": "Errors", "service": "web"}, datetime.now(UTC), silenced=True)
    asked = grafana.alerts.asked
    await shop.until(lambda _: grafana.alerts.asked > asked + 1)
    assert (await shop.status())["reason"] == "AwaitingApproval", "somebody has silenced it"
    grafana.alerts.listed.pop()

    grafana.alerts.fire({"alertname": "Errors", "service": "web"}, datetime.now(UTC))
    done = await shop.until_phase("RolledBack")
    assert done["reason"] == "AlertFiring"
    assert "alert Errors fires; it began" in done["message"]
    assert await shop.shares() == {stable: 10000}
