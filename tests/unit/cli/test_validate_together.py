"""What `pointsman validate` sees in several objects that refer to each other."""

import pytest

from tests import golden
from tests.unit.cli.test_validate import SOURCE, TEMPLATE, lines, measured, run, template, within, written

__all__ = ["run", "written"]  # fixtures

PARAMETER = {"name": "path"}


def test_what_refers_to_each_other_rightly_has_no_problems(run, written):
    written("a.yaml", measured(), TEMPLATE, SOURCE)
    result = run("validate", "a.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "3 checked, 0 problems, 0 of other kinds skipped.\n"


def test_what_is_not_given_is_left_alone_and_named(run, written):
    written("a.yaml", measured(), template("q", source="other") | {"metadata": {"name": "else"}})
    result = run("validate", "a.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "MetricTemplate http-errors" in result.stderr
    assert "MetricSource other" in result.stderr


@pytest.mark.parametrize(
    ("release", "used", "sentence"),
    [
        (
            measured(pathh="/a"),
            template("{{ path }}", {**PARAMETER, "default": "/"}),
            "spec.analysis.metrics[0].parameters.pathh: is not a parameter of this template (it has: path)",
        ),
        (
            measured(),
            template("{{ path }}", PARAMETER),
            "spec.analysis.metrics[0].parameters.path: is required: a string",
        ),
        (
            measured(path=5),
            template("{{ path }}", PARAMETER),
            "spec.analysis.metrics[0].parameters.path: 5 is not a string",
        ),
        (
            measured(namespace="other"),
            template("q"),
            "spec.analysis.metrics[0].parameters.namespace: is injected by Pointsman and cannot be set",
        ),
        (
            measured(parts=0),
            template("{{ 10 // parts }}", {"name": "parts", "type": "integer", "default": 2}),
            "spec.analysis.metrics[0].parameters: the template cannot be rendered: ",
        ),
    ],
)
def test_a_release_fills_its_template_in_rightly_or_is_told(run, written, release, used, sentence):
    written("a.yaml", release, SOURCE)
    written("library.yaml", used)
    (line,) = lines(run("validate", "a.yaml", "library.yaml"))
    assert line.startswith("a.yaml:")
    assert sentence in line


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("{{ servise }}", "spec.query: the template cannot be rendered: 'servise' is undefined"),
        ("{{ ", "spec.query: the template cannot be rendered: "),
    ],
)
def test_a_template_that_cannot_be_rendered_is_told_without_a_release(run, written, query, sentence):
    written("a.yaml", template(query), SOURCE)
    (line,) = lines(run("validate", "a.yaml"))
    assert sentence in line


def test_a_template_that_nobody_can_render_is_said_once(run, written):
    written("a.yaml", measured(), template("{{ servise }}"), SOURCE)
    assert len(lines(run("validate", "a.yaml"))) == 1


def test_a_language_that_nobody_speaks_is_told(run, written):
    written("a.yaml", template("q", language="sql"), SOURCE)
    (line,) = lines(run("validate", "a.yaml"))
    assert "spec.language: 'sql' is not one of cloudwatch, flux, influxql, promql" in line


def test_the_template_of_the_own_namespace_comes_first(run, written):
    shared = within("pointsman-system", template("{{ path }}", PARAMETER))
    written("a.yaml", within("shop", measured()), within("shop", template("q")), shared)
    assert run("validate", "a.yaml").exit_code == 0


def test_a_namespace_that_the_source_does_not_serve_is_told(run, written):
    source = golden.own("MetricSource", "default", {**SOURCE["spec"], "allowedNamespaces": ["shop"]})
    shared = [within("pointsman-system", TEMPLATE), within("pointsman-system", source)]
    written("a.yaml", within("shop", measured()), *shared)
    assert run("validate", "a.yaml").exit_code == 0
    written("b.yaml", within("bank", measured()), *shared)
    (line,) = lines(run("validate", "b.yaml"))
    assert line.endswith(
        "spec.analysis.metrics[0].template: its MetricSource pointsman-system/default does not serve namespace bank: "
        "see allowedNamespaces"
    )


