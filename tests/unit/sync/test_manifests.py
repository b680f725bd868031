"""Where a manifest goes, what it is compared by, and how the status keeps it."""

import pytest

from controller.api.names import COMMIT, REPOSITORY_LABEL
from controller.sync.inventory import UNKNOWN, Entry, from_lines, has_replicas, state_of, to_lines
from controller.sync.manifests import Manifest, ObjectId, placed, targets_of, unique
from controller.sync.planning import Place


def manifest(file="a.yaml", **metadata):
    raw = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", **metadata},
        "spec": {"replicas": 3, "paused": True},
        "status": {"replicas": 1},
    }
    return Manifest(file, raw)


def put(one, *, namespaced=True, scaled=False):
    return placed(one, namespaced=namespaced, home="shop", repository="shop.web", scaled=scaled)


def test_a_manifest_without_a_namespace_lies_in_the_repositorys():
    assert put(manifest()).id == ObjectId("apps", "Deployment", "shop", "web")
    assert put(manifest(namespace="other")).id.namespace == "other"
    of_cluster = put(manifest(namespace="other"), namespaced=False)
    assert of_cluster.id.namespace == ""
    assert "namespace" not in of_cluster.body["metadata"]


def test_what_the_server_writes_is_not_applied():
    found = put(manifest(uid="1", resourceVersion="7", managedFields=[], creationTimestamp=None))
    assert set(found.body["metadata"]) == {"name", "namespace", "labels"}
    assert "status" not in found.body


def test_the_commit_is_no_part_of_what_is_compared():
    one = put(manifest(annotations={"a": "b"}))
    assert one.at("abc")["metadata"]["annotations"] == {"a": "b", COMMIT: "abc"}
    assert COMMIT not in str(one.body)
    assert one.digest == put(manifest(file="b.yaml", annotations={"a": "b"})).digest
    assert one.digest != put(manifest(annotations={"a": "c"})).digest


def test_replicas_are_left_out_where_they_are_scaled():
    assert put(manifest(), scaled=True).body["spec"] == {"paused": True}
    assert put(manifest()).body["spec"]["replicas"] == 3


@pytest.mark.parametrize(
    ("spec", "targets"),
    [
        (
            {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
            [("apps/Deployment", "web")],
        ),
        ({"scaleTargetRef": {"kind": "Deployment"}}, [("/Deployment", "")]),
        ({"scaleTargetRef": "web"}, []),
        (None, []),
    ],
)
def test_an_autoscaler_names_its_target(spec, targets):
    assert list(targets_of({"spec": spec})) == targets


def test_what_stands_twice_is_not_applied_and_both_files_are_named():
    other = Manifest("c.yaml", {**manifest().raw, "kind": "StatefulSet"})
    found, failures = unique(map(put, [manifest("a.yaml"), manifest("b.yaml"), other]))
    assert [one.id.kind for one in found] == ["StatefulSet"]
    assert [one.message for one in failures] == ["stands in a.yaml and in b.yaml"]


def test_an_inventory_survives_the_status():
    inventory = {
        ObjectId("apps", "Deployment", "shop", "web"): Entry("v1", "abc", "def"),
        ObjectId("", "Namespace", "", "shop"): Entry("v1"),
        ObjectId("rbac.authorization.k8s.io", "ClusterRole", "", "system:shop"): Entry("v1", "abc", UNKNOWN),
    }
    assert from_lines(to_lines(inventory)) == inventory


@pytest.mark.parametrize("line", ["", "a", "a/b/c v1 d s", "a/b/c/d v1 d", None, 3, {}, "a/b/c/d v1 d s more"])
def test_what_is_no_line_of_an_inventory_is_passed_over(line):
    assert from_lines([line]) == {}


def metadata(fields, manager="pointsman-sync", **more):
    entry = {"manager": manager, "operation": "Apply", "fieldsV1": fields, **more}
    return {"uid": "0123456789", "resourceVersion": "7", "managedFields": [entry]}


def test_an_object_is_as_it_was_while_its_fields_are_ours():
    mine = metadata({"f:spec": {"f:replicas": {}}})
    assert has_replicas(mine)
    state = state_of(mine)
    other = {"manager": "kubelet", "operation": "Update", "fieldsV1": {"f:status": {}}, "subresource": "status"}
    assert state_of({**mine, "resourceVersion": "8", "managedFields": [*mine["managedFields"], other]}) == state
    assert state_of(metadata({"f:spec": {}})) != state
    assert state_of({**mine, "managedFields": None}) != state
    assert state_of({**mine, "uid": "another"}) != state
    assert not has_replicas(metadata({"f:spec": {"f:replicas": {}}}, manager="kubectl"))


def test_every_repository_has_a_label_that_fits():
    assert Place("shop", "web", prune=False).label == "shop.web"
    long, other = Place("n" * 63, "w" * 250, prune=False), Place("n" * 62, "w" * 250, prune=False)
    assert len(long.label) <= 63
    assert long.label != other.label
    assert REPOSITORY_LABEL in put(manifest()).body["metadata"]["labels"]
