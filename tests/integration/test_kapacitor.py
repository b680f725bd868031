"""The TICKscripts of gitops/kapacitor in a real Kapacitor: each fires when it is to, says so, links its runbook, and
ends.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hack.boards.kapacitor import TASKS
from hack.node.kapacitor import Kapacitor
from tests.integration.influx_server import Server

pytest_plugins = ["tests.integration.influx_fixture", "tests.integration.kapacitor_fixture"]

CHECKOUT = Path(__file__).parents[2]
_DEADLINE_S = 60.0
_names = iter(range(10**6))


class Alerts:
    """What Kapacitor says of one Release of the test, or of the operator."""

    def __init__(self, kapacitor: Kapacitor) -> None:
        self._kapacitor = kapacitor
        self.release = f"web{next(_names)}"

    async def until(self, name: str, level: str, *, of_release: bool = True) -> str:
        """The message, once it has the level."""
        wanted = f"{name}:shop/{self.release}" if of_release else name
        await _until(lambda: self._state(wanted).get("level") == level)
        message = str(self._state(wanted)["message"])
        assert level == "OK" or _links_its_runbook(name, message)
        return message

    async def silent(self, name: str) -> bool:
        """Whether it has asked twice since, and has not fired."""
        asked = self._kapacitor.queried(name)
        await _until(lambda: self._kapacitor.queried(name) >= asked + 2)
        return self._state(f"{name}:shop/{self.release}").get("level") in (None, "OK")

    def _state(self, identity: str) -> Mapping[str, Any]:
        return self._kapacitor.events("pointsman").get(identity, {})


async def _until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not met():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)


def _links_its_runbook(name: str, message: str) -> bool:
    found = re.search(r" Runbook: (\S+)$", message)
    (task,) = [task for task in TASKS if task.uid == name]
    return found is not None and (CHECKOUT / found[1]).is_file() and Path(found[1]).name == task.rule.runbook


@pytest.fixture
def alerts(kapacitor: Kapacitor) -> Alerts:
    return Alerts(kapacitor)


def _ago(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


def _phases(release: str) -> Callable[[str], str]:
    return lambda phase: f'pointsman.release,cluster=c,namespace=shop,release={release} phase="{phase}"'


def test_every_task_was_taken(kapacitor: Kapacitor) -> None:
    states = {task["id"]: (task["executing"], task["error"]) for task in kapacitor.tasks()}
    assert states == {task.uid: (True, "") for task in TASKS}


async def test_a_release_that_waits_is_said_after_15_minutes_and_when_it_goes_on(
    running: Server, alerts: Alerts
) -> None:
    phase = _phases(alerts.release)
    running.write(phase("Waiting"), at=_ago(50))
    running.write(phase("Progressing"), at=_ago(40))
    running.write(phase("Waiting"), at=_ago(14))
    assert await alerts.silent("pointsman-waiting"), "it went on meanwhile"
    running.write(phase("Waiting"), at=_ago(15.5))
    message = await alerts.until("pointsman-waiting", "WARNING")
    assert message.startswith(f"Release shop/{alerts.release} has waited for 1")
    running.write(phase("Healthy"), at=_ago(0))
    assert await alerts.until("pointsman-waiting", "OK") == f"Release shop/{alerts.release} no longer waits."


async def test_a_manifest_that_asks_for_a_rejected_version_is_said_after_an_hour(
    running: Server, alerts: Alerts
) -> None:
    phase = _phases(alerts.release)
    running.write(phase("RolledBack"), at=_ago(58))
    running.write(phase("RolledBack"), at=_ago(2))
    assert await alerts.silent("pointsman-rejected")
    running.write(phase("RolledBack"), at=_ago(62))
    await alerts.until("pointsman-rejected", "WARNING")
    running.write(phase("Progressing"), at=_ago(0))
    await alerts.until("pointsman-rejected", "OK")


async def test_a_release_that_is_gone_waits_for_nothing(running: Server, alerts: Alerts) -> None:
    running.write(_phases(alerts.release)("Waiting"), at=_ago(50))
    running.write(_phases(alerts.release)("Waiting"), at=_ago(30))
    assert await alerts.silent("pointsman-waiting")


async def test_a_commit_that_is_owed_to_git_is_said_after_15_minutes_and_once_it_is_made(
    running: Server, alerts: Alerts
) -> None:
    at = f"pointsman_release_git_owed_since_timestamp_seconds,namespace=shop,release={alerts.release} gauge"
    running.write(f"{at}={_ago(14).timestamp()}", at=_ago(0.2))
    assert await alerts.silent("pointsman-git-owed")
    running.write(f"{at}={_ago(16).timestamp()}", at=_ago(0.1))
    message = await alerts.until("pointsman-git-owed", "WARNING")
    assert message.startswith(f"The rollback of shop/{alerts.release} is not in git after 16 minutes.")


async def test_a_commit_that_is_no_longer_owed_ends_it(running: Server, alerts: Alerts) -> None:
    at = f"pointsman_release_git_owed_since_timestamp_seconds,namespace=shop,release={alerts.release} gauge"
    running.write(f"{at}={_ago(50).timestamp()}", at=_ago(6))
    assert await alerts.silent("pointsman-git-owed"), "it has no point since"


async def test_a_rollback_is_said_for_15_minutes(running: Server, alerts: Alerts) -> None:
    at = f"pointsman_release_last_rollback_timestamp_seconds,namespace=shop,release={alerts.release} gauge"
    running.write(f"{at}={_ago(16).timestamp()}", at=_ago(0.2))
    assert await alerts.silent("pointsman-rollback")
    running.write(f"{at}={_ago(14).timestamp()}", at=_ago(0.1))
    await alerts.until("pointsman-rollback", "INFO")


async def test_two_minutes_without_a_leader_are_said_also_where_nobody_scrapes(running: Server, alerts: Alerts) -> None:
    message = await alerts.until("pointsman-no-leader", "CRITICAL", of_release=False)
    assert message.startswith("No Pointsman operator has led for 2 minutes.")
    running.write("pointsman_leader,url=a gauge=1", at=_ago(0.1))
    running.write("pointsman_leader,url=a gauge=0", "pointsman_leader,url=b gauge=0", at=_ago(0.05))
    await alerts.until("pointsman-no-leader", "OK", of_release=False)
    running.delete("pointsman_leader")
    running.write("pointsman_leader,url=a gauge=0", "pointsman_leader,url=b gauge=0", at=_ago(0.1))
    await alerts.until("pointsman-no-leader", "CRITICAL", of_release=False)


async def test_late_looks_are_said(running: Server, alerts: Alerts) -> None:
    def scraped(fast: int, slow: int) -> str:
        every = fast + slow
        return f"pointsman_look_lag_seconds 1={fast},5={fast},10={every},+Inf={every},count={every},sum=0"

    running.write(scraped(100, 0), at=_ago(8))
    running.write(scraped(200, 0), at=_ago(7))
    running.write(scraped(200, 300), at=_ago(6))
    message = await alerts.until("pointsman-looks-behind", "WARNING", of_release=False)
    assert message.startswith("Looks are made 9.9 seconds late (99th percentile of 10 minutes).")
    running.delete("pointsman_look_lag_seconds")
    await alerts.until("pointsman-looks-behind", "OK", of_release=False)
