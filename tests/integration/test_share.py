"""The share of a queue with a real SQS and DynamoDB, in small; hack/bench share is the whole."""

import asyncio
import os
from dataclasses import replace

import pytest

from hack.node.aws import LocalAws
from tests.bench.share import CASES, smaller
from tests.share_allocator import Allocator, make_table
from tests.share_cases import played
from workloads.common.share_dynamodb import DynamoLedger
from workloads.common.share_ledger import Consumer, LedgerError, Report


@pytest.fixture
def aws(tmp_path, monkeypatch):
    with LocalAws(tmp_path / "aws") as aws:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        yield aws


async def test_a_failing_canary_has_its_share_of_a_backlog_and_stops_with_the_rollback(aws, tmp_path):
    assert os.environ["AWS_ENDPOINT_URL"] == aws.url
    found = await played(smaller(CASES["saturated_failing"], 800), tmp_path)
    assert found.most_ahead <= 0
    assert found.deviation >= -25
    assert (found.dead, found.writes_per_s <= 2) == (0, True)
    assert found.after_rollback_s <= 0.5


async def test_the_ledger_in_dynamodb_keeps_the_newest_report_and_says_when_it_is_away(aws):
    who = Consumer("shop/thumbnails", "c.1", "v2")
    await asyncio.to_thread(make_table, "ledger")
    allocator = Allocator("ledger", who.service)
    behind = DynamoLedger("ledger", who, wall=lambda: 0.0)
    ledger = DynamoLedger("ledger", who)
    try:
        report = Report(claims=3, returned=0, waiting=1, seq=2)
        assert await ledger.report(report) is None, "there is no control item"
        await ledger.report(report)
        await ledger.report(replace(report, claims=1, seq=1))
        pod = (await asyncio.to_thread(allocator.pods))["c.1"]
        assert (pod["claims"], pod["seq"], pod["waiting"]) == (3, 2, 1)
        await asyncio.to_thread(allocator.begin, "v1")
        await asyncio.to_thread(allocator.set_share, "v2", 0.05)
        control, early = await ledger.read(), await behind.read()
        assert control is not None
        assert early is not None
        assert (control.stable, control.canary, control.share, control.epoch) == ("v1", "v2", 0.05, 1)
        assert 5 < control.expires_in <= 10
        assert early.expires_in > 10**9, "epoch seconds, by this machine's clock"
        await asyncio.to_thread(aws.stop)
        with pytest.raises(LedgerError, match="table ledger"):
            await ledger.read()
    finally:
        await ledger.close()
        await behind.close()
