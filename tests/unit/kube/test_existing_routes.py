"""Backends of somebody else's HTTPRoute: what is led elsewhere, what stays, and how it becomes what it was."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from controller.api.names import BEFORE, RELEASE_LABEL
from controller.kube.existing_routes import (
    backends_refused,
    ports_led_to,
    returned,
    route_refused,
    rules_of,
    split,
    versions_named,
    without_marks,
)
from controller.kube.existing_routes import shares_of as shares
from controller.kube.release_backends import ReleaseBackends

Object = dict[str, Any]
A, B = "a" * 10, "b" * 10
WEB: Object = {"group": "", "kind": "Service", "name": "web", "port": 80, "weight": 1}
OLD: Object = {**WEB, "name": "old"}
PARTS = {A: 7500, B: 2500}
OURS = ReleaseBackends("shop", "web")


def route(*rules: Object, **metadata: Any) -> Object:
    return {"metadata": {"name": "public", "namespace": "shop", **metadata}, "spec": {"rules": list(rules)}}


def rule(*backends: Object, path: str = "/", **more: Any) -> Object:
    return {"matches": [{"path": {"value": path}}], "backendRefs": list(backends), **more}


def parts_of(found: Object) -> list[list[tuple[str, int]]]:
    return [[(one["name"], one["weight"]) for one in rule["backendRefs"]] for rule in rules_of(found)]


def given_back(found: Object, backends: ReleaseBackends = OURS) -> Object:
    return without_marks(returned(found, backends), backends)


def test_a_backend_keeps_all_but_its_name_and_weight():
    filters = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}]
    before = route(rule({**WEB, "filters": filters, "port": 8080}), rule(OLD))
    found = split(before, OURS, PARTS)
    expected = {**WEB, "filters": filters, "port": 8080}
    assert rules_of(found)[0]["backendRefs"] == [
        {**expected, "name": f"web-{A}", "weight": 7500},
        {**expected, "name": f"web-{B}", "weight": 2500},
    ]
    assert rules_of(found)[1] == rule(OLD)
    assert given_back(found) == before


def test_splitting_again_remembers_what_was_there_first():
    before = route(rule({**WEB, "weight": 5}), rule({**WEB, "weight": 9}, path="/b"), annotations={"team": "a"})
    found = split(split(before, OURS, PARTS), OURS, {B: 10_000})
    assert parts_of(found) == [[(f"web-{B}", 10_000)]] * 2
    assert split(found, OURS, {B: 10_000}) == found
    assert given_back(found) == before
    assert given_back(given_back(found)) == before


def test_rules_that_are_moved_are_known_by_what_they_say():
    before = route(rule({**WEB, "weight": 5}), rule({**WEB, "weight": 9}, path="/b"))
    found = split(before, OURS, PARTS)
    found["spec"]["rules"].reverse()
    assert parts_of(given_back(found)) == [[("web", 9)], [("web", 5)]]


@pytest.mark.parametrize("written", [None, "", "[]", "{", '{"rules":[{}]}', '{"rules":1}', '{"managers":[1,["a"]]}'])
def test_a_route_whose_annotation_is_lost_is_given_back_all_the_same(written):
    found = split(route(rule(WEB)), OURS, PARTS)
    found["metadata"]["annotations"] = {} if written is None else {BEFORE: written}
    assert given_back(found) == route(rule(WEB))


def test_what_others_put_beside_stays():
    found = split(route(rule(WEB)), OURS, PARTS)
    rules_of(found)[0]["backendRefs"].append(OLD)
    assert parts_of(split(found, OURS, {A: 10_000})) == [[(f"web-{A}", 10_000), ("old", 1)]]
    assert parts_of(given_back(found)) == [[("web", 1), ("old", 1)]]


def test_what_another_release_has_split_is_left():
    before = split(route(rule(OLD)), ReleaseBackends("shop", "old"), PARTS)
    assert given_back(before) == before


ELSEWHERE: dict[str, Object] = {
    "another name": OLD,
    "another namespace": {**WEB, "namespace": "eu"},
    "another kind": {**WEB, "kind": "ServiceImport", "group": "multicluster.x-k8s.io"},
    "a version's name that is none": {**WEB, "name": "web-api"},
    "no weight": {**WEB, "weight": 0},
}


@pytest.mark.parametrize("backend", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_backend_of_something_else_is_left(backend):
    before = route(rule(backend), rule(WEB))
    assert rules_of(split(before, OURS, PARTS))[0] == rule(backend)
    assert "No rule of HTTPRoute shop/public leads to Service web" in backends_refused(route(rule(backend)), OURS)
    assert not backends_refused(before, OURS)


def test_a_stranger_that_is_named_as_a_version_is_left():
    stranger = {**WEB, "name": "web-management"}
    before, ours = (
        route(rule(WEB), rule(stranger, path="/admin")),
        replace(OURS, strangers=frozenset({"web-management"})),
    )
    assert versions_named(before, OURS) == {"web-management"}
    assert not versions_named(before, ours)
    found = split(before, ours, PARTS)
    assert rules_of(found)[1] == rule(stranger, path="/admin")
    assert versions_named(found, ours) == {f"web-{A}", f"web-{B}"}
    assert given_back(found, ours) == before


def test_a_rule_with_others_beside_is_refused():
    said = backends_refused(route(rule(OLD), rule(WEB, OLD)), OURS)
    assert said == (
        "Rule 2 of HTTPRoute shop/public has other backends beside Service web, so its share cannot be split. "
        "Give Service web a rule of its own."
    )


def test_shares_are_of_what_leads_to_versions():
    assert shares(rule(WEB), OURS, A) == {A: 100}
    assert shares(rule(WEB), OURS, "") == {}
    found = rules_of(split(route(rule(WEB)), OURS, PARTS))[0]
    assert shares(found, OURS, A) == {A: 75, B: 25}


def test_ports_are_those_of_the_rules_that_lead_there():
    before = route(rule({**WEB, "port": 8080}), rule(WEB), rule({**OLD, "port": 9}))
    assert ports_led_to(before, OURS) == [80, 8080]
    assert ports_led_to(split(before, OURS, PARTS), OURS) == [80, 8080]


OWNER = {"ownerReferences": [{"kind": "Thing", "name": "one", "controller": True, "uid": "u"}]}
MADE = {"labels": {RELEASE_LABEL: "other", "app.kubernetes.io/managed-by": "pointsman"}}
SPLIT = {"labels": {RELEASE_LABEL: "other"}, "annotations": {BEFORE: "{}"}}


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (OWNER, "HTTPRoute shop/public belongs to Thing one, which would put its backends back"),
        (MADE, "HTTPRoute shop/public is made by Pointsman for Release other"),
        (SPLIT, "HTTPRoute shop/public is split for Release other now"),
    ],
)
def test_whose_a_route_is_is_said(metadata, said):
    assert said in route_refused(route(rule(WEB), **metadata), "web")


def test_a_route_of_nobody_and_one_that_is_split_for_itself_can_be_taken():
    assert not route_refused(route(rule(WEB)), "web")
    assert not route_refused(split(route(rule(WEB)), OURS, PARTS), "web")


def test_nothing_that_is_given_is_changed():
    before = route(rule(WEB))
    kept = copy.deepcopy(before)
    found = split(before, OURS, PARTS)
    again = copy.deepcopy(found)
    given_back(found)
    assert (before, found) == (kept, again)
    assert json.loads(found["metadata"]["annotations"][BEFORE])["rules"][0]["backendRef"] == WEB


def fields(manager: str, operation: str, *of_spec: str, **more: Any) -> Object:
    """What a manager has of the spec."""
    kind = {"apiVersion": "gateway.networking.k8s.io/v1", "fieldsType": "FieldsV1"}
    of: Object = {f"f:{one}": {} for one in of_spec}
    return {"manager": manager, "operation": operation, **kind, "fieldsV1": {"f:spec": of}, **more}


STATUS = fields("traefik", "Update", subresource="status")
POINTSMAN = fields("pointsman", "Update", "rules")


def owned(found: Object, *managed: Object) -> Object:
    """As the API server keeps it."""
    return {**found, "apiVersion": POINTSMAN["apiVersion"], "metadata": {**found["metadata"], "managedFields": managed}}


def managed_after(before: list[Object], meanwhile: list[Object]) -> list[Object]:
    """Who has which fields once the route is given back: `before` the split, and while it was split."""
    first = split(owned(route(rule(WEB)), *before), OURS, PARTS)
    second = split(owned(first, *meanwhile), OURS, {A: 10_000})
    found = given_back(owned(second, *meanwhile))
    assert not found["metadata"].keys() & {"labels", "annotations"}
    return sorted(found["metadata"]["managedFields"], key=lambda one: (one["manager"], one["operation"]))


@pytest.mark.parametrize("operation", ["Apply", "Update"])
def test_fields_are_theirs_again_whose_they_were(operation):
    ana, helm = fields("ana", operation, "hostnames", "rules"), fields("helm", "Update", "parentRefs")
    split_by_us = [fields("ana", operation, "hostnames"), helm, POINTSMAN, STATUS]
    assert managed_after([ana, helm, STATUS], split_by_us) == [ana, helm, STATUS]


def test_one_who_had_nothing_but_the_rules_has_them_again():
    assert managed_after([fields("ana", "Apply", "rules")], [POINTSMAN]) == [fields("ana", "Apply", "rules")]


def test_who_takes_the_rules_in_mid_release_has_them_afterwards():
    flux = fields("kustomize-controller", "Apply", "rules")
    assert managed_after([fields("ana", "Update", "rules")], [flux]) == [fields("ana", "Update", "rules"), flux]


def test_a_route_of_no_other_manager_has_none_afterwards():
    found = given_back(owned(split(owned(route(rule(WEB)), POINTSMAN), OURS, PARTS), POINTSMAN))
    assert found["metadata"]["managedFields"] == [{}], "by an empty list the API server would keep what it has"


@pytest.mark.parametrize("noted", [["", "Apply"], ["a" * 129, "Apply"], ["ana", "Nothing"], ["ana"], "ana", 1])
def test_managers_that_the_api_server_would_refuse_are_left_out(noted):
    found = owned(split(route(rule(WEB)), OURS, PARTS), STATUS, POINTSMAN)
    found["metadata"]["annotations"][BEFORE] = json.dumps({"managers": [noted]})
    assert given_back(found)["metadata"]["managedFields"] == [STATUS]
