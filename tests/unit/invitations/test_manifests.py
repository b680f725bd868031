"""What a cluster gets of the invitation API, read as the operator, the pods and AWS read it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from controller import registry
from controller.api.names import RELEASE_LABEL, REVISION_LABEL
from controller.api.release import parse_release
from tests.invitation_service import KEY
from workloads.common.http_metrics import EDGES
from workloads.common.share_settings import consumer
from workloads.invitations.sending.settings import ProviderName
from workloads.invitations.settings import Delivery, Role, read

CHECKOUT = Path(__file__).resolve().parents[3]
FOLDER = CHECKOUT / "gitops/workloads/invitations"
DEMO = CHECKOUT / "gitops/demo/invitations"
NAME_LABEL = "app.kubernetes.io/name"
PART = {"app.kubernetes.io/part-of": "invitations"}
SECRET = {"DATABASE_URL": "postgresql://u:p@db/invitations", "PHONE_KEYS": f"k1:{KEY}", "PHONE_HASH_KEY": KEY}


def documents(name):
    return [each for each in yaml.load_all((FOLDER / name).read_text(), Loader=yaml.CSafeLoader) if each]


def release(name):
    (found,) = documents({"invitations": "release.yaml", "invitations-sender": "release-sender.yaml"}[name])
    assert found["metadata"]["name"] == name
    return found


def pod(name):
    return release(name)["spec"]["template"]["spec"]


def environment(name):
    """What a pod's settings read, and the entries of its template."""
    (container,) = pod(name)["containers"]
    entries = {entry["name"]: entry for entry in container["env"]}
    (config,) = documents("beside/settings.yaml")
    assert container["envFrom"] == [{"configMapRef": {"name": "invitations"}}, {"secretRef": {"name": "invitations"}}]
    return {**config["data"], **SECRET, **{key: each.get("value", "") for key, each in entries.items()}}, entries


RELEASES = ["invitations", "invitations-sender"]


@pytest.mark.parametrize("name", RELEASES)
def test_the_operator_reads_each_release_and_its_metrics_are_in_the_library(name):
    """I29."""
    spec = parse_release(name, release(name)["spec"], registry.kinds())
    library = CHECKOUT / "gitops/library"
    assert spec.analysis.metrics
    assert all((library / f"{metric.template}.yaml").exists() for metric in spec.analysis.metrics)
    weights = [step.weight for step in spec.steps]
    assert weights == sorted(weights)
    assert 0 < weights[0] < weights[-1] == 50


def test_the_api_is_judged_by_errors_and_latency_at_an_edge_of_its_histogram():
    """I26, I29."""
    metrics = {each["template"]: each for each in release("invitations")["spec"]["analysis"]["metrics"]}
    assert set(metrics) == {"http-errors", "http-latency"}
    assert metrics["http-latency"]["parameters"]["threshold"] in EDGES


