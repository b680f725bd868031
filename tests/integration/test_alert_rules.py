"""Each alert rule fires: Prometheus's in promtool, Grafana's queries in a real InfluxDB."""

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.providers import influxdb
from controller.views.board import Range, filled
from hack.boards.alerts import RULES, Rule
from hack.node import debian
from hack.node.influx import InfluxDB
from tests.integration.influx_server import Server

CHECKOUT = Path(__file__).parents[2]


def test_prometheus_fires_each_rule_when_it_is_to_and_not_before(tmp_path):
    debian.ensure(debian.PROMETHEUS, by="the test of the alert rules")
    shutil.copy(CHECKOUT / "gitops/alerts/prometheus.yaml", tmp_path)
    shutil.copy(CHECKOUT / "tests/prometheus_rules.yaml", tmp_path / "tests.yaml")
    for command in (["check", "rules", "prometheus.yaml"], ["test", "rules", "tests.yaml"]):
        done = subprocess.run(["promtool", *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def server(tmp_path):
    with InfluxDB(tmp_path / "influx") as influx:
        yield Server(influx)


async def _values(server: Server, rule: Rule) -> list[float]:
    """As Grafana reduces them: the last one of each series."""
    now = datetime.now(UTC).timestamp()
    query = filled(rule.query, {}, Range(now - rule.looks_back_s, now), server.influx.bucket)
    database = influxdb.InfluxDB(server.config, server.influx.token)
    try:
        return [float(str(row["_value"])) for row in await database.rows(query)]
    finally:
        await database.close()


async def _fires(server: Server, name: str) -> bool:
    (rule,) = [rule for rule in RULES if rule.uid == name]
    return any(value > rule.above for value in await _values(server, rule))


def _ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


async def test_grafana_s_queries_say_who_waits_and_who_was_rejected(server):
    at = "pointsman.release,cluster=c,namespace=shop,release"
    server.write(f'{at}=web phase="Progressing"', f'{at}=api phase="Healthy"', at=_ago(300))
    assert not await _fires(server, "pointsman-waiting")
    assert not await _fires(server, "pointsman-rejected")
    server.write(f'{at}=web phase="Waiting"', f'{at}=api phase="RolledBack"', at=_ago(200))
    assert await _fires(server, "pointsman-waiting")
    assert await _fires(server, "pointsman-rejected")
    server.write(f'{at}=web phase="Progressing"', f'{at}=api phase="Healthy"', at=_ago(100))
    assert not await _fires(server, "pointsman-waiting")
    assert not await _fires(server, "pointsman-rejected")


async def test_grafana_s_queries_say_whether_somebody_leads(server):
    server.write("pointsman_leader,pod=a gauge=1", "pointsman_leader,pod=b gauge=0", at=_ago(40))
    assert not await _fires(server, "pointsman-no-leader")
    server.write("pointsman_leader,pod=a gauge=0", "pointsman_leader,pod=b gauge=0", at=_ago(20))
    assert await _fires(server, "pointsman-no-leader")


@pytest.mark.parametrize(
    ("name", "metric", "young"),
    [
        ("pointsman-git-owed", "pointsman_release_git_owed_since_timestamp_seconds", False),
        ("pointsman-rollback", "pointsman_release_last_rollback_timestamp_seconds", True),
    ],
)
async def test_grafana_s_queries_reckon_with_ages(server, name, metric, young):
    at = f"{metric},namespace=shop,release=web gauge"
    server.write(f"{at}={_ago(600).timestamp()}", at=_ago(20))
    assert await _fires(server, name) is young
    server.write(f"{metric},namespace=shop,release=api gauge={_ago(1200).timestamp()}", at=_ago(10))
    assert await _fires(server, name)


async def test_grafana_s_queries_say_that_looks_are_late(server):
    def scraped(fast: int, slow: int) -> Iterator[str]:
        """Of the one that makes looks, and of the one that stands by."""
        for address, quick, every in (("a", fast, fast + slow), ("b", 0, 0)):
            buckets = f"1={quick},5={quick},10={every},+Inf={every},count={every},sum=0"
            yield f"pointsman_look_lag_seconds,address={address} {buckets}"

    server.write(*scraped(100, 0), at=_ago(60))
    server.write(*scraped(200, 0), at=_ago(50))
    assert not await _fires(server, "pointsman-looks-behind")
    server.write(*scraped(200, 300), at=_ago(40))
    assert await _fires(server, "pointsman-looks-behind")
