"""Counts out of a real InfluxDB 1.6: users, retention policies, and the same exactness as with InfluxDB 2."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from controller.api.secret import SecretRef
from controller.ports import BrokenMetricError, MetricProvider, NoData, Query, Samples, SourceOutageError, Window
from controller.providers import influxdb1 as provider_module
from controller.providers.rendering import Renderer
from hack.node import process
from hack.node.influx1 import READER, InfluxDB1
from tests.frozen import frozen
from tests.integration.influx_server import CANARY, LOOK, STABLE, T0, by_revision, counts, nanoseconds
from tests.integration.library import SHOP, template_query

pytest_plugins = ["tests.integration.influx1_fixture", "tests.integration.influx_fixture"]


@asynccontextmanager
async def source(running: InfluxDB1, *, password: str = "", **changes: Any) -> AsyncIterator[MetricProvider]:
    config = provider_module.Config(
        url=running.url,
        database=running.database,
        username=READER,
        password_secret=SecretRef("s", "password"),
        timeout_s=10.0,
    )
    provider = provider_module.create(replace(config, **changes), {"password": password or running.password}, None)
    try:
        yield provider
    finally:
        await provider.close()


async def ask(running: InfluxDB1, query: Query, window: Window = LOOK, **changes: Any) -> Samples | NoData:
    async with source(running, **changes) as provider:
        return await provider.query(query, window)


def at(second: float) -> int:
    return nanoseconds(T0 + timedelta(seconds=second))


async def test_windows_that_touch_count_every_point_once(influx1: InfluxDB1, measurement: str) -> None:
    influx1.write(*(f"{measurement},revision={STABLE} bad={n % 2}i,total={n}i {at(n * 0.25)}" for n in range(81)))
    edges = [T0 + timedelta(seconds=seconds) for seconds in (0, 5, 7.25, 7.3, 12, 21)]
    seen = [0, 0]
    async with source(influx1) as provider:
        for start, end in pairwise(edges):
            result = await provider.query(counts(measurement, "influxql"), Window(start, end))
            for bad, total in by_revision(result).values():
                seen = [seen[0] + bad, seen[1] + total]
    assert seen == [40, sum(range(81))]


async def test_late_points_are_counted_and_a_point_that_came_twice_once(influx1: InfluxDB1, measurement: str) -> None:
    point = f"{measurement},revision={STABLE} bad=1i,total=10i {at(2)}"
    influx1.write(point)
    influx1.write(point)
    influx1.write(f"{measurement},revision={STABLE} bad=0i,total=5i {at(1)}")
    assert by_revision(await ask(influx1, counts(measurement, "influxql"))) == {STABLE: (1, 15)}


async def test_a_retention_policy_is_read_where_it_is_named(influx1: InfluxDB1, measurement: str) -> None:
    influx1.run(f'CREATE RETENTION POLICY "{measurement}" ON "{influx1.database}" DURATION 2d REPLICATION 1')
    influx1.write(f"{measurement},revision={STABLE} bad=1i,total=10i {at(2)}", policy=measurement)
    assert await ask(influx1, counts(measurement, "influxql")) == NoData()
    found = await ask(influx1, counts(measurement, "influxql"), retention_policy=measurement)
    assert by_revision(found) == {STABLE: (1, 10)}
    with pytest.raises(BrokenMetricError, match="retention policy not found"):
        await ask(influx1, counts(measurement, "influxql"), retention_policy="no_such")


async def test_a_window_of_which_the_retention_has_taken_a_part_has_what_is_left(
    influx1: InfluxDB1, measurement: str
) -> None:
    """What is older than the policy is refused when it is written; that it is missing is the late points' audit's."""
    influx1.run(f'CREATE RETENTION POLICY "{measurement}" ON "{influx1.database}" DURATION 1h REPLICATION 1')
    influx1.write(f"{measurement},revision={STABLE} bad=1i,total=10i {at(2)}", policy=measurement)
    window = Window(T0 - timedelta(days=3), LOOK.end)
    found = await ask(influx1, counts(measurement, "influxql"), window, retention_policy=measurement)
    assert by_revision(found) == {STABLE: (1, 10)}


async def test_a_point_of_ten_to_the_fifteenth_is_never_a_look(influx1: InfluxDB1, measurement: str) -> None:
    influx1.write(f"{measurement},revision={STABLE} bad=0i,total={10**15}i {at(2)}")
    with pytest.raises(BrokenMetricError, match=r"column total is 1000000000000000, which is not between 0 and 10\^9"):
        await ask(influx1, counts(measurement, "influxql"))


@pytest.mark.parametrize(
    ("login", "sentence"),
    [
        ({"password": "wrong-and-secret"}, r"refuses the credentials \(401\)"),
        ({"username": "", "password_secret": None}, r"refuses the credentials \(401\)"),
    ],
    ids=["wrong password", "no login"],
)
async def test_a_login_that_is_refused_is_an_outage(
    influx1: InfluxDB1, measurement: str, login: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SourceOutageError, match=sentence) as caught:
        await ask(influx1, counts(measurement, "influxql"), **login)
    assert "wrong-and-secret" not in str(caught.value)


async def test_a_database_that_the_user_may_not_read_is_said(influx1: InfluxDB1, measurement: str) -> None:
    with pytest.raises((SourceOutageError, BrokenMetricError), match="not authorized"):
        await ask(influx1, counts(measurement, "influxql"), database="_internal")


async def test_a_frozen_server_is_an_outage_after_the_timeout(influx1: InfluxDB1, measurement: str) -> None:
    identity = process.running(process.record(influx1.directory, "influxdb1"))
    assert identity is not None
    with frozen(identity.pid), pytest.raises(SourceOutageError, match=r"did not answer within 0\.5 s"):
        await ask(influx1, counts(measurement, "influxql"), timeout_s=0.5)


OF_TEMPLATES = {
    "http-errors-app": (
        "http.server.requests,service={service},revision={revision},code={code} count={total}i",
        [(STABLE, "200", 90, 0), (STABLE, "503", 2, 0), (CANARY, "200", 7, 0)],
        {STABLE: (2, 92), CANARY: (0, 7)},
    ),
    "http-errors-statsd": (
        "http_requests,metric_type=counter,service={service},revision={revision},code={code} value={total}",
        [(STABLE, "200", 90, 0), (CANARY, "200", 7, 0), (CANARY, "500", 3, 0)],
        {STABLE: (0, 90), CANARY: (3, 10)},
    ),
    "log-errors": (
        "log.messages,service={service},revision={revision},level={code} count={total}i",
        [(STABLE, "info", 90, 0), (STABLE, "ERROR", 1, 0), (CANARY, "critical", 3, 0), (CANARY, "warning", 5, 0)],
        {STABLE: (1, 91), CANARY: (3, 8)},
    ),
    "job-failures": (
        "job.outcome,service={service},revision={revision} first_attempts={total}i,first_attempt_failed={bad}i",
        [(STABLE, "", 50, 1), (CANARY, "", 9, 4)],
        {STABLE: (1, 50), CANARY: (4, 9)},
    ),
    "job-duration": (
        "messaging.process.duration,service={service},revision={revision},attempt=first count={total}i,le_1={good}i",
        [(STABLE, "", 50, 1), (CANARY, "", 9, 4)],
        {STABLE: (1, 50), CANARY: (4, 9)},
    ),
    "client-failures": (
        "client.outcome,service={service},revision={revision} total={total}i,bad={bad}i",
        [(STABLE, "", 50, 1), (CANARY, "", 9, 4)],
        {STABLE: (1, 50), CANARY: (4, 9)},
    ),
}


@pytest.mark.parametrize("name", OF_TEMPLATES)
async def test_the_shipped_templates_count_the_same_here(influx1: InfluxDB1, renderer: Renderer, name: str) -> None:
    line, points, expected = OF_TEMPLATES[name]
    written = [
        line.format(service="web", revision=revision, code=code, total=total, bad=bad, good=total - bad)
        for revision, code, total, bad in points
    ]
    written.append(line.format(service="other", revision=STABLE, code="500", total=1000, bad=1000, good=0))
    # at the window's start it counts, at its end it does not, and neither does what was just before
    influx1.write(*(f"{one} {at(0)}" for one in written))
    influx1.write(*(f"{one} {at(5)}" for one in written), *(f"{one} {at(-0.001)}" for one in written))
    query = await template_query(renderer, "library", name, STABLE, CANARY, context=SHOP)
    assert by_revision(await ask(influx1, query)) == expected