@pytest.mark.parametrize(
    ("name", "roles"), [("invitations", {Role.API}), ("invitations-sender", {Role.RELAY, Role.SENDER})]
)
def test_a_pods_settings_are_read_and_it_has_the_time_to_end(name, roles):
    """I29."""
    variables, entries = environment(name)
    chosen = read(variables)
    assert chosen.roles == roles
    grace = pod(name)["terminationGracePeriodSeconds"]
    if chosen.sender:
        assert grace >= 2 * chosen.serving.drain_s + chosen.sender.wait_s + 10
    else:
        sleep = pod(name)["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert grace >= sleep + chosen.serving.drain_s + 5
    paths = {key: entries[key]["valueFrom"]["fieldRef"]["fieldPath"] for key in ("SERVICE", "REVISION", "POD")}
    assert paths == {
        "SERVICE": f"metadata.labels['{RELEASE_LABEL}']",
        "REVISION": f"metadata.labels['{REVISION_LABEL}']",
        "POD": "metadata.name",
    }


def test_the_demos_pods_read_their_settings_and_ask_no_queue():
    """I29, I34."""
    (demo,) = yaml.safe_load_all((DEMO / "release.yaml").read_text())
    (container,) = demo["spec"]["template"]["spec"]["containers"]
    (base,), patch = documents("beside/settings.yaml"), yaml.safe_load((DEMO / "settings.yaml").read_text())
    config = {name: value for name, value in (base["data"] | patch["data"]).items() if value is not None}
    assert not [name for name, value in config.items() if "REGION" in value.split(".") or "example.com" in value]
    entries = {entry["name"]: entry.get("value", "") for entry in container["env"]}
    chosen = read({**config, **SECRET, "JWT_SECRET": KEY, **entries})
    assert read({**config, **SECRET, "JWT_SECRET": KEY, **entries, "ERROR_RATE": "0.2"}).faults.error_rate == 0.2
    assert chosen.delivery is Delivery.SYNCHRONOUS
    assert chosen.provider is ProviderName.SANDBOX
    production = release("invitations")["spec"]["template"]["spec"]
    (of_production,) = production["containers"]
    same = ("lifecycle", "securityContext", "ports", "livenessProbe", "startupProbe", "envFrom")
    assert {name: container[name] for name in same} == {name: of_production[name] for name in same}
    latency = demo["spec"]["analysis"]["metrics"][1]
    assert latency["parameters"]["threshold"] in EDGES


def test_the_sender_keeps_to_the_ledger_that_the_operator_writes():
    """I15, I29."""
    variables, entries = environment("invitations-sender")
    table = release("invitations-sender")["spec"]["traffic"]["queue"]["ledger"]["dynamodb"]["table"]
    assert variables["SHARE_LEDGER"] == f"dynamodb://{table}"
    assert entries["SERVICE_ID"]["value"] == "$(NAMESPACE)/$(SERVICE)"
    assert consumer({"SERVICE_ID": "shop/invitations-sender", "REVISION": "r", "POD": "p"})


def test_the_migration_runs_before_the_rollout_with_the_same_image_and_never_down():
    """I23."""
    (job,) = documents("migration/job.yaml")
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["command"][1:] == ["-m", "workloads.invitations.cli", "migrate", "--json"]
    assert {container["image"]} == {pod(name)["containers"][0]["image"] for name in RELEASES}
    assert [each["name"] for each in container["env"]] == ["DATABASE_URL"]
    assert job["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "PreSync"
    versions = CHECKOUT / "workloads/invitations/migrations/versions"
    assert not [file for file in versions.glob("v*.py") if "drop_" in file.read_text()]


def test_every_pod_fits_the_restricted_standard_and_a_read_only_root():
    """I29."""
    (job,) = documents("migration/job.yaml")
    for spec in (job["spec"]["template"]["spec"], *(pod(name) for name in RELEASES)):
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 10_000
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert container["resources"]["limits"]


def test_what_stands_beside_means_the_releases_and_their_pods():
    """I29."""
    budgets = {each["metadata"]["name"]: each["spec"] for each in documents("beside/disruption.yaml")}
    assert {name: each["selector"]["matchLabels"] for name, each in budgets.items()} == {
        name: {NAME_LABEL: name} for name in RELEASES
    }
    (scaler,) = documents("scaling.yaml")
    assert scaler["spec"]["scaleTargetRef"]["name"] == "invitations"
    assert "replicas" not in release("invitations")["spec"], "two would set them in turn"
    inward, outward = documents("beside/network.yaml")
    assert inward["spec"]["podSelector"]["matchLabels"] == {NAME_LABEL: "invitations"}
    assert outward["spec"]["podSelector"]["matchLabels"] == PART
    assert "Egress" in outward["spec"]["policyTypes"]
    (job,) = documents("migration/job.yaml")
    assert job["spec"]["template"]["metadata"]["labels"] == PART
    for name in RELEASES:
        assert release(name)["spec"]["template"]["metadata"]["labels"] == {NAME_LABEL: name, **PART}
    (account,) = documents("beside/serviceaccount.yaml")
    assert {account["metadata"]["name"]} == {pod(name)["serviceAccountName"] for name in RELEASES}


def test_rights_are_what_it_calls():
    """I29."""
    policy = json.loads((CHECKOUT / "workloads/invitations/iam-policy.json").read_text())
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert not any("*" in action for action in allowed)
    used = {"sns:publish"}
    for path in ("common/job_queue.py", "common/job_table.py", "invitations/outbox.py"):
        text = (CHECKOUT / "workloads" / path).read_text()
        used |= {f"{service}:{name}" for service, name in re.findall(r"_aws\.(sqs|dynamodb)\.([a-z_]+)", text)}
    called = {f"{call.split(':')[0]}:{call.split(':')[1].title().replace('_', '')}" for call in used}
    # Batches need the right to what is in them.
    assert {call.removesuffix("Batch") for call in called} <= allowed


def test_the_image_has_every_file_that_the_service_needs(tmp_path):
    """I29: what its Dockerfile copies is enough to make the application, its page and its command line."""
    for sources, target in re.findall(
        r"^COPY (?!--from)(\S+) /app/src/(\S+)$",
        (CHECKOUT / "workloads/invitations/Dockerfile").read_text(),
        re.MULTILINE,
    ):
        (tmp_path / target).mkdir(parents=True, exist_ok=True)
        for file in CHECKOUT.glob(sources):
            if file.is_dir():
                shutil.copytree(file, tmp_path / target, dirs_exist_ok=True)
            else:
                shutil.copy(file, tmp_path / target)
    program = (
        "import asyncio, pathlib, sys\n"
        "from workloads.invitations import __main__, app, cli, migrating\n"
        "from workloads.invitations.documentation import render\n"
        "assert str(pathlib.Path(app.__file__)).startswith(sys.argv[1]), app.__file__\n"
        "asyncio.run(migrating.migrate(f'sqlite:///{sys.argv[1]}/made.sqlite'))\n"
        "import os\n"
        "made = app.create(__main__.read(os.environ))\n"
        "render(made.openapi(), server='https://x')\n"
    )
    variables = {**environment("invitations")[0], "PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
