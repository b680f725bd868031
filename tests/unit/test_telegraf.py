"""What Telegraf's configurations in gitops say that Telegraf's own defaults would undo."""

import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from hack.node.binaries import PROGRAMS, GoTool

FOLDER = Path(__file__).parents[2] / "gitops/telegraf"
NODE = FOLDER / "node.conf"


def test_the_labels_of_versions_become_tags():
    """`label_exclude` is ["*"] where it is left out, and goes before `label_include`."""
    (kubelet,) = tomllib.loads(NODE.read_text())["inputs"]["kubernetes"]
    assert kubelet["label_include"] == ["pointsman.dev/release", "pointsman.dev/revision"]
    assert kubelet["label_exclude"] == []


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.conf")), ids=lambda file: file.stem)
def test_the_telegraf_of_the_tests_has_every_plugin_of_what_ships(file):
    source = PROGRAMS["telegraf-node"].source
    assert isinstance(source, GoTool)
    used = {
        f"{kind}.{name}"
        for kind, plugins in tomllib.loads(file.read_text()).items()
        if kind in ("inputs", "outputs")
        for name in plugins
    }
    assert used <= set(source.tags.split(","))


def test_each_process_of_the_operator_is_read_at_its_own_address():
    """Through one address the leader and who stands by would be read in turn, as one."""
    (operator,) = tomllib.loads((FOLDER / "operator.conf").read_text())["inputs"]["prometheus"]
    assert "urls" not in operator
    (url,) = map(urlsplit, operator["kubernetes_services"])
    installed = list(yaml.safe_load_all((FOLDER.parent / "install/operator.yaml").read_text()))
    name, namespace = str(url.hostname).split(".")
    metadata = {"name": name, "namespace": namespace}
    (service,) = [one for one in installed if one["kind"] == "Service" and metadata.items() <= one["metadata"].items()]
    (deployment,) = [one for one in installed if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    (port,) = service["spec"]["ports"]
    (of_pod,) = [one["containerPort"] for one in container["ports"] if one["name"] == port["targetPort"]]
    assert port["port"] == of_pod == url.port
    assert url.path == "/metrics"
