"""What fires is what senders said last, whenever and however often they say it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import looptime
import pytest

from controller.api.alerts import AlertGate
from controller.gates.formats import MOST_ALERTS, Alert, read
from controller.gates.store import MOST_NAMESPACES, MOST_OF_NAMESPACE, STANDS_S, AlertStore
from controller.kube.objects import Key
from tests.unit.gates.bodies import NOW, alert, alertmanager

WEB, API = Key("shop", "web"), Key("shop", "api")
GATES = (AlertGate({"alertname": "Errors", "service": "web"}, rolls_back=True),)


@dataclass
class Kept:
    now: float = NOW
    woken: list[Key] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = AlertStore(self.woken.append, lambda: self.now)

    def fires(self, since: float, **labels: str) -> None:
        self.take(alert(since, service="web", more=labels))

    def ends(self, since: float, ended: float, **labels: str) -> None:
        self.take(alert(since, ended, service="web", more=labels))

    def take(self, *alerts: dict[str, object]) -> None:
        assert self.store.take("shop", read(alertmanager(*alerts), self.now).alerts) == 0

    def firing(self, key: Key = WEB, gates: tuple[AlertGate, ...] = GATES) -> list[float]:
        return [one.since for one in self.store.firing(key, gates, ())]


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_an_alert_fires_until_it_is_resolved(kept: Kept) -> None:
    kept.fires(NOW - 60)
    assert kept.firing() == [NOW - 60]
    kept.ends(NOW - 60, NOW)
    assert kept.firing() == []


def test_only_what_a_gate_matches_is_seen(kept: Kept) -> None:
    kept.take(alert(alertname="Latency", service="web"), alert(service="api"), alert(service="web", pod="a"))
    assert len(kept.firing()) == 1
    assert kept.firing(gates=()) == []
    assert kept.firing(Key("bank", "web")) == []


def test_the_same_request_again_changes_nothing(kept: Kept) -> None:
    for _ in range(3):
        kept.fires(NOW - 60)
    assert kept.firing() == [NOW - 60]
    assert len(kept.store) == 1


@pytest.mark.parametrize("replayed", ["firing", "resolved"])
def test_an_old_request_that_is_played_again_changes_nothing(kept: Kept, replayed: str) -> None:
    kept.fires(NOW - 900)
    kept.ends(NOW - 900, NOW - 600)
    if replayed == "firing":
        kept.fires(NOW - 900)
        assert kept.firing() == [], "it ended after that"
    else:
        kept.fires(NOW - 60)
        kept.ends(NOW - 900, NOW - 600)
        assert kept.firing() == [NOW - 60], "that was the time before"


def test_requests_in_the_wrong_order_end_alike(kept: Kept) -> None:
    kept.ends(NOW - 60, NOW - 30)
    kept.fires(NOW - 60)
    assert kept.firing() == []


def test_an_alert_that_comes_back_fires_from_then_on(kept: Kept) -> None:
    kept.fires(NOW - 900)
    kept.ends(NOW - 900, NOW - 600)
    kept.fires(NOW - 10)
    assert kept.firing() == [NOW - 10]


def test_an_alert_that_nobody_repeats_for_hours_is_over(kept: Kept) -> None:
    kept.fires(NOW - 60)
    kept.now += STANDS_S - 1
    assert kept.firing() == [NOW - 60]
    kept.fires(NOW - 60)  # repeated
    kept.now += STANDS_S - 1
    assert kept.firing() == [NOW - 60]
    kept.now += 2
    assert kept.firing() == []


def test_after_a_restart_the_status_says_what_fires_until_the_sender_does(kept: Kept) -> None:
    kept.fires(NOW - 60)
    known = kept.store.firing(WEB, GATES, ())
    again = Kept()
    assert again.store.firing(WEB, GATES, known) == known
    again.ends(NOW - 60, NOW)
    assert again.store.firing(WEB, GATES, known) == (), "the status is asked once"


def test_what_a_sender_has_said_since_the_restart_counts_for_more_than_the_status(kept: Kept) -> None:
    kept.fires(NOW - 60)
    known = kept.store.firing(WEB, GATES, ())
    again = Kept()
    again.ends(NOW - 60, NOW)
    assert again.store.firing(WEB, GATES, known) == ()


def test_a_namespace_has_bounds_and_what_has_ended_makes_room(kept: Kept) -> None:
    many = read(alertmanager(*(alert(n=str(n)) for n in range(500))), NOW).alerts
    more = read(alertmanager(*(alert(n=str(n)) for n in range(500, 1000))), NOW).alerts
    assert kept.store.take("shop", many) == 0
    assert kept.store.take("shop", more) == 0
    assert kept.store.take("shop", read(alertmanager(alert(service="web")), NOW).alerts) == 1
    assert kept.store.take("bank", many) == 0, "another namespace has its own"
    assert len(kept.store) == MOST_OF_NAMESPACE + 500
    kept.take(alert(NOW - 60, NOW, n="7"))
    kept.fires(NOW - 60)
    assert kept.firing() == [NOW - 60]


def test_there_are_not_as_many_namespaces_as_anybody_likes(kept: Kept) -> None:
    one = read(alertmanager(alert()), NOW).alerts
    refused = sum(kept.store.take(f"n{number}", one) for number in range(MOST_NAMESPACES + 5))
    assert refused == 5


def run(kept: Kept, story: Callable[[], Awaitable[None]]) -> None:
    """With a clock that jumps."""

    async def whole() -> None:
        running = asyncio.create_task(kept.store.run())
        try:
            await story()
        finally:
            running.cancel()

    with asyncio.Runner(loop_factory=lambda: looptime.new_event_loop(noop_cycles=0)) as runner:
        runner.run(whole())


def test_only_releases_whose_gates_match_are_woken_and_a_storm_wakes_each_a_few_times(kept: Kept) -> None:
    async def story() -> None:
        kept.firing()
        kept.firing(API, (AlertGate({"service": "api"}, rolls_back=False),))
        for number in range(500):
            kept.fires(NOW - 60)
            kept.ends(NOW - 60, NOW - 30 + number / 1000)
            await asyncio.sleep(0.002)
        await asyncio.sleep(1)
        assert set(kept.woken) == {WEB}
        assert 2 <= len(kept.woken) <= 6
        kept.woken.clear()
        await asyncio.sleep(60)
        assert kept.woken == []

    run(kept, story)


def test_a_release_is_woken_when_nobody_repeats_its_alert(kept: Kept) -> None:
    async def story() -> None:
        kept.firing()
        kept.fires(NOW - 60)
        await asyncio.sleep(1)
        assert kept.woken == [WEB]
        kept.now += STANDS_S + 1
        await asyncio.sleep(61)
        assert kept.woken == [WEB, WEB]
        assert len(kept.store) == 0

    run(kept, story)


def test_a_full_namespace_costs_a_pass_little(kept: Kept) -> None:
    gates = tuple(AlertGate({"alertname": "Errors", "n": str(number)}, rolls_back=True) for number in range(10))
    alerts = [Alert(str(n), "Errors", {"alertname": "Errors", "n": f"x{n}"}, NOW) for n in range(MOST_OF_NAMESPACE)]
    assert kept.store.take("shop", alerts) == 0
    before = time.process_time()
    for _ in range(20):
        kept.store.firing(WEB, gates, ())
    assert (time.process_time() - before) / 20 < 0.05


def test_a_request_of_many_alerts_costs_little_however_many_releases_have_gates(kept: Kept) -> None:
    gates = tuple(AlertGate({"alertname": "Errors", "n": str(number)}, rolls_back=True) for number in range(10))
    for number in range(500):
        kept.store.firing(Key("shop", f"web{number}"), gates, ())
    alerts = [Alert(str(n), "Errors", {"alertname": "Errors", "n": f"x{n}"}, NOW) for n in range(MOST_ALERTS)]
    before = time.process_time()
    assert kept.store.take("shop", alerts) == 0
    assert time.process_time() - before < 0.3