@pytest.mark.parametrize(("unit", "problems"), [("request", 1), ("client", 0)])
def test_a_sticky_canary_whose_metrics_count_requests_is_told(run, written, unit, problems):
    """One client makes many requests that are alike, and no chance is left to promise anything by."""
    release = measured()
    release["spec"]["traffic"] = {"traefik": {"parentRefs": [{"name": "public"}]}}
    release["spec"]["service"] = {"ports": [{"port": 80}]}
    release["spec"]["strategy"] = {"canary": {"sticky": {"cookie": "version"}}}
    written("a.yaml", release, template("q", unit=unit), SOURCE)
    found = [one for one in lines(run("validate", "a.yaml")) if ": warning: " not in one]
    assert len(found) == problems
    assert all("spec.analysis.metrics[0].template: its template counts requests" in line for line in found)


@pytest.mark.parametrize(("unit", "problems"), [("request", 0), ("client", 1)])
def test_copies_that_are_compared_by_clients_are_said(run, written, unit, problems):
    release = measured()
    release["spec"]["traffic"] = {"traefik": {"parentRefs": [{"name": "public"}]}}
    release["spec"]["service"] = {"ports": [{"port": 80}]}
    release["spec"]["strategy"] = {"canary": {"steps": [{"mirror": "10%", "analyze": {"atMost": "10m"}}]}}
    written("a.yaml", release, template("q", unit=unit), SOURCE)
    found = [one for one in lines(run("validate", "a.yaml")) if ": warning: " not in one]
    assert len(found) == problems
    assert all("spec.analysis.metrics[0].template: it counts clients, and copies are requests" in one for one in found)


GRAFANA = {
    "url": "http://grafana.monitoring:3000",
    "datasource": {"uid": "P1"},
    "tokenSecretRef": {"name": "grafana", "key": "token"},
}


def gated(source):
    gate = {"matchLabels": {"alertname": "Errors"}, "source": source}
    return golden.release(analysis={"alerts": [gate]})


def own_source(**spec):
    return golden.own("MetricSource", "default", spec)


def test_a_gate_s_source_that_is_not_given_is_named(run, written):
    written("a.yaml", gated("elsewhere"), SOURCE)
    result = run("validate", "a.yaml")
    assert result.exit_code == 0
    assert "MetricSource elsewhere" in result.stderr


def test_a_gate_s_source_of_a_kind_without_alerts_is_told(run, written):
    written("a.yaml", within("shop", gated("default")), within("shop", SOURCE))
    (line,) = lines(run("validate", "a.yaml"))
    assert line.endswith(
        "spec.analysis.alerts[0].source: MetricSource shop/default is of kind influxdb, which has no alerts; "
        "name one of kind grafana"
    )
    assert line.startswith("a.yaml:"), "with the line of the field"


@pytest.mark.parametrize(
    ("namespace", "shared", "sentence"),
    [
        ("pointsman-system", {}, ""),
        ("shop", {"allowedNamespaces": ["shop"]}, "takes templates of its own namespace only; set allowInline there"),
        ("shop", {"allowInline": True, "allowedNamespaces": ["shop"]}, ""),
        ("shop", {"allowInline": True, "allowedNamespaces": ["bank"]}, "does not serve namespace shop"),
    ],
)
def test_a_gate_s_source_of_another_namespace_has_to_let_it(run, written, namespace, shared, sentence):
    source = within("pointsman-system", own_source(grafana=GRAFANA, **shared))
    written("a.yaml", within(namespace, gated("default")), source)
    found = lines(run("validate", "a.yaml"))
    assert len(found) == bool(sentence)
    assert all("spec.analysis.alerts[0].source: " in line and sentence in line for line in found)
