"""What ships for dashboards and alerts, during a release that is promoted and one that is rolled back: on what the
operator itself wrote, and on what a real Telegraf and a real Prometheus read of its metrics.
"""

import asyncio
import json
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from controller.cli.main import application
from controller.views.board import Range, filled
from hack.boards.alerts import RULES
from hack.node.influx import InfluxDB
from hack.node.process import free_port
from hack.node.prometheus import Prometheus
from tests.integration.metric_source import offer
from tests.integration.node import Node
from tests.integration.operator_fixture import APPROVE, OperatorProcess, Shop, release, weight
from tests.integration.traffic import Traffic
from tests.panels import asking, panels_of
from tests.telegraf import telegraf

RULES_OF_PROMETHEUS = Path(__file__).parents[2] / "gitops/alerts/prometheus.yaml"
METRICS = [
    {"name": "errors", "template": "http-errors"},
    {"name": "latency", "template": "http-latency-quantiles", "margin": {"rollbackAbove": 1.25}},
]
PROMPT = {0.05: 0.4, 0.1: 0.09, 0.25: 0.02, 1.0: 0.0}


@pytest.fixture
def influx(tmp_path):
    with InfluxDB(tmp_path / "influx") as server:
        yield server


@pytest.fixture
def ports():
    """Of the metrics of the operator that leads, and of one that stands by."""
    return free_port(), free_port()


@pytest.fixture
async def shop(api_server, kube, namespace, tmp_path, influx, ports):
    """Two operators, as installed, that write what they decide, and whose metrics Telegraf reads as gitops says."""
    places = [f'"http://127.0.0.1:{port}/metrics"' for port in ports]
    here = {'"http://pointsman-metrics.pointsman-system:8081/metrics"': ", ".join(places)}
    environment = {
        "POINTSMAN_DECISIONS_URL": influx.url,
        "POINTSMAN_DECISIONS_ORG": influx.org,
        "POINTSMAN_DECISIONS_BUCKET": influx.bucket,
        "POINTSMAN_DECISIONS_TOKEN": influx.token,
    }
    leader, other = (
        OperatorProcess(api_server, namespace, tmp_path / f"{name}.log", port=port, environment=environment)
        for name, port in zip(("operator", "other"), ports, strict=True)
    )
    async with Node(kube, namespace).running() as node, telegraf("operator", influx, here, tmp_path, environment={}):
        with leader.running():
            await asyncio.to_thread(until_it_leads, ports[0])
            with other.running():
                yield Shop(kube, namespace, node, leader, api_server)


def until_it_leads(port):
    deadline = time.monotonic() + 60
    while "\npointsman_leader 1.0\n" not in metrics(port):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def metrics(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    except httpx.TransportError:
        return ""


@pytest.fixture
def prometheus(tmp_path, ports):
    places = [f"127.0.0.1:{port}" for port in ports]
    with Prometheus(tmp_path / "prometheus", scrapes=places, rules=RULES_OF_PROMETHEUS) as running:
        yield running


@pytest.fixture
async def panels(influx, namespace):
    async with panels_of(influx, namespace=namespace, release=Shop.name) as found:
        yield found


async def test_every_panel_has_rows_during_a_promotion_and_a_rollback(
    shop, api_server, influx, panels, prometheus, tmp_path
):
    await offer(shop.kube, shop.namespace, influx, ("http-errors", "http-latency-quantiles"))
    analysis = {"interval": "1s", "metrics": METRICS, "advanced": {"settle": "700ms", "minUnits": 10, "warmUp": "0s"}}
    traffic = Traffic(shop.kube, shop.namespace, shop.name, influx)
    async with traffic.running():
        await shop.given(release(weight(10, atMost="4s"), APPROVE, weight(50, atMost="4s"), analysis=analysis))
        stable = (await shop.status())["stableRevision"]
        traffic.slower[stable] = PROMPT
        traffic.bad[stable] = 0.01
        await asyncio.sleep(3)
        await shop.commit("2")
        good = (await shop.until(lambda status: status.get("canaryRevision")))["canaryRevision"]
        traffic.slower[good], traffic.bad[good] = PROMPT, 0.01
        await shop.until_phase("Paused")
        code, said = await shop.command("approve", "web")
        assert code == 0 or "it will when it runs" in said, said  # a busy operator answers after the command's patience
        await shop.until_phase("Healthy")
        await shop.commit("3")
        bad = (await shop.until(lambda status: status.get("canaryRevision") not in (None, good)))["canaryRevision"]
        traffic.slower[bad], traffic.bad[bad] = PROMPT, 0.3
        done = await shop.until_phase("RolledBack")
        await panels.until_rows(seconds=90)
        firing = await asyncio.to_thread(prometheus.alerts)
    firing.pop("PointsmanLooksBehind", None)  # a busy machine is
    assert firing == {"PointsmanRollback": "firing", "PointsmanRevisionRejected": "pending"}
    assert await over_their_bounds(influx) - {"pointsman-looks-behind"} == {"pointsman-rollback", "pointsman-rejected"}
    (row,) = panels.rows["fleet", "Rolled back, or refused"]
    assert (row["release"], row["phase"], row["reason"]) == ("web", "RolledBack", done["reason"])
    code, said = await board(shop, api_server, "--json")
    assert code == 0, said
    now = {panel["title"]: panel["rows"] for panel in json.loads(said)["panels"]}
    assert {row["slower_than_s"] for row in now["Latency: units slower than each threshold"]} >= {0.05, 0.25}
    rates = now["Bad units of both versions"]
    assert max(row["_value"] for row in rates if row["series"] == "errors, new") > 20
    assert max(row["_value"] for row in rates if row["series"] == "errors, stable") < 5
    assert any(row["reason"] == done["reason"] for row in now["Steps, verdicts, what people asked for"])
    for name in ("board.html", "board.svg"):
        file = tmp_path / name
        assert await board(shop, api_server, "--output", str(file)) == (0, f"wrote {file}\n")
        assert "errors, boundary" in file.read_text()


async def over_their_bounds(influx: InfluxDB) -> set[str]:
    """The rules for Grafana whose query says so now, without their patience."""
    now = time.time()
    async with asking(influx) as database:
        found = {}
        for rule in RULES:
            query = filled(rule.query, {}, Range(now - rule.looks_back_s, now), influx.bucket)
            found[rule.uid] = [float(str(row["_value"])) for row in await database.rows(query)]
    assert found["pointsman-no-leader"] == [0.0], "somebody leads, and is read"
    assert len(found["pointsman-looks-behind"]) == 1, "looks are read"
    return {rule.uid for rule in RULES if any(value > rule.above for value in found[rule.uid])}


async def board(shop: Shop, kubeconfig: Path, *options: str) -> tuple[int, str]:
    arguments = ["board", shop.name, "-n", shop.namespace, "--kubeconfig", str(kubeconfig), *options]
    done = await asyncio.to_thread(CliRunner().invoke, application("board"), arguments)
    return done.exit_code, done.output
