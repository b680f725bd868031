"""What a person does with messages that are lost or dead, from the command line."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from typer.testing import CliRunner

from hack.node.aws import LocalAws
from tests.invitation_sending import FRIEND, Sends, sends
from tests.twilio_server import Mood, TwilioServer
from workloads.invitations.database import Session
from workloads.invitations.sending.cli import app

pytest_plugins = ["tests.integration.aws_fixture", "tests.integration.invitations_fixture"]


@pytest.fixture
async def it(database_url: str, database: Session) -> AsyncIterator[Sends]:
    async with TwilioServer(mood=Mood.DEAF).running() as server, sends(database_url, database, server) as found:
        yield found


async def command(*arguments: str, **variables: str) -> tuple[int, str, str]:
    # It runs a loop of its own.
    shown = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=variables)
    return shown.exit_code, shown.stdout, shown.stderr


async def test_a_lost_message_is_listed_and_settled_by_whoever_looked_into_the_providers_logs(
    it: Sends, database_url: str
) -> None:
    """I15: SNS can be asked by nobody else."""
    sent, unsent = [await it.invite(), await it.invite("+12025550124")]
    for invitation in (sent, unsent):
        await it.deliver(invitation)
    code, out, _ = await command("lost", "--json", DATABASE_URL=database_url)
    listed = [json.loads(line) for line in out.splitlines()]
    assert (code, {each["invitation_id"] for each in listed}) == (0, {sent, unsent})
    assert FRIEND[1:] not in out

    await command("was-sent", sent, "m1", DATABASE_URL=database_url)
    row, [attempt] = await it.invitation(sent), await it.attempts(sent)
    assert (row["status"], row["provider_message_id"], attempt["outcome"]) == ("SENT", "m1", "ACCEPTED")

    await command("was-not-sent", unsent, DATABASE_URL=database_url)
    assert await it.status(unsent) == "FAILED"
    assert [attempt["code"] for attempt in await it.attempts(unsent)] == ["by_hand"]
    assert await it.is_phone_free("+12025550124")

    code, _, err = await command("was-not-sent", sent, DATABASE_URL=database_url)
    assert code == 2
    assert f"invitation {sent} is SENT, not UNKNOWN" in err
    assert await it.status(sent) == "SENT"


async def test_setup_makes_what_the_sender_needs_and_dead_letters_can_be_looked_at(local_aws: LocalAws) -> None:
    """I14, I15"""
    code, out, _ = await command("setup", "--name", "by-hand")
    assert code == 0
    variables = dict(line.removeprefix("export ").split("=", 1) for line in out.splitlines())
    assert set(variables) == {"QUEUE_URL", "DEAD_LETTER_QUEUE_URL", "JOBS_TABLE"}
    code, out, err = await command("dlq", "list", "--json", **variables)
    assert (code, out) == (0, "")
    assert err.startswith("the dead letter queue is empty")
    code, _, err = await command("dlq", "redrive", JOBS_TABLE="", QUEUE_URL="q", DEAD_LETTER_QUEUE_URL="d")
    assert (code, err) == (2, "invitations: JOBS_TABLE is not set: give the name of the DynamoDB table of jobs\n")
    assert await command("teardown", "--yes", **variables) == (0, "", "")
    code, _, err = await command("dlq", "list", **variables)
    assert code == 2
    assert "NonExistentQueue" in err


def test_every_command_has_examples() -> None:
    for words in ([], ["dlq"]):
        group = CliRunner().invoke(app, [*words, "--help"])
        assert group.exit_code == 0
    for words in (
        ["setup"],
        ["teardown"],
        ["lost"],
        ["was-sent"],
        ["was-not-sent"],
        ["dlq", "list"],
        ["dlq", "redrive"],
    ):
        assert "Examples:" in CliRunner().invoke(app, [*words, "--help"]).output
