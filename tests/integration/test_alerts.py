"""Alerts that are sent to a real operator, with tokens that a real API server judges."""

import time

from tests.integration.operator_fixture import APPROVE, release, weight
from tests.unit.gates.bodies import alert, alertmanager, grafana, kapacitor

pytest_plugins = ["tests.integration.alerts_fixture"]

GATES = [
    {"matchLabels": {"alertname": "Errors", "service": "web"}},
    {"matchLabels": {"alertname": "queue:service=web", "level": "CRITICAL"}, "then": "wait"},
]


def gated(*steps):
    return release(*steps, analysis={"alerts": GATES})


async def test_a_firing_alert_takes_a_version_back_and_is_named(alerted, send):
    await alerted.given(gated(weight(20), APPROVE))
    stable = (await alerted.status())["stableRevision"]
    before = alert(time.time(), service="web")
    assert await send(grafana(before)) == 200
    await alerted.commit("2")
    await alerted.until(lambda status: status.get("reason") == "AwaitingApproval")
    assert await send(alertmanager(before)) == 200, "repeated"
    forged = "forged"
    assert await send(alertmanager(alert(time.time(), service="web")), token=forged) == 401
    assert (await alerted.status())["reason"] == "AwaitingApproval"
    assert await send(alertmanager(alert(service="web", pod="other"), alert(time.time(), service="web"))) == 200
    done = await alerted.until_phase("RolledBack")
    assert done["reason"] == "AlertFiring"
    assert "alert Errors fires; it began" in done["message"]
    assert await alerted.shares() == {stable: 10000}


async def test_an_alert_that_is_waited_for_outlives_a_restart_of_the_operator(alerted, send, operator):
    await alerted.given(gated(weight(20), APPROVE, weight(50)))
    await alerted.commit("2")
    await alerted.until(lambda status: status.get("reason") == "AwaitingApproval")
    fires = {**kapacitor("CRITICAL", at=time.time()), "id": "queue:service=web"}
    assert await send(fires) == 200
    waiting = await alerted.until(lambda status: status.get("reason") == "AwaitingAlert")
    assert (waiting["phase"], waiting["weight"]) == ("Waiting", 20)
    assert [one["name"] for one in waiting["firingAlerts"]] == ["queue:service=web"]
    operator.kill()
    operator.start()
    assert await send(alertmanager(alert(service="nobody"))) == 200, "it leads again"
    still = await alerted.status()
    assert (still["reason"], still["weight"]) == ("AwaitingAlert", 20), "nobody has repeated the alert"
    assert await send({**kapacitor("OK", at=time.time()), "id": "queue:service=web"}) == 200
    await alerted.until(lambda status: status.get("reason") == "AwaitingApproval")
    assert (await alerted.command("approve", alerted.name))[0] == 0
    done = await alerted.until_phase("Healthy")
    assert "rejected" not in done
