"""What is installed and what the demo releases, read as the API server and the operator read them."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller import registry
from controller.api import resources
from controller.api.metric_source import parse_source
from controller.api.names import API_VERSION, GROUP, RELEASE_LABEL, REVISION_LABEL
from controller.api.reading import parse_duration
from controller.api.release import parse_release
from controller.runtime.settings import settings as operator_settings
from hack.node import images
from tests.merge_patch import merged
from workloads import pin
from workloads.common.http_metrics import EDGES
from workloads.common.share_settings import consumer
from workloads.image_worker.settings import read as read_worker
from workloads.subject.settings import read

CHECKOUT = Path(__file__).resolve().parents[2]
GITOPS = CHECKOUT / "gitops"


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader) if document]


def objects(folder: str) -> list[dict[str, Any]]:
    kustomization = yaml.load((GITOPS / folder / "kustomization.yaml").read_text(), Loader=yaml.CSafeLoader)
    found = []
    for name in kustomization["resources"]:
        found += documents(GITOPS / folder / name) if name.endswith(".yaml") else objects(f"{folder}/{name}")
    return found


def the(kind: str, name: str, folder: str = "install") -> dict[str, Any]:
    (found,) = [item for item in objects(folder) if (item["kind"], item["metadata"]["name"]) == (kind, name)]
    return found


def rules(item: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(group, resource, verb) of each rule."""
    for rule in item["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield group, resource, verb


READING = {"get", "list", "watch"}
VERBS = {"get": "get", "find": "get", "list": "list", "list_versions": "list", "create": "create"} | {
    "replace": "update",
    "patch": "patch",
    "delete": "delete",
}


def calls(*, of_sync: bool = False) -> Iterator[tuple[str, str, str]]:
    """(group, resource, verb) of each call of the operator that names its resource where it stands."""
    for file in sorted((CHECKOUT / "controller").rglob("*.py")):
        if file.is_relative_to(CHECKOUT / "controller" / "cli"):
            continue  # runs with the rights of the person
        if file.is_relative_to(CHECKOUT / "controller" / "sync") is not of_sync:
            continue  # a process of its own
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name() | ast.Attribute() as client, attr=method),
                    args=[ast.Name(id=constant), *rest],
                ) if (
                    method in VERBS and ast.unparse(client).endswith(("kube", "cache")) and hasattr(resources, constant)
                ):
                    resource = getattr(resources, constant)
                    last = rest[-1].value if rest and isinstance(rest[-1], ast.Constant) else None
                    subresource = f"/{last}" if last in {"status", "scale"} else ""
                    yield resource.group, resource.plural + subresource, VERBS[method]
                case ast.Assign(targets=[ast.Name(id="watches" | "_LISTED")]):  # of a controller
                    names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
                    for resource in (getattr(resources, name) for name in names if hasattr(resources, name)):
                        yield from ((resource.group, resource.plural, verb) for verb in ("list", "watch"))


def pod_specs() -> Iterator[dict[str, Any]]:
    yield the("Deployment", "pointsman")["spec"]["template"]["spec"]
    yield the("Deployment", "pointsman-sync", "sync")["spec"]["template"]["spec"]
    yield from (release["spec"]["template"]["spec"] for release in [*releases(), *worker_releases()])


def releases() -> list[dict[str, Any]]:
    """Of HTTP services: the subject's, and the invitation API's for the demo."""
    return [
        *documents(CHECKOUT / "workloads/subject/release.yaml"),
        *documents(GITOPS / "demo/invitations/release.yaml"),
    ]


def worker_releases() -> list[dict[str, Any]]:
    """For the demo, and for production."""
    return [*documents(GITOPS / "demo/worker/release.yaml"), *documents(GITOPS / "workloads/image-worker/release.yaml")]


