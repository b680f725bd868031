"""The share of a queue with a real SQS and DynamoDB, in small; hack/bench share is the whole."""

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from botocore.client import BaseClient

from controller.queue_share.ledger import Ledger
from controller.queue_share.ports import Report as Reported
from controller.queue_share.stores.dynamodb import DynamoLedgers, control_key
from tests.bench.share import CASES, smaller
from tests.share_cases import played, switched
from workloads.common.share_dynamodb import DynamoLedger
from workloads.common.share_ledger import Consumer, Control, LedgerError, Report

pytest_plugins = ["tests.integration.aws_fixture"]

WHO = Consumer("shop/thumbnails", "c.1", "v2")
NOW = 1_764_000_000.0
PAGE = Path(__file__).parents[2] / "controller" / "docs" / "queue-workers.md"


async def test_a_failing_canary_has_its_share_of_a_backlog_and_stops_with_the_rollback(local_aws, tmp_path):
    found = await played(smaller(CASES["saturated_failing"], 800), tmp_path)
    assert found.most_ahead <= 0
    assert found.deviation >= -25
    assert (found.dead, found.writes_per_s <= 2) == (0, True)
    assert found.after_rollback_s <= 0.5


@pytest.fixture
async def operators(ledger_table):
    """The same table, as the operator sees it."""
    store = DynamoLedgers(ledger_table)
    yield store
    await store.close()


@pytest.fixture
async def ledger(ledger_table):
    ledger = DynamoLedger(ledger_table, WHO)
    yield ledger
    await ledger.close()


async def test_the_newest_report_is_kept_and_what_arrives_again_or_late_changes_nothing(ledger, operators):
    newest = Report(claims=3, returned=0, waiting=1, seq=2)
    for report in (newest, newest, replace(newest, claims=1, seq=1)):
        with pytest.raises(LedgerError, match=r"^table \S+: no control item for shop/thumbnails"):
            await ledger.report(report)
    assert await operators.reports(WHO.service) == [Reported("c.1", "v2", 3, 2, 1)]


async def test_what_the_operator_writes_is_what_a_consumer_reads(ledger_table, operators):
    written = Ledger("v1", "v2", ("v0",), 0.05, 7, 3, NOW + 10, granted={"c.1": 4}, unused=2)
    written = replace(written, on_trial="v1", trial_until=NOW + 60)
    await operators.write(WHO.service, written, over=0, term=1)
    reader = DynamoLedger(ledger_table, WHO, wall=lambda: NOW)
    control = await reader.read()
    await reader.close()
    assert control == Control(
        1, "v1", "v2", frozenset({"v0"}), 0.05, 7, 3, 10.0, unused=2, granted={"c.1": 4}, on_trial="v1", trial_left=60.0
    )


async def test_an_item_of_an_operator_that_does_not_know_trials_is_read_by_both(ledger_table, ledger, operators):
    await operators.write(WHO.service, Ledger("v1", "v2", on_trial="v1", trial_until=NOW), over=0, term=1)
    await asyncio.to_thread(
        boto3.client("dynamodb").update_item,
        TableName=ledger_table,
        Key=control_key(WHO.service),
        UpdateExpression="REMOVE on_trial, trial_until",
    )
    assert (await ledger.read()).on_trial == ""
    stored = await operators.read(WHO.service)
    assert stored is not None
    assert (stored.ledger.stable, stored.ledger.on_trial) == ("v1", "")


async def test_a_switch_to_a_version_that_fails_everything_kills_no_good_job(local_aws, tmp_path):
    found = await switched(tmp_path)
    assert found.failed >= 20, "the version met jobs"
    assert (found.dead, found.done) == (0, found.sent)


async def test_without_the_mark_it_kills_them(local_aws, tmp_path):
    """A negative control."""
    assert (await switched(tmp_path, marked=False)).dead > 0


def allows(policy, operation, key):
    """What IAM would say, of the few words that the documented policy uses."""
    keys = [
        statement["Condition"]["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"]
        for statement in policy["Statement"]
        if statement["Action"] == f"dynamodb:{operation}"
    ]
    return any(key["service"]["S"] in each for each in keys)


async def test_the_documented_policy_is_enough_for_a_worker_and_keeps_the_ledger_from_it(
    ledger, operators, monkeypatch
):
    requests = []
    make_call = BaseClient._make_api_call

    def seen(client, operation, arguments):
        requests.append((operation, arguments.get("Key") or arguments["Item"]))
        return make_call(client, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", seen)
    await operators.write(WHO.service, Ledger("v1", "v2"), over=0, term=1)
    (_, written), *_ = requests
    requests.clear()
    await ledger.report(Report(claims=3, returned=0, waiting=1, seq=2))
    (documented,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    policy = json.loads(documented)
    assert [operation for operation, _ in requests] == ["UpdateItem", "GetItem"]
    assert all(allows(policy, operation, key) for operation, key in requests)
    assert not any(allows(policy, operation, written) for operation in ("UpdateItem", "PutItem", "DeleteItem"))
