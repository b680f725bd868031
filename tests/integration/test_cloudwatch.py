"""Sums out of the local AWS, which speaks CloudWatch's real protocol: what boto3 puts there is what is counted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from controller.api.secret import SecretRef
from controller.ports import MetricProvider, NoData, Query, Row, Samples, SourceOutageError, Window
from controller.providers import cloudwatch
from hack.node.aws import REGION, LocalAws

pytest_plugins = ["tests.integration.aws_fixture"]

STABLE, CANARY = "aaaaaaaaaa", "bbbbbbbbbb"
T0 = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=10)
WINDOW = Window(T0, T0 + timedelta(minutes=2))


@asynccontextmanager
async def source(running: LocalAws, **changes: Any) -> AsyncIterator[MetricProvider]:
    fields = {"region": REGION, "url": running.url, "access_key_id": "test", "secret_key": SecretRef("s", "k")}
    config = cloudwatch.Config(**{**fields, "period": 60, "timeout_s": 10.0, **changes})
    provider = cloudwatch.create(config, {"key": "test"}, None)
    try:
        yield provider
    finally:
        await provider.close()


def counting(service: str) -> Query:
    lines = [
        f'{column} of {revision}: "Shop" "{name}" Service="{service}" Revision="{revision}"'
        for revision in (STABLE, CANARY)
        for column, name in (("total", "Requests"), ("bad", "Errors"))
    ]
    return Query("cloudwatch", "\n".join(lines))


def put(running: LocalAws, service: str, name: str, revision: str, values: dict[float, float]) -> None:
    """By seconds after the window's start."""
    client = boto3.client(
        "cloudwatch",
        region_name=REGION,
        endpoint_url=running.url,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - of nobody
    )
    dimensions = [{"Name": "Service", "Value": service}, {"Name": "Revision", "Value": revision}]
    client.put_metric_data(
        Namespace="Shop",
        MetricData=[
            {
                "MetricName": name,
                "Dimensions": dimensions,
                "Timestamp": T0 + timedelta(seconds=second),
                "Value": value,
                "Unit": "Count",
            }
            for second, value in values.items()
        ],
    )


async def test_sums_are_counted_in_the_window_in_which_their_minute_ends(local_aws: LocalAws) -> None:
    put(local_aws, "web", "Requests", STABLE, {-70: 1000, -50: 1, -30: 4, 10: 20, 59: 30, 61: 5000})
    put(local_aws, "web", "Errors", STABLE, {-30: 2})
    put(local_aws, "web", "Requests", CANARY, {30: 7})
    put(local_aws, "other", "Requests", CANARY, {30: 900})
    async with source(local_aws) as provider:
        found = await provider.query(counting("web"), WINDOW)
        assert found == Samples((Row(STABLE, 2, 55), Row(CANARY, 0, 7)))
        assert await provider.has_rows(
            Query("cloudwatch", f'"Shop" "Requests" Service="web" Revision="{STABLE}"'), WINDOW
        )


async def test_nothing_in_the_window_is_no_data(local_aws: LocalAws) -> None:
    async with source(local_aws) as provider:
        assert await provider.query(counting("nobody"), WINDOW) == NoData()


async def test_a_refused_connection_is_an_outage(local_aws: LocalAws) -> None:
    async with source(local_aws, url="http://127.0.0.1:1") as provider:
        with pytest.raises(SourceOutageError, match=r"CloudWatch at 127\.0\.0\.1:1 cannot be reached"):
            await provider.query(counting("web"), WINDOW)
