"""Each way of installing, typed as its page says it: from a cluster without Pointsman to one that brings out a Release,
and away again.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hack.install import CHECKOUT, OPERATOR_NAMESPACE, SUBJECT, install
from hack.node import build
from tests.e2e.shop import NOT_JUDGED, SHORT_DRAIN, weight

_PAGE = CHECKOUT / "controller" / "docs" / "operating.md"
_POINTSMAN = Path(sys.executable).parent / "pointsman"
_LAST = "kubectl -n pointsman-system wait --for=condition=Available deployment/pointsman"
_LEFT = ("customresourcedefinitions", "clusterroles", "clusterrolebindings", "validatingadmissionpolicies")


class Terminal:
    """Of a person who administers the cluster."""

    def __init__(self, cluster):
        tools = (cluster.kubectl.parent, build.program("helm").parent)
        path = ":".join((*map(str, tools), os.environ["PATH"]))
        self._environment = {**os.environ, "PATH": path, "KUBECONFIG": str(cluster.kubeconfig)}

    def type(self, commands):
        """What they say, once all of them have succeeded."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands], cwd=CHECKOUT, env=self._environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, f"{commands}\n{done.stdout}"
        return done.stdout

    def remove(self):
        self.type("helm uninstall pointsman -n pointsman-system --ignore-not-found")
        self.delete_namespace()
        self.type(f"{_POINTSMAN} uninstall -n {OPERATOR_NAMESPACE} --crds --yes")
        self.type("kubectl wait --for=delete crd/releases.pointsman.dev --timeout=60s")

    def delete_namespace(self):
        """In seconds: one that has pods still, or objects of CRDs that have gone, is looked at again after a minute."""
        self.type(
            "kubectl -n pointsman-system delete deployments --all\n"
            "kubectl -n pointsman-system wait --for=delete pods --all --timeout=60s\n"
            "kubectl delete namespace pointsman-system --ignore-not-found --timeout=120s"
        )

    def left(self):
        """What of Pointsman's belongs to no namespace."""
        names = self.type(f"kubectl get {','.join(_LEFT)} -o name").split()
        return [name for name in names if "pointsman" in name]


@pytest.fixture(scope="module")
def administrator(cluster):
    """Has no Pointsman; afterwards all is there that the other tests expect."""
    terminal = Terminal(cluster)
    try:
        terminal.remove()
        yield terminal
    finally:
        install(cluster, print, SUBJECT, replicas=2)


@pytest.fixture
def terminal(administrator):
    assert administrator.left() == []
    yield administrator
    administrator.remove()


def page(section):
    """Its commands, with the image that the nodes have in place of one that somebody has built and pushed."""
    text = re.split(rf"^#+ {section}\n", _PAGE.read_text(), flags=re.MULTILINE)[1]
    commands = re.findall(r"^```\n(.+?)^```", text, re.MULTILINE | re.DOTALL)[0]
    lines = [line for line in commands.splitlines() if not line.startswith("docker build ")]
    assert lines[-1] == _LAST
    return "\n".join(lines).replace("registry.example.com/pointsman:0.1.0", "localhost/pointsman:dev")


def of_chart(*settings):
    before = "--set image.repository=registry.example.com/pointsman"
    commands = page("With Helm")
    assert before in commands
    chosen = ("image.repository=localhost/pointsman", "image.tag=dev", *settings)
    return commands.replace(before, " ".join(f"--set {setting}" for setting in chosen))


async def brings_out_two_versions(shop):
    first = await shop.given(weight(50), analysis=NOT_JUDGED, drain=SHORT_DRAIN)
    await shop.commit(VERSION="2")
    await shop.until(lambda status: status["phase"] == "Healthy" and status["stableRevision"] != first)
    await shop.delete()


async def test_by_kustomize(terminal, shop):
    said = terminal.type(page("Installing"))
    assert "deployment.apps/pointsman condition met" in said
    assert "metrictemplate.pointsman.dev/http-errors created" in said
    await brings_out_two_versions(shop)


async def test_by_helm_for_the_cluster_and_for_one_namespace(terminal, shop):
    """Uninstalled in between, the chart leaves the CRDs, and takes them up again."""
    assert "deployment.apps/pointsman condition met" in terminal.type(of_chart())
    await brings_out_two_versions(shop)
    terminal.type("helm uninstall pointsman -n pointsman-system")
    assert {name.partition("/")[0] for name in terminal.left()} == {"customresourcedefinition.apiextensions.k8s.io"}
    terminal.delete_namespace()
    assert "condition met" in terminal.type(of_chart(f"onlyNamespace={shop.namespace}"))
    await brings_out_two_versions(shop)
