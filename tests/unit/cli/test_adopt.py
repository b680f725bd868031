"""The plan of an adoption: from objects to a manifest, what happens, what stays, and what cannot be taken over."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from controller import registry
from controller.api.release import parse_release
from controller.cli._adoption import AdoptionPlan, Found, plan_adoption

Object = dict[str, Any]
DEPLOYMENT: Object = {
    "kind": "Deployment",
    "metadata": {"name": "shop", "namespace": "eu"},
    "spec": {
        "replicas": 3,
        "progressDeadlineSeconds": 600,
        "selector": {"matchLabels": {"app": "shop"}},
        "template": {
            "metadata": {
                "labels": {"app": "shop", "team": "a"},
                "annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"},
            },
            "spec": {
                "dnsPolicy": "ClusterFirst",
                "restartPolicy": "Always",
                "terminationGracePeriodSeconds": 45,
                "containers": [
                    {"name": "shop", "image": "shop:1", "resources": {}, "terminationMessagePolicy": "File"}
                ],
            },
        },
    },
}


def service(name: str = "shop", **spec: Any) -> Object:
    port = {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 30080}
    given = {"selector": {"app": "shop"}, "ports": [port], "clusterIP": "10.96.0.9", **spec}
    return {"kind": "Service", "metadata": {"name": name, "namespace": "eu"}, "spec": given}


def route(name: str, leads_to: str) -> Object:
    rules = [{"backendRefs": [{"name": leads_to, "port": 80}]}]
    return {"metadata": {"name": name, "namespace": "eu"}, "spec": {"rules": rules}}


def autoscaler() -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
    return {"metadata": {"name": "shop", "namespace": "eu"}, "spec": {"scaleTargetRef": target}}


def planned(*services: Object, deployment: Object = DEPLOYMENT, **more: Any) -> AdoptionPlan:
    return plan_adoption(Found(deployment, services or (service(),), **more))


def with_metadata(item: Object, **metadata: Any) -> Object:
    return {**item, "metadata": {**item["metadata"], **metadata}}


def test_the_manifest_is_a_release_that_adopts():
    plan = planned()
    assert not plan.refused
    release = plan.release
    assert release is not None
    spec = release["spec"]
    parse_release("shop", spec, registry.kinds())
    assert release["metadata"] == {"name": "shop", "namespace": "eu"}
    assert spec["adopt"] == {"deployment": "shop", "service": True}
    assert spec["replicas"] == 3
    assert spec["service"] == {"ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]}
    assert spec["traffic"] == {"replicas": {}}
    pods = {"terminationGracePeriodSeconds": 45, "containers": [{"name": "shop", "image": "shop:1"}]}
    assert spec["template"] == {"metadata": {"labels": {"app": "shop", "team": "a"}}, "spec": pods}
    assert "10.96.0.9 stays" in " ".join(plan.steps)
    assert "scaled to 0" in plan.steps[-1]


def test_the_size_is_left_to_an_autoscaler():
    plan = planned(autoscalers=[autoscaler()])
    assert plan.release is not None
    assert "replicas" not in plan.release["spec"]
    assert any("scales Release shop" in step for step in plan.steps)


def test_the_service_with_the_deployments_name_is_taken_and_others_are_said():
    plan = planned(service("a-shop"), service("shop"), service("other", selector={"app": "x"}))
    assert plan.release is not None
    assert plan.release["metadata"]["name"] == "shop"
    assert [note for note in plan.notes if "Service a-shop selects the same pods" in note]
    assert not [note for note in plan.notes if "Service other" in note]


def test_ingresses_and_budgets_are_said():
    path = {"backend": {"service": {"name": "shop", "port": {"number": 80}}}}
    ingress = {"metadata": {"name": "public"}, "spec": {"rules": [{"http": {"paths": [path]}}]}}
    budget = {"metadata": {"name": "most"}, "spec": {"selector": {"matchLabels": {"app": "shop"}}}}
    notes = " ".join(planned(ingresses=[ingress], budgets=[budget]).notes)
    assert "Ingress public leads to Service shop" in notes
    assert "PodDisruptionBudget most stays" in notes


KEEPERS: dict[str, tuple[Object, str]] = {
    "Helm": ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "helm.sh/resource-policy: keep"),
    "Argo CD": ({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}, "Prune=false"),
    "Flux": ({"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}, "prune: disabled"),
    "sync": ({"labels": {"pointsman.dev/repository": "x"}}, "pointsman.dev/prune: never"),
}


@pytest.mark.parametrize(("metadata", "way"), KEEPERS.values(), ids=KEEPERS)
def test_who_writes_the_deployment_again_is_said_with_what_to_do(metadata, way):
    notes = planned(deployment=with_metadata(DEPLOYMENT, **metadata)).notes
    assert [note for note in notes if note.startswith("Deployment shop belongs to") and way in note]


def changed(**spec: Any) -> Object:
    after = copy.deepcopy(DEPLOYMENT)
    after["spec"] |= spec
    return after


def pod(**labels: str) -> Object:
    return {"metadata": {"name": "other-1", "labels": labels}, "status": {"phase": "Running"}}


OWNER = {"ownerReferences": [{"kind": "Rollout", "name": "shop", "controller": True}]}
REFUSED: dict[str, tuple[AdoptionPlan, str]] = {
    "no Service": (planned(service(selector={"app": "x"})), "No Service selects the pods"),
    "a Service without ports": (planned(service(ports=None)), "has no ports"),
    "an owner": (planned(deployment=with_metadata(DEPLOYMENT, **OWNER)), "belongs to Rollout shop"),
    "two Deployments": (
        planned(service(selector={"team": "a"}), pods=[pod(team="a", app="other")]),
        "also selects pod other-1",
    ),
    "Recreate": (planned(deployment=changed(strategy={"type": "Recreate"})), "has strategy Recreate"),
}


@pytest.mark.parametrize(("plan", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_taken_over_is_said_with_the_way_out(plan, said):
    assert [sentence for sentence in plan.refused if said in sentence]


def with_rules(name: str, *rules: Object, **metadata: Any) -> Object:
    return with_metadata({**route(name, "shop"), "spec": {"rules": list(rules)}}, **metadata)


def traffic(plan: AdoptionPlan) -> Object:
    assert plan.release is not None
    parse_release("shop", plan.release["spec"], registry.kinds())
    found: Object = plan.release["spec"]["traffic"]
    return found


def test_the_one_route_that_leads_to_the_service_is_named():
    plan = planned(routes=[route("public", "shop"), route("other", "search")])
    assert traffic(plan) == {"gatewayAPI": {"route": {"name": "public"}}}
    assert [step for step in plan.steps if step.startswith("HTTPRoute public leads to the version")]
    assert not [note for note in plan.notes if note.startswith("HTTPRoute")]


def test_callers_that_pass_no_route_are_said():
    path = {"backend": {"service": {"name": "shop", "port": {"number": 80}}}}
    ingress = {"metadata": {"name": "old"}, "spec": {"rules": [{"http": {"paths": [path]}}]}}
    notes = planned(routes=[route("public", "shop")], ingresses=[ingress]).notes
    assert [note for note in notes if note.startswith("Ingress old leads to Service shop past the route")]


def test_of_several_routes_none_is_taken():
    plan = planned(routes=[route("public", "shop"), route("inside", "shop")])
    assert traffic(plan) == {"replicas": {}}
    for name in ("public", "inside"):
        assert [note for note in plan.notes if note.startswith(f"HTTPRoute {name} leads to Service shop and stays")]


BESIDE = {"backendRefs": [{"name": "shop", "port": 80}, {"name": "old", "port": 80}]}
MADE = {"labels": {"pointsman.dev/release": "a", "app.kubernetes.io/managed-by": "pointsman"}}
NOT_TAKEN: dict[str, tuple[Object, str]] = {
    "others beside": (with_rules("public", BESIDE), "Rule 1 of HTTPRoute eu/public has other backends beside"),
    "an owner": (with_metadata(route("public", "shop"), **OWNER), "HTTPRoute eu/public belongs to Rollout shop"),
    "another Release": (with_metadata(route("public", "shop"), **MADE), "is made by Pointsman for Release a"),
}


@pytest.mark.parametrize(("found", "said"), NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_a_route_that_cannot_be_taken_is_said_with_the_reason(found, said):
    plan = planned(routes=[found])
    assert traffic(plan) == {"replicas": {}}
    assert not plan.refused
    (note,) = [one for one in plan.notes if "HTTPRoute" in one]
    assert said in note
    assert "by number of pods" in note


def test_who_writes_the_route_again_is_said():
    kept = with_metadata(route("public", "shop"), annotations={"argocd.argoproj.io/tracking-id": "x"})
    plan = planned(routes=[kept])
    assert traffic(plan) == {"gatewayAPI": {"route": {"name": "public"}}}
    assert [note for note in plan.notes if note.startswith("HTTPRoute public belongs to Argo CD")]
