"""What `pointsman validate` sees beside a Release, and in its steps: warnings, where it may be meant so."""

import pytest

from tests import golden
from tests.unit.cli.test_validate import SOURCE, lines, run, template, within, written

__all__ = ["run", "written"]  # fixtures

ROUTED = {"gatewayAPI": {"parentRefs": [{"name": "public"}], "hostnames": ["shop.example.com"]}}


def routed(**spec):
    raw = golden.release(traffic=ROUTED, **spec)
    raw["spec"]["template"]["metadata"] = {"labels": {"app": "shop", "tier": "web"}}
    return raw


def service(name="other", selector=None, **more):
    spec = {"ports": [{"port": 80}], **({"selector": selector} if selector else {})}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec, **more}


def ingress(name="shop"):
    backend = {"service": {"name": name, "port": {"number": 80}}}
    rule = {"host": "shop.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    meta = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"}}
    return {**meta, "spec": {"rules": [rule]}}


def route(name="shop", kind="Service"):
    meta = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web"}}
    return {**meta, "spec": {"rules": [{"backendRefs": [{"name": name, "port": 80, "kind": kind}]}]}}


def ingress_route(name="shop"):
    meta = {"apiVersion": "traefik.io/v1alpha1", "kind": "IngressRoute", "metadata": {"name": "web"}}
    return {**meta, "spec": {"routes": [{"match": "Host(`a`)", "services": [{"name": name, "port": 80}]}]}}


def virtual_service(host="shop.default.svc.cluster.local"):
    meta = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "web"}}
    return {**meta, "spec": {"hosts": ["a"], "http": [{"route": [{"destination": {"host": host}}]}]}}


@pytest.mark.parametrize(
    ("caller", "path"),
    [
        (ingress(), "spec.rules[0].http.paths[0].backend.service.name"),
        (route(), "spec.rules[0].backendRefs[0].name"),
        (ingress_route(), "spec.routes[0].services[0].name"),
        (virtual_service(), "spec.http[0].route[0].destination.host"),
    ],
    ids=["Ingress", "HTTPRoute", "IngressRoute", "VirtualService"],
)
def test_a_caller_that_passes_the_router_by_is_warned_of_with_its_field(run, written, caller, path):
    written("a.yaml", routed())
    written("b.yaml", caller)
    result = run("validate", "a.yaml", "b.yaml")
    (line,) = lines(result)
    assert line.startswith("b.yaml:")
    assert f": {path}: warning: Service shop leads to the stable version of Release shop, past its route" in line
    assert result.exit_code == 0
    assert "0 problems, 1 warnings" in result.stderr
    assert run("validate", "--strict", "a.yaml", "b.yaml").exit_code == 1


@pytest.mark.parametrize(
    "caller",
    [ingress("else"), route("shop", "TraefikService"), within("elsewhere", ingress()), ingress_route("shop-canary")],
)
def test_callers_of_something_else_are_left_alone(run, written, caller):
    written("a.yaml", within("default", routed()))
    written("b.yaml", caller)
    assert lines(run("validate", "a.yaml", "b.yaml")) == []


def test_where_pods_are_the_split_a_caller_of_the_service_is_right(run, written):
    written("a.yaml", golden.release(), ingress())
    assert lines(run("validate", "a.yaml")) == []


@pytest.mark.parametrize(
    "selector", [{"app": "shop"}, {"app": "shop", "tier": "web"}, {"pointsman.dev/release": "shop"}]
)
def test_a_service_of_all_versions_pods_is_warned_of(run, written, selector):
    written("a.yaml", routed(), service(selector=selector))
    (line,) = lines(run("validate", "a.yaml"))
    assert "spec.selector: warning: selects the pods of all versions of Release shop, whatever their weight" in line


@pytest.mark.parametrize("selector", [{"app": "shop", "tier": "db"}, {"app": "else"}, None, {"app": None}])
def test_a_service_of_other_pods_is_left_alone(run, written, selector):
    written("a.yaml", routed(), service(selector=selector))
    assert lines(run("validate", "a.yaml")) == []


def test_a_service_in_the_place_of_the_releases_own_is_a_problem(run, written):
    written("a.yaml", routed(), service("shop", {"app": "shop"}))
    result = run("validate", "a.yaml")
    (line,) = lines(result)
    assert "metadata.name: Service shop is made by the Release of that name" in line
    assert result.exit_code == 1


@pytest.mark.parametrize("spec", [None, [], "x", {"rules": None}, {"rules": [1, None, {"backendRefs": "shop"}]}])
@pytest.mark.parametrize("kind", ["Service", "Ingress", "HTTPRoute", "VirtualService"])
def test_callers_of_any_shape_are_no_crash(run, written, kind, spec):
    written("a.yaml", routed(), {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}, "spec": spec})
    assert run("validate", "a.yaml").exit_code == 0


