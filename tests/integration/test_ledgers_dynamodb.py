"""Share ledgers in DynamoDB: what is written is read again, and only what was decided on is written over."""

import asyncio
import time

import boto3
import pytest

from controller.queue_share.ledger import Ledger
from controller.queue_share.ports import LedgerAwayError, Report, Stored
from controller.queue_share.stores.dynamodb import DynamoLedgers, control_key

pytest_plugins = ["tests.integration.aws_fixture"]

SERVICE = "shop/thumbnails"
LEDGER = Ledger(
    stable="v1",
    canary="v2",
    draining=("v0",),
    share=0.05,
    epoch=7,
    min_epoch=3,
    expires_at=1764000000.123456,
    counted={"s.1": 10**12, "c.1": 3},
    pace=12.345,
    carried=1 / 3,
    granted={"c.1": 4},
    unused=1,
)


@pytest.fixture
async def store(ledger_table):
    store = DynamoLedgers(ledger_table)
    yield store
    await store.close()


def write_report(table, consumer, *, claims=1, seq=1, **more):
    numbers = {"claims": claims, "seq": seq, **more}
    item = {"service": {"S": SERVICE}, "item": {"S": f"pod#{consumer}"}, "revision": {"S": "v1"}}
    item |= {name: {"N": str(number)} for name, number in numbers.items()} | {"filler": {"S": "x" * 60_000}}
    boto3.client("dynamodb").put_item(TableName=table, Item=item)


async def test_a_ledger_is_read_as_it_was_written(store):
    assert await store.read(SERVICE) is None
    assert await store.write(SERVICE, LEDGER, over=0, term=1)
    assert await store.read(SERVICE) == Stored(LEDGER, 1)
    assert await store.read("shop/other") is None


async def test_only_what_was_read_is_written_over(store):
    assert await store.write(SERVICE, LEDGER, over=0, term=1)
    assert not await store.write(SERVICE, LEDGER, over=0, term=1), "somebody made it meanwhile"
    written = await asyncio.gather(*(store.write(SERVICE, LEDGER, over=1, term=1) for _ in range(5)))
    assert sum(written) == 1
    assert not await store.write(SERVICE, LEDGER, over=1, term=1)


async def test_a_leader_that_was_frozen_does_not_write_over_its_successor(store):
    assert await store.write(SERVICE, LEDGER, over=0, term=2)
    assert not await store.write(SERVICE, LEDGER, over=1, term=1)
    assert await store.write(SERVICE, LEDGER, over=1, term=3)


async def test_reports_are_read_from_all_pages_without_those_that_have_expired(store, ledger_table):
    for number in range(30):
        write_report(ledger_table, f"s.{number}", claims=number, purge_at=time.time() + 60)
    write_report(ledger_table, "gone.1", purge_at=time.time() - 1)
    found = {report.consumer: report for report in await store.reports(SERVICE)}
    assert found == {f"s.{number}": Report(f"s.{number}", "v1", number, 1) for number in range(30)}


async def test_a_malformed_control_item_is_a_sentence_with_a_way_out(store, ledger_table):
    assert await store.write(SERVICE, LEDGER, over=0, term=1)
    client, key = boto3.client("dynamodb"), control_key(SERVICE)
    good = client.get_item(TableName=ledger_table, Key=key)["Item"]
    for name, value in (
        ("share", {"S": "all"}),
        ("epoch", {"N": "1E+125"}),
        ("granted", {"L": []}),
        ("draining", {"NULL": True}),
    ):
        client.put_item(TableName=ledger_table, Item={**good, name: value})
        with pytest.raises(LedgerAwayError, match=r"malformed control item for shop/thumbnails.*Delete the item"):
            await store.read(SERVICE)
    client.put_item(TableName=ledger_table, Item=good)
    assert await store.read(SERVICE) == Stored(LEDGER, 1)


async def test_a_consumer_with_a_malformed_report_is_left_out_and_said_once(store, ledger_table, caplog):
    write_report(ledger_table, "s.1")
    write_report(ledger_table, "odd.1", claims="1E+125")
    write_report(ledger_table, "odd.2", claims="1.5")
    write_report(ledger_table, "odd.3", claims=-1)
    for _ in range(2):
        assert [report.consumer for report in await store.reports(SERVICE)] == ["s.1"]
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "a consumer of shop/thumbnails has a malformed report, which is ignored"
    ]


async def test_a_table_that_is_not_there_is_said_in_one_sentence(local_aws):
    store = DynamoLedgers("nowhere")
    with pytest.raises(
        LedgerAwayError, match=r"^the share ledger in DynamoDB table nowhere: .*ResourceNotFound"
    ) as told:
        await store.read(SERVICE)
    assert "\n" not in str(told.value)
    await store.close()


def test_without_a_region_it_is_said_what_is_missing(monkeypatch, tmp_path):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(LedgerAwayError, match=r"^the share ledger in DynamoDB table shares: You must specify a region"):
        DynamoLedgers("shares")


async def test_a_server_that_is_away_is_said_within_seconds(local_aws, monkeypatch, unused_tcp_port):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused_tcp_port}")
    store = DynamoLedgers("shares", "eu-central-1")
    began = time.monotonic()
    with pytest.raises(LedgerAwayError, match="Could not connect"):
        await store.read(SERVICE)
    assert time.monotonic() - began < 8
    await store.close()
