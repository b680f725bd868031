"""What senders write is read, and what is none of it is named."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api import times
from controller.gates.formats import MOST_ALERTS, MOST_LABELS, FormatError, read
from tests.unit.gates.bodies import NOW, alert, alertmanager, grafana, kapacitor


@pytest.mark.parametrize("sender", [alertmanager, grafana])
def test_a_firing_and_a_resolved_alert_are_read(sender: Any) -> None:
    body = sender(alert(NOW - 60, service="web"), alert(NOW - 90, NOW - 5, service="api"))
    fires, ended = read(body, NOW).alerts
    assert (fires.name, fires.labels["service"], fires.since, fires.ended) == ("Errors", "web", NOW - 60, None)
    assert (ended.labels["service"], ended.since, ended.ended) == ("api", NOW - 90, NOW - 5)
    assert fires.id != ended.id


def test_an_alert_is_known_by_its_labels_whatever_its_sender_says() -> None:
    one, other = alert(service="web"), alert(service="api")
    other["fingerprint"] = one["fingerprint"] = "forged"
    again = {**alert(service="web"), "labels": dict(reversed(one["labels"].items()))}
    first, second, third = read(alertmanager(one, other, again), NOW).alerts
    assert first.id == third.id != second.id


@pytest.mark.parametrize("moment", ["2026-05-01T13:59:00.157076123+02:00", "2026-05-01T11:59:00.157076Z"])
def test_moments_have_any_zone_and_nanoseconds(moment: str) -> None:
    (found,) = read(alertmanager({**alert(), "startsAt": moment}), NOW).alerts
    assert found.since == pytest.approx(NOW - 59.842924)


@pytest.mark.parametrize(("level", "fires"), [("CRITICAL", True), ("WARNING", True), ("INFO", False), ("OK", False)])
def test_kapacitors_level_says_whether_an_alert_fires(level: str, fires: bool) -> None:  # noqa: FBT001 - a parameter
    (found,) = read(kapacitor(level, at=NOW - 10, duration=30, revision="abc"), NOW).alerts
    assert (found.ended is None) == fires
    assert found.since == NOW - 40
    assert found.labels == {"service": "web", "revision": "abc", "alertname": "errors:service=web", "level": level}


def test_kapacitors_alert_is_the_same_at_each_level() -> None:
    ids = {read(kapacitor(level, host=level), NOW).alerts[0].id for level in ("OK", "WARNING", "CRITICAL")}
    assert len(ids) == 1


def test_nothing_begins_or_ends_in_the_future() -> None:
    fires, ended = read(alertmanager(alert(NOW + 9e6), alert(NOW - 5, NOW + 9e6, a="b")), NOW).alerts
    assert (fires.since, ended.ended) == (NOW, NOW)


@pytest.mark.parametrize("name", ["DatasourceNoData", "DatasourceError"])
def test_a_rule_that_could_not_be_evaluated_says_nothing_of_a_version(name: str) -> None:
    delivery = read(grafana(alert(alertname=name, rulename="Errors")), NOW)
    assert delivery.alerts == ()
    assert delivery.left_out == (f"{name} says that a rule could not be evaluated, and nothing of a version",)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"labels": {f"l{number}": "x" for number in range(5000)}}, "an alert has 5000 labels, maximum is 100"),
        ({"labels": {"a": "x" * 1025}}, "a label of an alert is longer than 128 (name) or 1024 (value) characters"),
        ({"labels": {"a": 7}}, "an alert without status, labels or startsAt as they are published"),
        ({"labels": None}, "an alert without status"),
        ({"status": "pending"}, "an alert without status"),
        ({"startsAt": "yesterday"}, "an alert without status"),
        ({"startsAt": "2026-05-01T12:00:00"}, "an alert without status"),
        ({"startsAt": 7}, "an alert without status"),
    ],
)
def test_an_alert_that_cannot_be_read_is_left_out_and_keeps_none_of_the_others(
    changed: dict[str, Any], sentence: str
) -> None:
    delivery = read(alertmanager({**alert(), **changed}, alert(service="web")), NOW)
    assert [one.labels["service"] for one in delivery.alerts] == ["web"]
    assert delivery.left_out[0].startswith(sentence)


def test_as_many_labels_as_are_taken_are_taken() -> None:
    labels = {f"l{number}": "x" for number in range(MOST_LABELS - 1)}
    assert len(read(alertmanager(alert(more=labels)), NOW).alerts) == 1


def test_a_name_is_one_line_without_what_a_terminal_would_obey() -> None:
    (found,) = read(alertmanager(alert(alertname="\x1b[31mErrors\r\n<script>\u202e" + "x" * 500)), NOW).alerts
    assert found.name.startswith("[31mErrors <script>x")
    assert len(found.name) == 100


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ([], "the body is not a JSON object"),
        ({}, "the body has neither alerts, as Grafana and Alertmanager send them, nor id and level, as Kapacitor does"),
        ({"alerts": 7}, "the body has neither alerts"),
        ({"alerts": [alert()] * (MOST_ALERTS + 1)}, "501 alerts at once, maximum is 500"),
    ],
)
def test_what_nobody_sends_is_named(body: Any, sentence: str) -> None:
    with pytest.raises(FormatError) as caught:
        read(body, NOW)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("changed", [{"level": "HIGH"}, {"id": ""}, {"id": 7}, {"time": ""}, {"data": []}, {"data": 7}])
def test_a_kapacitor_alert_that_cannot_be_read_is_left_out(changed: dict[str, Any]) -> None:
    delivery = read({**kapacitor("CRITICAL"), **changed}, NOW)
    assert len(delivery.alerts) + len(delivery.left_out) == 1


@pytest.mark.parametrize(
    "body",
    [
        {**kapacitor("CRITICAL", at=NOW - 10, duration=30), "duration": 1e20},
        {**kapacitor("CRITICAL", at=NOW - 10, duration=30), "duration": float("inf")},
        alertmanager({**alert(), "startsAt": "0001-01-01T00:00:00+14:00"}),
        alertmanager({**alert(NOW, NOW), "startsAt": "0001-01-01T00:00:00+14:00"}),
    ],
)
def test_no_alert_begins_before_a_status_can_say_it(body: dict[str, Any]) -> None:
    """Else no pass of the Release could write its status, and nobody could abort it."""
    (found,) = read(body, NOW).alerts
    assert times.to_text(found.since) == "1970-01-01T00:00:00.000000Z"


def test_an_alert_of_large_labels_is_left_out() -> None:
    """A thousand are kept of each namespace."""
    delivery = read(alertmanager(alert(more={f"l{number}": "x" * 1000 for number in range(9)}), alert()), NOW)
    assert len(delivery.alerts) == 1
    assert delivery.left_out == ("the labels of an alert have more than 8192 characters in all",)
