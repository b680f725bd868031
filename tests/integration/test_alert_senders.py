"""Real senders: Debian's Alertmanager and Kapacitor, each set up as the page about alerts says."""

import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from hack.node.alertmanager import Alertmanager
from hack.node.kapacitor import Endpoint, Kapacitor
from tests.integration.operator_fixture import APPROVE, release, weight

pytest_plugins = ["tests.integration.alerts_fixture"]

PAGE = (Path(__file__).parents[2] / "controller/docs/alerts.md").read_text()


def shown(language, of):
    """What the page shows in this language and has this in it."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.+?)```", PAGE, re.DOTALL) if of in text]
    return found


def gated(*gates):
    return release(weight(20), APPROVE, analysis={"alerts": list(gates)})


async def test_alertmanager_makes_a_release_wait_and_takes_it_back(alerted, send, tmp_path):
    token = tmp_path / "token"
    token.write_text(send.token)
    (receiver,) = yaml.safe_load(shown("yaml", "webhook_configs"))["receivers"]
    (webhook,) = receiver["webhook_configs"]
    webhook["url"] = send.url
    webhook["http_config"]["authorization"]["credentials_file"] = str(token)
    of_service = {"service": "web"}
    with Alertmanager(tmp_path, receiver) as sender:
        before = datetime.now(UTC)
        sender.take({"alertname": "Errors", "pod": "other", **of_service}, since=before)
        await alerted.given(
            gated(
                {"matchLabels": {"alertname": "Queue", **of_service}, "then": "wait"},
                {"matchLabels": {"alertname": "Errors", **of_service}},
            )
        )
        stable = (await alerted.status())["stableRevision"]
        await alerted.commit("2")
        await alerted.until(lambda status: status.get("reason") == "AwaitingApproval")

        queue = {"alertname": "Queue", **of_service}
        began = datetime.now(UTC)
        sender.take(queue, since=began, until=began + timedelta(hours=1))
        waiting = await alerted.until(lambda status: status.get("reason") == "AwaitingAlert")
        assert [one["name"] for one in waiting["firingAlerts"]] == ["Queue"]
        sender.take(queue, since=began, until=datetime.now(UTC))
        await alerted.until(lambda status: status.get("reason") == "AwaitingApproval")

        sender.take({"alertname": "Errors", **of_service}, since=datetime.now(UTC))
        done = await alerted.until_phase("RolledBack")
    assert done["reason"] == "AlertFiring"
    assert "alert Errors fires; it began" in done["message"]
    assert await alerted.shares() == {stable: 10000}


QUEUE = """
stream
    |from()
        .measurement('queue')
        .groupBy('service')
    |alert()
        .id('{{ .TaskName }}:{{ .Group }}')
        .warn(lambda: "depth" > 50)
        .crit(lambda: "depth" > 100)
        .post()
            .endpoint('pointsman')
"""


async def test_kapacitor_makes_a_release_wait_and_takes_it_back(alerted, send, tmp_path):
    (endpoint,) = tomllib.loads(shown("toml", "httppost"))["httppost"]
    assert endpoint["headers"] == {"Authorization": "Bearer TOKEN"}
    assert f".endpoint('{endpoint['endpoint']}')" in QUEUE
    gate = {"alertname": "queue:service=web"}
    await alerted.given(
        gated(
            {"matchLabels": {**gate, "level": "WARNING"}, "then": "wait"},
            {"matchLabels": {"service": "web", "level": "CRITICAL"}},
        )
    )
    stable = (await alerted.status())["stableRevision"]
    await alerted.commit("2")
    await alerted.until(lambda status: status.get("reason") == "AwaitingApproval")
    with Kapacitor(tmp_path, endpoint=Endpoint(endpoint["endpoint"], send.url, send.token)) as sender:
        sender.define("queue", QUEUE)

        def counted(depth, service="web"):
            sender.write(f"queue,service={service} depth={depth} {round(datetime.now(UTC).timestamp() * 1e9)}")

        counted(500, service="other")
        counted(70)
        waiting = await alerted.until(lambda status: status.get("reason") == "AwaitingAlert")
        assert [one["name"] for one in waiting["firingAlerts"]] == ["queue:service=web"]
        counted(7)
        await alerted.until(lambda status: status.get("reason") == "AwaitingApproval")
        counted(170)
        done = await alerted.until_phase("RolledBack")
    assert done["reason"] == "AlertFiring"
    assert "alert queue:service=web fires; it began" in done["message"]
    assert await alerted.shares() == {stable: 10000}
