"""The name of a version: what the user wrote and where, and nothing else."""

import copy
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.api.names import RESTARTED_AT
from controller.api.revision import canonical_template, first_revision_of, revision_of

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "shop", "tier": "web"}, "annotations": {"team": "a"}},
    "spec": {"containers": [{"name": "main", "image": "shop:1", "env": [{"name": "A", "value": "1"}]}]},
}

PORTS = ({"port": 80, "targetPort": 8080},)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


def of(template, cluster="c1", namespace="shop", name="web", ports=PORTS):
    return revision_of(cluster, namespace, name, template, ports)


def restarted(template):
    again = copy.deepcopy(template)
    metadata = again["metadata"] = again.get("metadata") or {}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), RESTARTED_AT: "2026-01-01T00:00:00Z"}
    return again


def turned(value):
    """The same, with every mapping written the other way round."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


def test_it_is_ten_letters_that_fit_a_label_and_a_name():
    assert re.fullmatch("[a-z2-7]{10}", of(TEMPLATE))


def test_it_never_changes_with_a_new_version_of_pointsman():
    assert of(TEMPLATE) == "d4fs32fi47"


def test_the_names_of_the_first_operator_can_still_be_told():
    assert first_revision_of("c1", "shop", "web", TEMPLATE) == "7gx7xtimt2"


@pytest.mark.parametrize(
    "ports",
    [
        ({"port": 8000, "targetPort": 8080},),
        ({"port": 80, "targetPort": 9090},),
        ({"port": 80, "targetPort": "http"},),
        ({"port": 80, "targetPort": 8080, "protocol": "UDP"},),
        ({"port": 80, "targetPort": 8080, "name": "a"}, {"port": 81, "name": "b"}),
        (),
    ],
)
def test_other_ports_are_another_version(ports):
    assert of(TEMPLATE, ports=ports) != of(TEMPLATE)


def test_what_the_api_server_fills_into_ports_is_no_new_version():
    assert of(TEMPLATE, ports=({"port": 80},)) == of(
        TEMPLATE, ports=({"port": 80, "targetPort": 80, "protocol": "TCP", "name": ""},)
    )


def with_container(**fields):
    (container,) = TEMPLATE["spec"]["containers"]
    return {**TEMPLATE, "spec": {"containers": [{**container, **fields}]}}


@pytest.mark.parametrize(
    "same",
    [
        with_container(args=None, command=[], envFrom=[]),
        with_container(resources={}),
        with_container(resources={"limits": {}, "requests": None, "claims": []}),
        {**TEMPLATE, "spec": {**TEMPLATE["spec"], "volumes": [], "nodeSelector": {}, "affinity": None}},
    ],
)
def test_null_and_empty_are_no_new_version(same):
    assert of(same) == of(TEMPLATE)


@pytest.mark.parametrize("labels", [{}, None])
def test_empty_labels_are_no_new_version(labels):
    assert of({"metadata": {"labels": labels}, "spec": {}}) == of({"spec": {}})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"volumes": [{"name": "a", "emptyDir": {}}]}, {"volumes": [{"name": "a"}]}),
        ({"topologySpreadConstraints": [{"labelSelector": {}}]}, {"topologySpreadConstraints": [{}]}),
        ({"containers": [{"env": [{"name": "A", "value": ""}]}]}, {"containers": [{"env": [{"name": "A"}]}]}),
        ({"nodeSelector": {"a": ""}}, {"nodeSelector": {}}),
    ],
)
def test_what_is_empty_and_means_something_is_a_new_version(one, other):
    assert of({"spec": one}) != of({"spec": other})


@pytest.mark.parametrize(
    "metadata",
    [None, {}, {"annotations": None}, {"annotations": {}}, {"labels": {"a": "b"}}, {"annotations": {"a": "b"}}],
)
def test_a_restart_is_no_new_version(metadata):
    template = {"spec": TEMPLATE["spec"]} | ({} if metadata is None else {"metadata": metadata})
    assert of(restarted(template)) == of(template)
    assert of(restarted(restarted(template))) == of(template)


def test_an_empty_metadata_is_no_metadata():
    spec = {"spec": TEMPLATE["spec"]}
    assert of(spec) == of(spec | {"metadata": None}) == of(spec | {"metadata": {}})


def test_what_was_written_is_left_as_it_is():
    template = restarted(TEMPLATE)
    before = copy.deepcopy(template)
    canonical_template(template)
    assert template == before


@pytest.mark.parametrize("place", [{"cluster": "c2"}, {"namespace": "bank"}, {"name": "web2"}])
def test_the_same_template_elsewhere_is_another_revision(place):
    assert of(TEMPLATE, **place) != of(TEMPLATE)


def test_cluster_namespace_and_name_cannot_be_shifted_into_each_other():
    assert revision_of("a", "b", "cd", {}, ()) != revision_of("a", "bc", "d", {}, ())


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.dictionaries(st.text(max_size=6), json_values, max_size=4))
def test_the_order_of_keys_does_not_matter(template):
    assert of(turned(template)) == of(template)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t["spec"]["containers"][0].update(image="shop:2"),
        lambda t: t["spec"]["containers"][0]["env"].append({"name": "B", "value": "2"}),
        lambda t: t["metadata"]["annotations"].update(team="b"),
        lambda t: t["metadata"]["labels"].pop("tier"),
    ],
)
def test_every_other_change_is_a_new_version(change):
    template = copy.deepcopy(TEMPLATE)
    change(template)
    assert of(template) != of(TEMPLATE)