@pytest.mark.parametrize(
    "folder",
    [
        "install",
        "library",
        "install/author",
        "install/routes",
        "install/approvals",
        "install/sources",
        "sync",
        "sync/example",
    ],
)
def test_every_file_of_a_folder_is_applied_once_and_names_what_it_is(folder: str) -> None:
    listed = yaml.load((GITOPS / folder / "kustomization.yaml").read_text(), Loader=yaml.CSafeLoader)["resources"]
    assert sorted(listed) == sorted(
        file.name for file in (GITOPS / folder).glob("*.yaml") if file.name != "kustomization.yaml"
    )
    seen = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in objects(folder)]
    assert len(set(seen)) == len(seen)
    assert all(item["apiVersion"] for item in objects(folder))


@pytest.mark.parametrize("folder", ["demo/invitations", "demo/worker"])
def test_every_file_of_a_demo_is_applied_once(folder: str) -> None:
    kustomization = yaml.load((GITOPS / folder / "kustomization.yaml").read_text(), Loader=yaml.CSafeLoader)
    files = [name for name in kustomization["resources"] if not (GITOPS / folder / name).is_dir()]
    files += [patch["path"] for patch in kustomization["patches"]]
    there = {file.name for file in (GITOPS / folder).glob("*.yaml")} - {"kustomization.yaml"}
    assert sorted(files) == sorted(there)
    assert all(item["apiVersion"] for name in files for item in documents(GITOPS / folder / name))


def test_the_operator_gets_no_wildcard_and_nothing_that_makes_more_of_it() -> None:
    granted = {*rules(the("ClusterRole", "pointsman-operator")), *rules(the("Role", "pointsman-operator"))}
    assert not [rule for rule in granted if "*" in rule]
    verbs = {verb for _, _, verb in granted}
    assert verbs.isdisjoint({"impersonate", "escalate", "bind", "deletecollection"})
    assert {"rbac.authorization.k8s.io", "admissionregistration.k8s.io"}.isdisjoint(group for group, _, _ in granted)
    assert {verb for group, resource, verb in granted if (group, resource) == ("", "pods")} <= {"get", "list", "watch"}
    assert ("pointsman.dev", "releases", "create") not in granted
    assert ("pointsman.dev", "releases", "delete") not in granted


def test_the_operator_may_do_what_its_code_does() -> None:
    granted = {*rules(the("ClusterRole", "pointsman-operator")), *rules(the("Role", "pointsman-operator"))}
    of_routers = [resource for module in registry.modules("routers").values() for resource in module.WATCHES]
    done = {*calls(), *((of.group, of.plural, verb) for of in of_routers for verb in ("list", "watch"))}
    # the reading works: a call, a watch of children, a watch of what people write
    read = {("apps", "deployments/scale", "patch"), ("apps", "deployments", "watch"), (GROUP, "releases", "watch")}
    assert read <= done
    assert sorted(done - granted) == []


def test_sync_may_do_what_its_code_does_and_nothing_else() -> None:
    own = [item for item in objects("sync") if item["kind"] in ("ClusterRole", "Role")]
    granted = {rule for item in own if item["metadata"]["name"] == "pointsman-sync" for rule in rules(item)}
    as_account = {("autoscaling", "horizontalpodautoscalers", "list")}
    addresses = {("", "services", "get"), ("discovery.k8s.io", "endpointslices", "list")}
    leases = {("coordination.k8s.io", "leases", verb) for verb in ("get", "create", "update")}
    shared = {call for call in calls() if call[1] == "events"}  # of kube/events.py
    done = set(calls(of_sync=True)) | shared
    assert {(GROUP, "releaserepositories/status", "update"), (GROUP, "releaserepositories", "watch")} <= done
    assert granted == (done - as_account) | addresses | leases


def test_sync_may_impersonate_nobody_until_a_namespace_allows_one_account() -> None:
    verbs = {verb for item in objects("sync") if "rules" in item for _, _, verb in rules(item)}
    assert "impersonate" not in verbs
    allowed = the("Role", "pointsman-sync", "sync/example")
    repository = the("ReleaseRepository", "shop", "sync/example")
    (rule,) = allowed["rules"]
    assert (rule["verbs"], rule["resources"]) == (["impersonate"], ["serviceaccounts"])
    assert rule["resourceNames"] == [repository["spec"]["serviceAccountName"]]


