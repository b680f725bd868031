"""Uninstalling: what the manifests put there goes, and nothing else; not while there is a Release."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from controller.api.resources import CRDS, DEPLOYMENTS, METRIC_TEMPLATES, NAMESPACES, RELEASES, SECRETS, Resource
from controller.cli._cluster import CommandError
from controller.cli._installed import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, places
from controller.cli.main import application
from controller.cli.uninstalling import Uninstalled, _uninstall
from tests.unit.runtime.fake_api import FakeApi
from tests.unit.runtime.fake_client import FakeClient, Weather

CHECKOUT = Path(__file__).resolve().parents[3]
HOME = "pointsman-system"
Object = dict[str, Any]


def manifests() -> list[Object]:
    files = [*(CHECKOUT / "gitops/install").rglob("*.yaml"), *(CHECKOUT / "gitops/sync").glob("*.yaml")]
    found = [item for file in sorted(files) for item in yaml.safe_load_all(file.read_text())]
    return [item for item in found if item["kind"] not in ("Kustomization", "Namespace")]


KNOWN = {(resource.api_version, resource.kind): resource for resource, _, _ in places(HOME)}


class Cluster:
    def __init__(self) -> None:
        self.api = FakeApi(lambda: 0.0)
        self.kube = FakeClient(self.api, Weather, "person")

    def given(self, *items: tuple[Resource, Object]) -> Cluster:
        for resource, item in items:
            path = resource.path(item["metadata"].get("namespace"))
            assert self.api.handle("POST", path, {}, item).status == 201
        return self

    def installed(self, home: str = HOME) -> Cluster:
        for item in manifests():
            text = yaml.safe_dump(item).replace(HOME, home)
            self.given((KNOWN[item["apiVersion"], item["kind"]], yaml.safe_load(text)))
        return self

    def uninstall(self, namespace: str | None = None, *, with_crds: bool = False, yes: bool = True) -> Uninstalled:
        return asyncio.run(_uninstall(namespace, self.kube, with_crds=with_crds, yes=yes))

    def left(self) -> list[str]:
        return [item["metadata"]["name"] for kind in KNOWN.values() for item in self.api.objects(kind.path())]


def crd(kind: Resource) -> tuple[Resource, Object]:
    names = {"plural": kind.plural, "kind": kind.kind}
    versions = [{"name": kind.version, "served": True}]
    spec = {"group": kind.group, "names": names, "versions": versions}
    return CRDS, {"metadata": {"name": f"{kind.plural}.{kind.group}"}, "spec": spec}


def one(kind: Resource, name: str, namespace: str | None = "shop") -> tuple[Resource, Object]:
    where = {} if namespace is None else {"namespace": namespace}
    return kind, {"metadata": {"name": name, **where}, "spec": {}}


def test_what_is_known_is_what_the_manifests_have() -> None:
    written = {(m["kind"], m["metadata"].get("namespace"), m["metadata"]["name"]) for m in manifests()}
    known = {(resource.kind, namespace, name) for resource, namespace, name in places(HOME)}
    leases = {("Lease", HOME, "pointsman"), ("Lease", HOME, "pointsman-sync")}  # made by the processes
    assert known == written | leases


def test_all_of_it_goes_and_nothing_of_others() -> None:
    cluster = Cluster().installed()
    cluster.given(one(NAMESPACES, HOME, None), one(SECRETS, "aws", HOME), one(DEPLOYMENTS, "pointsman"))
    cluster.given(one(CLUSTER_ROLES, "pointsman-of-somebody", None), crd(RELEASES))
    done = cluster.uninstall()
    assert len(done.goes) == len(manifests())
    assert sorted(cluster.left()) == ["pointsman", "pointsman-of-somebody"]
    assert [len(cluster.api.objects(kind.path())) for kind in (NAMESPACES, SECRETS, CRDS)] == [1, 1, 1]
    assert done.stays == ("releases.pointsman.dev",)


def test_nothing_is_changed_before_somebody_says_yes() -> None:
    cluster = Cluster().installed().given(crd(METRIC_TEMPLATES))
    before = cluster.api.version
    planned = cluster.uninstall(with_crds=True, yes=False)
    assert cluster.api.version == before
    done = cluster.uninstall(with_crds=True)
    assert (planned.goes, planned.with_crds) == (done.goes, done.with_crds)


def test_deployments_go_before_their_rights_and_what_says_the_namespace_goes_last() -> None:
    done = Cluster().installed().uninstall(yes=False)
    kinds = [item.resource.kind for item in done.goes]
    assert kinds[:2] == ["Deployment", "Deployment"]
    assert str(done.goes[-1]) == "ClusterRoleBinding pointsman-operator"


def test_a_release_anywhere_keeps_everything_and_the_ways_out_are_named() -> None:
    cluster = Cluster().installed().given(one(RELEASES, "web"), one(RELEASES, "api", "pay"), crd(RELEASES))
    before = cluster.api.version
    for with_crds in (False, True):
        with pytest.raises(CommandError) as refused:
            cluster.uninstall(with_crds=with_crds)
        assert "pay/api, shop/web" in str(refused.value)
        assert "`pointsman eject api -n pay`" in str(refused.value)
        assert "`kubectl delete release api -n pay`" in str(refused.value)
    assert cluster.api.version == before


def test_crds_go_where_it_is_asked_for_with_what_is_of_their_kind() -> None:
    cluster = Cluster().installed().given(crd(METRIC_TEMPLATES), one(METRIC_TEMPLATES, "http-errors"))
    foreign = Resource("example.com", "v1", "releases", "Release")
    done = cluster.given(crd(foreign)).uninstall(with_crds=True)
    assert done.with_crds == (("metrictemplates.pointsman.dev", 1),)
    assert [item["metadata"]["name"] for item in cluster.api.objects(CRDS.path())] == ["releases.example.com"]


def test_a_second_time_there_is_nothing_to_do() -> None:
    cluster = Cluster().installed()
    cluster.uninstall()
    done = cluster.uninstall(with_crds=True)
    assert (done.goes, done.with_crds) == ((), ())


def test_it_goes_on_where_it_was_interrupted_in_a_namespace_of_ones_own() -> None:
    cluster = Cluster().installed(home="ops")
    everything = cluster.uninstall(yes=False).goes
    for item in everything[: len(everything) // 2]:
        asyncio.run(cluster.kube.delete(item.resource, item.namespace, item.name))
    done = cluster.uninstall()
    assert done.namespace == "ops"
    assert not cluster.left()


def test_another_namespace_than_the_operators_is_refused() -> None:
    cluster = Cluster().installed(home="ops")
    with pytest.raises(CommandError, match="is in namespace ops, not in shop"):
        cluster.uninstall("shop")
    assert cluster.api.objects(CLUSTER_ROLE_BINDINGS.path())


def test_what_helm_has_installed_is_left_to_helm() -> None:
    cluster = Cluster().installed()
    labels = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}}
    by = {"meta.helm.sh/release-name": "points", "meta.helm.sh/release-namespace": HOME}
    labels["metadata"]["annotations"] = by
    cluster.api.handle("PATCH", DEPLOYMENTS.path(HOME, "pointsman"), {}, labels)
    before = cluster.api.version
    with pytest.raises(CommandError, match=f"`helm uninstall points -n {HOME}`"):
        cluster.uninstall()
    assert cluster.api.version == before


def test_yes_and_dry_run_contradict_each_other() -> None:
    ran = CliRunner().invoke(application("uninstalling"), ["uninstall", "--yes", "--dry-run"])
    assert ran.exit_code == 2
    assert "not both" in ran.output
