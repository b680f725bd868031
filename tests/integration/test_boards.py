"""Every panel of every dashboard returns rows from a real InfluxDB, out of what the operator itself wrote during a
release that is promoted and one that is rolled back.
"""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controller.cli.main import application
from hack.node.influx import InfluxDB
from hack.node.process import free_port
from tests.integration.metric_source import offer
from tests.integration.node import Node
from tests.integration.operator_fixture import APPROVE, OperatorProcess, Shop, release, weight
from tests.integration.traffic import Traffic
from tests.panels import panels_of, scraped

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
async def shop(api_server, kube, namespace, tmp_path, influx):
    """An operator that writes its decisions, and is scraped by InfluxDB itself."""
    port = free_port()
    environment = {
        "POINTSMAN_DECISIONS_URL": influx.url,
        "POINTSMAN_DECISIONS_ORG": influx.org,
        "POINTSMAN_DECISIONS_BUCKET": influx.bucket,
        "POINTSMAN_DECISIONS_TOKEN": influx.token,
    }
    operator = OperatorProcess(api_server, namespace, tmp_path / "operator.log", port=port, environment=environment)
    async with Node(kube, namespace).running() as node:
        with operator.running(), scraped(influx, f"http://127.0.0.1:{port}/metrics"):
            yield Shop(kube, namespace, node, operator, api_server)


@pytest.fixture
async def panels(influx, namespace):
    async with panels_of(influx, namespace=namespace, release=Shop.name) as found:
        yield found


async def test_every_panel_has_rows_during_a_promotion_and_a_rollback(shop, api_server, influx, panels, tmp_path):
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
        assert (await shop.command("approve", "web"))[0] == 0
        await shop.until_phase("Healthy")
        await shop.commit("3")
        bad = (await shop.until(lambda status: status.get("canaryRevision") not in (None, good)))["canaryRevision"]
        traffic.slower[bad], traffic.bad[bad] = PROMPT, 0.3
        done = await shop.until_phase("RolledBack")
        await panels.until_rows(seconds=90)  # InfluxDB scrapes every 10 s
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


async def board(shop: Shop, kubeconfig: Path, *options: str) -> tuple[int, str]:
    arguments = ["board", shop.name, "-n", shop.namespace, "--kubeconfig", str(kubeconfig), *options]
    done = await asyncio.to_thread(CliRunner().invoke, application("board"), arguments)
    return done.exit_code, done.output
