"""`pointsman validate` on `spec.template`: what the API server would refuse of the Deployment is said beforehand."""

import copy

import pytest
import yaml
from typer.testing import CliRunner

from controller.cli.main import application
from tests import golden


@pytest.fixture
def said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(change):
        raw = copy.deepcopy(golden.release())
        pod = raw["spec"]["template"]["spec"]
        change(pod, pod["containers"][0])
        (tmp_path / "a.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
        return CliRunner().invoke(application(), ["validate", "a.yaml"]).stdout.splitlines()

    return run


POD = "spec.template.spec"
CONTAINER = f"{POD}.containers[0]"
UNKNOWN = "is not a known field"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"env": [{"name": "PORT", "value": 8080}]},
            f'{CONTAINER}.env[0].value: must be a string, not 8080: write "8080"',
        ),
        (
            {"env": [{"name": "ON", "value": True}]},
            f'{CONTAINER}.env[0].value: must be a string, not True: write "true"',
        ),
        ({"resorces": {}}, f"{CONTAINER}.resorces: {UNKNOWN} (did you mean resources?)"),
        ({"ports": [{"containerPort": "80"}]}, f"{CONTAINER}.ports[0].containerPort: must be a whole number, not '80'"),
        (
            {"imagePullPolicy": "always"},
            f"{CONTAINER}.imagePullPolicy: 'always' is not one of Always, ",
        ),
        ({"resources": {"limits": {"cpu": [1]}}}, f"{CONTAINER}.resources.limits.cpu: must be a quantity such as 500m"),
        ({"livenessProbe": {"httpGet": {}}}, f"{CONTAINER}.livenessProbe.httpGet.port: is required"),
        ({"command": "run"}, f"{CONTAINER}.command: must be a list, not 'run'"),
    ],
)
def test_what_a_container_cannot_have_is_named_with_a_way_out(said, fields, sentence):
    (line,) = said(lambda _, container: container.update(fields))
    assert line.partition(": ")[2].startswith(sentence)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"restartPolcy": "Always"},
            f"{POD}.restartPolcy: {UNKNOWN} (did you mean restartPolicy?)",
        ),
        (
            {"volumes": [{"name": "a", "emptyDr": {}}]},
            f"volumes[0].emptyDr: {UNKNOWN} (did you mean emptyDir?)",
        ),
        (
            {"nodeSelector": {"ssd": True}},
            f'{POD}.nodeSelector.ssd: must be a string, not True: write "true"',
        ),
    ],
)
def test_what_a_pod_cannot_have_is_named_too(said, fields, sentence):
    (line,) = said(lambda pod, _: pod.update(fields))
    assert sentence in line


def test_what_a_pod_can_have_is_taken(said):
    def change(pod, container):
        container |= {
            "resources": {"requests": {"cpu": 0.5, "memory": "64Mi"}, "limits": {"cpu": 1}},
            "readinessProbe": {"httpGet": {"port": "http"}},
            "env": [{"name": "A"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "args": None,
        }
        pod |= {"volumes": [{"name": "a", "emptyDir": {}}], "securityContext": {"runAsNonRoot": True}}

    assert said(change) == []