# -- steps ----------------------------------------------------------------------------------------------------------


def stepped(*steps, template="http-errors", **analysis):
    metric = {"name": "errors", "template": template}
    return golden.release(strategy={"canary": {"steps": list(steps)}}, analysis={"metrics": [metric], **analysis})


def analyzed(weight=5, at_most="10m"):
    return {"weight": weight, "analyze": {"atMost": at_most}}


@pytest.mark.parametrize(
    ("release", "sentence"),
    [
        (
            stepped(analyzed(at_most="4s")),
            "steps[0].analyze.atMost: ends before the first look: spec.analysis.interval is 5 s",
        ),
        (
            stepped(analyzed(at_most="5m"), interval="10m"),
            "steps[0].analyze.atMost: ends before the first look: spec.analysis.interval is 600 s",
        ),
        (stepped({"approve": {}}, analyzed(0)), "steps[1].weight: a canary without work cannot be analyzed"),
    ],
)
def test_a_step_that_can_never_gather_evidence_is_a_problem(run, written, release, sentence):
    written("a.yaml", release)
    result = run("validate", "a.yaml")
    (line,) = lines(result)
    assert f"spec.strategy.canary.{sentence}" in line
    assert result.exit_code == 1


def test_a_metric_that_matures_after_its_step_is_a_problem(run, written):
    written("a.yaml", stepped(analyzed(at_most="5m")), template("q", cohort={"maturity": "10m"}), SOURCE)
    (line,) = lines(run("validate", "a.yaml"))
    assert "steps[0].analyze.atMost: errors cannot be compared before 605 s" in line


def test_a_step_that_is_over_before_pods_are_warm_is_a_problem(run, written):
    written("a.yaml", stepped(analyzed(at_most="30s")), template("q", warmUp=True), SOURCE)
    (line,) = lines(run("validate", "a.yaml"))
    assert "steps[0].analyze.atMost: errors cannot be compared before 35 s" in line


def test_with_its_traffic_a_step_that_waits_for_ever_is_a_problem(run, written):
    written("a.yaml", stepped(analyzed(5, "5m")))
    assert lines(run("validate", "a.yaml")) == []
    result = run("validate", "a.yaml", "--rate", "1", "--base", "1%")
    assert result.exit_code == 1
    assert "steps[0].analyze.atMost: the canary gets 15 units by then, and at least 50 are needed" in result.stdout
    assert "spec.analysis.metrics: warning: errors: at 1 requests/s and 5 % a doubled rate of 1 %" in result.stdout


def test_enough_traffic_has_no_problems(run, written):
    written("a.yaml", stepped(analyzed(5, "30m"), analyzed(50, "30m")))
    result = run("validate", "a.yaml", "--rate", "500", "--base", "1%")
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_proof_that_no_traffic_can_bring_is_warned_of(run, written):
    raw = stepped(analyzed(5, "5s"))
    raw["spec"]["analysis"]["metrics"][0]["margin"] = {"rollbackAbove": 1.0001, "promoteBelow": 1.0002}
    written("a.yaml", raw)
    result = run("validate", "a.yaml")
    assert "spec.analysis.metrics[0].margin: warning: no worse is never proven" in result.stdout
    assert result.exit_code == 0


@pytest.mark.parametrize("options", [["--rate", "5"], ["--base", "1%"], ["--rate", "0", "--base", "1%"]])
def test_half_a_traffic_is_wrong_use(run, written, options):
    written("a.yaml", golden.release())
    assert run("validate", "a.yaml", *options).exit_code == 2


# -- hangs ----------------------------------------------------------------------------------------------------------


def hanging(*rules, **fields):
    raw = stepped(analyzed())
    raw["spec"]["traffic"] = {"gatewayAPI": {**ROUTED["gatewayAPI"], **({"rules": list(rules)} if rules else {})}}
    return [raw, template("q", **fields), SOURCE]


@pytest.mark.parametrize(
    "rules", [(), ({},), ({"timeouts": {"request": "5s"}}, {"timeouts": {"backendRequest": "5s"}})]
)
def test_a_version_that_hangs_unseen_is_warned_of(run, written, rules):
    written("a.yaml", *hanging(*rules))
    (line,) = lines(run("validate", "a.yaml"))
    assert "spec.traffic.gatewayAPI.rules: warning: a version that hangs is not seen" in line


@pytest.mark.parametrize(("rules", "fields"), [(({"timeouts": {"request": "5s"}},), {}), ((), {"inProgress": True})])
def test_a_time_out_or_a_count_of_what_runs_shows_hangs(run, written, rules, fields):
    written("a.yaml", *hanging(*rules, **fields))
    assert lines(run("validate", "a.yaml")) == []


def test_of_a_template_that_is_not_there_nothing_is_said(run, written):
    written("a.yaml", hanging()[0])
    assert lines(run("validate", "a.yaml")) == []