def test_secrets_and_leases_are_the_operators_in_its_own_namespace_only() -> None:
    cluster = {resource for _, resource, _ in rules(the("ClusterRole", "pointsman-operator"))}
    assert cluster.isdisjoint({"secrets", "leases"})
    own = the("Role", "pointsman-operator")
    assert own["metadata"]["namespace"] == "pointsman-system"
    assert {verb for _, resource, verb in rules(own) if resource == "secrets"} == {"get"}


def test_workers_reach_the_ledger_at_their_old_address_and_nothing_but_the_operators_ports_is_open() -> None:
    deployment, service = the("Deployment", "pointsman")["spec"], the("Service", "pointsman")["spec"]
    (container,) = deployment["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    chosen = operator_settings(environ={})
    assert ports == {"http": chosen.port, "ledger": chosen.ledger_port}
    assert all(container[probe]["httpGet"]["port"] == "http" for probe in ("startupProbe", "livenessProbe"))
    published = {port["port"]: port["targetPort"] for port in service["ports"]}
    (address,) = re.findall(
        r"http://pointsman\.pointsman-system:(\d+)/", (CHECKOUT / "workloads/common/SHARE.md").read_text()
    )
    assert published.pop(int(address)) == "ledger"
    assert list(published.values()) == ["http"]
    policy = the("NetworkPolicy", "pointsman")["spec"]
    assert policy["podSelector"]["matchLabels"] == service["selector"] == deployment["selector"]["matchLabels"]
    assert policy["policyTypes"] == ["Ingress"]
    sources = {port["port"]: rule.get("from") for rule in policy["ingress"] for port in rule["ports"]}
    assert sources == {"http": None, "ledger": [{"namespaceSelector": {}}]}, "None: probes come from the node"


def test_pods_fit_the_restricted_standard_and_a_read_only_root() -> None:
    for pod in pod_specs():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 10_000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            if container["image"].startswith("localhost/"):
                assert container["imagePullPolicy"] == "IfNotPresent"
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert container["livenessProbe"]
            assert container["readinessProbe"]


@pytest.mark.parametrize("release", [*releases(), *worker_releases()])
def test_the_operator_reads_every_release(release: dict[str, Any]) -> None:
    assert release["apiVersion"] == API_VERSION
    spec = parse_release(release["metadata"]["name"], release["spec"], registry.kinds())
    templates = {item["metadata"]["name"] for item in objects("library")}
    assert {metric.template for metric in spec.analysis.metrics} <= templates
    weights = [step.weight for step in spec.steps]
    assert weights == sorted(weights)
    assert 0 < weights[0] < weights[-1] == 50


@pytest.mark.parametrize("folder", ["invitations", "worker"])
def test_the_demos_patch_makes_a_switch_of_its_release(folder: str) -> None:
    (release,) = documents(GITOPS / f"demo/{folder}/release.yaml")
    (patch,) = documents(GITOPS / f"demo/{folder}/blue-green/strategy.yaml")
    assert (patch["kind"], patch["metadata"]) == (release["kind"], release["metadata"])
    whole = merged(release["spec"], patch["spec"])
    spec = parse_release(release["metadata"]["name"], whole, registry.kinds())
    assert spec.strategy.switches
    assert len(spec.steps) == 2, "what judges the preview, and the switch"
    templates = {item["metadata"]["name"] for item in objects("library")}
    assert {metric.template for metric in spec.analysis.metrics} <= templates
    assert whole["template"] == release["spec"]["template"]


@pytest.mark.parametrize("release", worker_releases(), ids=["demo", "production"])
def test_an_image_workers_release_and_settings_fit(release: dict[str, Any]) -> None:
    """W24"""
    settings = the("ConfigMap", "image-worker", "workloads/image-worker")["data"]
    if release["metadata"].get("namespace") == "media":
        settings |= documents(GITOPS / "demo/worker/settings.yaml")[0]["data"]
    pod = release["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    entries = {entry["name"]: entry for entry in container["env"]}
    chosen = read_worker({**settings, **{name: entry.get("value", "") for name, entry in entries.items()}})
    in_the_demo = "namespace" in release["metadata"]
    assert (entries.get("ALLOW_FAULTS", {}).get("value") == "true") is in_the_demo
    assert pod["terminationGracePeriodSeconds"] >= chosen.jobs.capacity.drain + chosen.jobs.wait_s + 10
    assert entries["SERVICE_ID"]["value"] == "$(NAMESPACE)/$(SERVICE)"
    who = consumer({"SERVICE_ID": "media/image-worker", "REVISION": "r", "POD": "p"})
    assert who.service == "media/image-worker"
    table = release["spec"]["traffic"]["queue"]["ledger"]["dynamodb"]["table"]
    assert settings["SHARE_LEDGER"] == f"dynamodb://{table}", "operator and workers keep to one ledger"


def test_an_image_worker_is_scaled_by_backlog_per_slot() -> None:
    """W24"""
    scaled = documents(GITOPS / "workloads/image-worker/autoscaling/scaledobject.yaml")[0]["spec"]
    settings = the("ConfigMap", "image-worker", "workloads/image-worker")["data"]
    _, production = worker_releases()
    target = scaled["scaleTargetRef"]
    assert (target["apiVersion"], target["kind"]) == (production["apiVersion"], production["kind"])
    assert target["name"] == production["metadata"]["name"]
    (trigger,) = scaled["triggers"]
    assert trigger["metadata"]["queueURL"] == settings["QUEUE_URL"]
    assert int(trigger["metadata"]["queueLength"]) == 5 * int(settings["SLOTS"])
    assert scaled["minReplicaCount"] > 0


def test_the_subject_reads_the_environment_of_its_release() -> None:
    release = releases()[0]
    pod = release["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    entries = {entry["name"]: entry for entry in container["env"]}
    settings = read({name: entry["value"] for name, entry in entries.items() if "value" in entry})
    assert settings.telemetry_url.startswith("http://")
    assert pod["terminationGracePeriodSeconds"] > settings.shutdown.drain + settings.shutdown.finish + 3
    paths = {
        name: entry["valueFrom"]["fieldRef"]["fieldPath"] for name, entry in entries.items() if "value" not in entry
    }
    assert paths == {
        "SERVICE": f"metadata.labels['{RELEASE_LABEL}']",
        "REVISION": f"metadata.labels['{REVISION_LABEL}']",
        "POD": "metadata.name",
    }


def test_no_manifest_for_production_lets_a_workload_fail_on_purpose() -> None:
    files = sorted((GITOPS / "workloads").rglob("*.yaml"))
    assert len(files) > 20
    for file in (*files, CHECKOUT / "compose.yaml"):
        assert not re.search(r"ALLOW_FAULTS|ERROR_RATE|ERRORS_ABOVE|_LATENCY", file.read_text()), file


def test_a_version_is_changed_on_a_line_of_its_own() -> None:
    faults = ("VERSION", "ERROR_RATE", "EXTRA_LATENCY")
    files = {
        "workloads/subject/release.yaml": (*faults, "LATENCY_SHARE"),
        "gitops/demo/worker/release.yaml": (*faults, "ERRORS_ABOVE"),
        "gitops/demo/invitations/release.yaml": (*faults, "ERRORS_ABOVE", "LATENCY_SHARE"),
    }
    for file, names in files.items():
        text = (CHECKOUT / file).read_text()
        for name in names:
            assert len(re.findall(rf'- name: {name}(?: #.*)?\n +value: "[^"]*"\n', text)) == 1


@pytest.mark.parametrize("release", releases(), ids=lambda release: release["metadata"]["name"])
def test_a_good_version_of_the_demo_is_through_its_steps_in_a_minute(release: dict[str, Any]) -> None:
    steps = release["spec"]["strategy"]["canary"]["steps"]
    at_most = sum(parse_duration(step["analyze"]["atMost"], "") for step in steps)
    assert at_most <= 60


def test_the_metric_source_is_one_the_operator_reads_and_serves_the_demo() -> None:
    (source,) = documents(GITOPS / "demo/metricsource.yaml")
    parsed = parse_source(source["spec"], "spec", registry.kinds())
    assert all(parsed.serves(name, own=source["metadata"]["namespace"]) for name in ("friends", "media"))


def test_latency_is_asked_for_at_an_edge_that_is_there() -> None:
    edges = {f"{edge:g}" for edge in EDGES}
    for template in objects("library"):
        for parameter in template["spec"].get("parameters", ()):
            if parameter["name"] == "threshold":
                assert f"{parameter['default']:g}" in edges


@pytest.mark.parametrize("path", sorted(pin.IMAGES))
def test_images_install_what_is_locked(path: str) -> None:
    assert (CHECKOUT / path).read_text() == pin.requirements(pin.IMAGES[path])


@pytest.mark.parametrize("dockerfile", [path.replace("requirements.txt", "Dockerfile") for path in sorted(pin.IMAGES)])
def test_images_take_any_base_run_as_a_number_and_copy_what_exists(dockerfile: str) -> None:
    """W23"""
    text = (CHECKOUT / dockerfile).read_text()
    assert "ARG BASE=python:3.13-slim\n" in text
    stages = {"${BASE}", *images.stages(text)}
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) <= stages
    assert text.rstrip().rpartition("\nFROM ")[2].startswith("${BASE}\n"), "nothing that builds is in the image"
    assert re.search(r"^USER \d+:\d+$", text, re.MULTILINE)
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all(list(CHECKOUT.glob(source)) for source in sources.split()), sources


def test_the_image_workers_settings_are_read_and_its_rights_are_what_it_calls() -> None:
    """W24"""
    folder = "workloads/image-worker"
    settings = the("ConfigMap", "image-worker", folder)["data"]
    chosen = read_worker(settings)
    assert chosen.jobs.capacity.drain >= chosen.jobs.rules.longest_job, "a running job may end"
    assert the("ServiceAccount", "image-worker", folder)["automountServiceAccountToken"] is False
    budget = the("PodDisruptionBudget", "image-worker", folder)["spec"]
    assert budget["selector"]["matchLabels"] == {"app.kubernetes.io/name": "image-worker"}
    policy = json.loads((CHECKOUT / "workloads/image_worker/iam-policy.json").read_text())
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert not any("*" in action for action in allowed)
    used = set()
    for path in ("common/job_queue.py", "common/job_table.py", "image_worker/near.py", "image_worker/store.py"):
        text = (CHECKOUT / "workloads" / path).read_text()
        used |= {f"{service}:{name}" for service, name in re.findall(r"_aws\.(sqs|dynamodb|s3)\.([a-z_]+)", text)}
    called = {f"{call.split(':')[0]}:{call.split(':')[1].title().replace('_', '')}" for call in used}
    called -= {"dynamodb:TransactWriteItems", "s3:HeadObject"}  # the rights to PutItem and GetObject
    assert called <= allowed


def test_the_operator_may_do_what_effects_ask_for() -> None:
    """Secrets only in its own namespace: a tenant's needs a Role of its own."""
    allowed = {*rules(the("ClusterRole", "pointsman-operator")), *rules(the("Role", "pointsman-operator"))}
    for kind, module in registry.modules("effects").items():
        for rule in module.RULES:
            for verb in rule.verbs:
                assert (rule.resource.group, rule.resource.plural, verb) in allowed, kind
