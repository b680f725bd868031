"""The workloads' CloudFormation templates: sound to their linter, and the same as the programs and policies."""

import json
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint_file
from cfnlint.decode.cfn_yaml import load

from tests.invitation_service import environment
from workloads.common.emf import EmbeddedMetrics
from workloads.common.environment import Environment
from workloads.common.http_metrics import Identity
from workloads.common.job_events import Attempted, Dequeued, Ended, Result
from workloads.common.provisioning import SPARE_RECEIVES
from workloads.image_worker.settings import read as read_worker
from workloads.invitations.sending.settings import sender

WORKLOADS = Path(__file__).resolve().parents[2] / "workloads"
FOLDERS = ["image_worker", "invitations"]
PLACES = dict.fromkeys(("QUEUE_URL", "DEAD_LETTER_QUEUE_URL", "JOBS_TABLE", "NEAR_TABLE", "BUCKET"), "x")
RULES = {
    "image_worker": lambda: read_worker(PLACES).jobs.rules,
    "invitations": lambda: sender(Environment({**environment("sqlite:///x"), **PLACES})).rules,
}


def template(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = load(str(WORKLOADS / folder / "cloudformation.yaml"))
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_linter_has_nothing_to_say(folder: str) -> None:
    assert [str(each) for each in lint_file(WORKLOADS / folder / "cloudformation.yaml")] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_role_has_the_rights_of_the_policy_file_and_no_other(folder: str) -> None:
    (policy,) = template(folder)["Resources"]["Role"]["Properties"]["Policies"]
    file = json.loads((WORKLOADS / folder / "iam-policy.json").read_text())

    def rights(statements: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            each["Sid"]: (each["Effect"], each["Action"], "Resource" in each, sorted(each.get("Condition", {})))
            for each in statements
        }

    assert rights(policy["PolicyDocument"]["Statement"]) == rights(file["Statement"])


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_queue_has_the_times_and_tries_of_the_settings(folder: str) -> None:
    found, rules = template(folder), RULES[folder]()
    assert found["Parameters"]["MaxReceives"]["Default"] == rules.max_attempts + SPARE_RECEIVES
    assert found["Resources"]["Queue"]["Properties"]["VisibilityTimeout"] == rules.visibility


@pytest.mark.parametrize("folder", FOLDERS)
def test_data_outlive_the_stack_and_rows_end(folder: str) -> None:
    resources = template(folder)["Resources"].values()
    kept = [each for each in resources if each["Type"] in {"AWS::DynamoDB::Table", "AWS::S3::Bucket"}]
    assert kept
    tables = [each["Properties"] for each in kept if each["Type"] == "AWS::DynamoDB::Table"]
    ends = {"AttributeName": "purge_at", "Enabled": True}
    assert [each["TimeToLiveSpecification"] for each in tables] == [ends] * len(tables), "as setup makes them"
    assert {each["DeletionPolicy"] for each in kept} == {each["UpdateReplacePolicy"] for each in kept} == {"Retain"}


def test_the_dashboard_asks_for_metrics_that_the_worker_writes() -> None:
    resources = template("image_worker")["Resources"]
    widgets = json.loads(resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])["widgets"]
    shown = {
        line[1]
        for widget in widgets
        for own in (any(each[0] == "ImageWorker" for each in widget["properties"]["metrics"]),)
        for line in widget["properties"]["metrics"]
        if own
    }
    metrics = EmbeddedMetrics(Identity("image-worker", "r", "p"), "ImageWorker")
    for event in (
        Dequeued(1.0),
        Attempted(1, first=True, result=Result.FAILED, seconds=1.0),
        Ended("r", completed=True),
        Ended("r", completed=False),
    ):
        metrics.note(event)
    [written] = [json.loads(line) for line in metrics.lines(now_ms=0)]
    assert shown
    assert shown <= set(written)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_dead_letter_is_an_alarm(folder: str) -> None:
    alarm = template(folder)["Resources"]["DeadLetterAlarm"]["Properties"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "GreaterThanThreshold")
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["DeadLetters", "QueueName"]}}]
