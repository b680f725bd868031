"""Sources are asked for alerts beside the passes, for Releases with a version on trial alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

import looptime

from controller.analysis.alerts import EVERY_S, Alerts
from controller.analysis.sources import MetricTroubleError, Sources
from controller.api.alerts import AlertGate, FiringAlert
from controller.api.reasons import Reason
from controller.api.status import Attempt, Clock, Status
from controller.gates.store import AlertStore
from controller.kube.objects import Key

WEB = Key("shop", "web")
GATES = (AlertGate({"alertname": "Errors"}, rolls_back=True, source="grafana"),)
AT_REST = Status(stable="v1")
ON_TRIAL = Status(stable="v1", attempt=Attempt("v2", Clock(0.0)))
FIRING = FiringAlert("a", "Errors", 1.0, {"alertname": "Errors"}, "grafana")


class Grafana:
    def __init__(self) -> None:
        self.asked = 0
        self.firing_now: list[FiringAlert] = []
        self.hangs = self.out = False
        self.woken: list[Key] = []
        sent = AlertStore(self.woken.append, lambda: 0.0)
        self.alerts = Alerts(sent, cast("Sources", self), self.woken.append)

    async def firing(self, _key: Key, source: str, labels: Mapping[str, str]) -> list[FiringAlert]:
        assert (source, labels) == ("grafana", {"alertname": "Errors"})
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(3600)
        if self.out:
            raise MetricTroubleError(Reason.SOURCE_OUTAGE, "alerts are not known: Grafana did not answer")
        return self.firing_now


def run(story: Callable[[Grafana], Awaitable[None]]) -> None:
    async def whole() -> None:
        server = Grafana()
        await story(server)
        server.alerts.close()

    with asyncio.Runner(loop_factory=lambda: looptime.new_event_loop(noop_cycles=0)) as runner:
        runner.run(whole())


def test_an_alert_is_known_soon_after_it_fires_and_wakes_the_release() -> None:
    async def story(server: Grafana) -> None:
        assert server.alerts.known(WEB, GATES, ON_TRIAL).pending
        await asyncio.sleep(1)
        assert server.alerts.known(WEB, GATES, ON_TRIAL).firing == ()
        assert not server.alerts.known(WEB, GATES, ON_TRIAL).pending
        server.firing_now, server.woken = [FIRING], server.woken
        await asyncio.sleep(EVERY_S)
        assert server.alerts.known(WEB, GATES, ON_TRIAL).firing == (FIRING,)
        assert server.woken == [WEB, WEB]
        await asyncio.sleep(5 * EVERY_S)
        assert server.woken == [WEB, WEB], "nothing has changed"

    run(story)


def test_nothing_is_asked_without_a_version_on_trial_or_a_source() -> None:
    async def story(server: Grafana) -> None:
        sent = (AlertGate({"alertname": "Errors"}, rolls_back=True),)
        server.alerts.known(WEB, GATES, AT_REST)
        server.alerts.known(WEB, GATES, Status(attempt=ON_TRIAL.attempt))
        assert not server.alerts.known(WEB, sent, ON_TRIAL).pending
        await asyncio.sleep(60)
        assert server.asked == 0
        server.alerts.known(WEB, GATES, ON_TRIAL)
        await asyncio.sleep(1)
        server.alerts.known(WEB, GATES, AT_REST)
        await asyncio.sleep(60)
        assert server.asked == 1

    run(story)


def test_a_source_that_is_out_or_hangs_is_a_trouble_and_holds_up_no_pass() -> None:
    async def story(server: Grafana) -> None:
        server.out = True
        server.alerts.known(WEB, GATES, ON_TRIAL)
        await asyncio.sleep(1)
        trouble = server.alerts.known(WEB, GATES, ON_TRIAL).trouble
        assert trouble is not None
        assert trouble.reason is Reason.SOURCE_OUTAGE
        server.out, server.hangs = False, True
        before = asyncio.get_running_loop().time()
        server.alerts.forget(WEB)
        assert server.alerts.known(WEB, GATES, ON_TRIAL).pending
        await asyncio.sleep(60)
        assert server.alerts.known(WEB, GATES, ON_TRIAL).trouble is not None
        assert asyncio.get_running_loop().time() - before < 61

    run(story)


def test_what_a_source_said_before_it_hung_is_not_true_for_ever() -> None:
    async def story(server: Grafana) -> None:
        server.alerts.known(WEB, GATES, ON_TRIAL)
        await asyncio.sleep(1)
        assert server.alerts.known(WEB, GATES, ON_TRIAL).trouble is None
        server.hangs = True
        await asyncio.sleep(EVERY_S + 31)
        trouble = server.alerts.known(WEB, GATES, ON_TRIAL).trouble
        assert trouble is not None
        assert trouble.reason is Reason.SOURCE_OUTAGE
        server.hangs = False
        await asyncio.sleep(60)
        assert server.alerts.known(WEB, GATES, ON_TRIAL).trouble is None

    run(story)
