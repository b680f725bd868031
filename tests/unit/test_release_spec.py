"""A Release's spec, parsed: what comes out, and the sentence for each thing that cannot be meant."""

import subprocess
import sys

import pytest

from controller import registry
from controller.api.reading import SpecError
from controller.api.release import parse_release
from controller.api.strategy import Scale
from tests import golden

ROUTERS, STEP_KINDS, STRATEGIES = (", ".join(registry.modules(folder)) for folder in ("routers", "steps", "strategies"))
STEPS = "spec.strategy.canary.steps"


def parse(name="shop", **spec):
    return parse_release(name, golden.release(name, **spec)["spec"], registry.kinds())


def steps(*entries, metrics=True):
    analysis = {"metrics": [{"name": "errors", "template": "http-errors"}]} if metrics else {}
    return {"strategy": {"canary": {"steps": list(entries)}}, "analysis": analysis}


def copied(**strategy):
    found = steps({"mirror": "10%", "analyze": {"atMost": "1m"}})
    return {**found, "strategy": {"canary": {**found["strategy"]["canary"], **strategy}}}


def test_the_smallest_release_has_defaults_for_everything():
    spec = parse()
    assert (spec.replicas, spec.progress_deadline, spec.revision_history_limit, spec.suspend) == (1, 600, 5, False)
    assert (spec.traffic.kind, spec.strategy.scale, spec.steps, spec.owned) == ("replicas", Scale(), (), True)
    analysis = spec.analysis
    assert (analysis.interval, analysis.alpha, analysis.on_timeout, analysis.metrics) == (5.0, 0.01, "proceed", ())
    advanced = analysis.advanced
    assert (advanced.settle, advanced.warm_up, advanced.min_bad_units, advanced.min_units) == (None, 30.0, 5, 50)
    assert (spec.drain.quiet, spec.drain.max) == (30.0, 300.0)


def test_what_is_written_comes_out():
    (file,) = [file for file in golden.valid() if file.stem == "release-full"]
    raw = golden.load(file)
    spec = parse_release("invitation-api", raw["spec"], registry.kinds())
    assert spec.strategy.scale == Scale(fixed=2)
    assert [step.weight for step in spec.steps] == [0.5, 5, None, None, 50, 100]
    assert [step.analyzes for step in spec.steps] == [True, True, False, False, True, False]
    errors, slow, floor = spec.analysis.metrics
    assert [metric.path for metric in (errors, slow, floor)] == [f"spec.analysis.metrics[{at}]" for at in range(3)]
    assert (floor.margin, floor.limit) == (None, 0.02)
    assert slow.parameters["threshold"] == 0.25
    assert slow.margin is not None
    assert slow.margin.rollback_above == 1.1
    assert spec.analysis.alpha == pytest.approx(0.005)
    assert [port["port"] for port in spec.ports] == [80, 81]
    assert spec.template == raw["spec"]["template"]
    assert not spec.owned


@pytest.mark.parametrize(
    ("scale", "expected"), [("matchWeight", Scale()), ("full", Scale(full=True)), ({"replicas": 3}, Scale(fixed=3))]
)
def test_scale_is_a_word_or_a_number_of_pods(scale, expected):
    assert parse(strategy={"canary": {"scale": scale}}).strategy.scale == expected


GATEWAY = {"gatewayAPI": {"parentRefs": [{"name": "public"}], "hostnames": ["web.example.com"]}}


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"replicas": -1}, "spec.replicas: -1 is not between 0 and 10000"),
        ({"replicas": True}, "spec.replicas: True is not a whole number"),
        ({"template": {}}, "spec.template.spec.containers: needs at least one container"),
        ({"template": "web:1"}, "spec.template: must be an object, not 'web:1'"),
        ({"progressDeadlineSeconds": 0}, "spec.progressDeadlineSeconds: 0 is not between 1 and 604800"),
        ({"revisionHistoryLimit": 101}, "spec.revisionHistoryLimit: 101 is not between 0 and 100"),
        ({"suspend": "yes"}, "spec.suspend: 'yes' is not true or false"),
        ({"deletionPolicy": "Keep"}, "spec.deletionPolicy: 'Keep' is not one of Delete, Orphan"),
        ({"service": {"port": 80}}, "spec.service.port: is not a known field (known: ports)"),
        ({"service": {"ports": [{}]}}, "spec.service.ports[0].port: is required"),
        ({"service": {"ports": [{"port": 0}]}}, "spec.service.ports[0].port: 0 is not between 1 and 65535"),
        (
            {
                "service": {"ports": [{"port": 443, "protocol": "UDP"}]},
                "traffic": {"gatewayAPI": {"parentRefs": [{"name": "public"}]}},
            },
            "spec.service.ports: needs a TCP port for its route; these are UDP",
        ),
        (
            {"service": {"ports": [{"port": 80, "appProtocol": "h2 c"}]}},
            "spec.service.ports[0].appProtocol: 'h2 c' does not match",
        ),
        (
            {"service": {"ports": [{"port": 80, "name": "a"}, {"port": 81}]}},
            "spec.service.ports[1].name: is required: each of several ports needs a name",
        ),
        (
            {"service": {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]}},
            "spec.service.ports[1].name: duplicate 'a'",
        ),
        ({"traffic": {}}, f"spec.traffic: needs exactly one of {ROUTERS}; found none"),
        (
            {"traffic": {"replicas": {}, "gatewayAPI": {"parentRefs": [{"name": "a"}]}}},
            f"spec.traffic: needs exactly one of {ROUTERS}; found replicas, gatewayAPI",
        ),
        ({"traffic": {"replicas": {"a": 1}}}, "spec.traffic.replicas.a: is not a known field (known: none)"),
        (
            {"traffic": {"gatewayAPI": {}}},
            "spec.traffic.gatewayAPI.parentRefs: needs at least one parent, such as {name: public}",
        ),
        ({"strategy": {"rolling": {}}}, f"spec.strategy.rolling: is not a known field (known: {STRATEGIES})"),
        (
            {"strategy": {"blueGreen": {"preview": {"hostnames": ["preview.example.com"]}}}},
            "spec.strategy.blueGreen.preview: spec.traffic.replicas cannot tell requests apart",
        ),
        (
            {"strategy": {"blueGreen": {"steps": [{"header": {"name": "x-me", "value": "1"}}]}}},
            "spec.strategy.blueGreen.steps[0]: spec.traffic.replicas cannot tell requests apart",
        ),
        (
            {"strategy": {"canary": {"steps": [{"weight": 5}, {"header": {"name": "x-me", "value": "1"}}]}}},
            "spec.strategy.canary.steps[1]: spec.traffic.replicas cannot tell requests apart",
        ),
        (
            {"traffic": GATEWAY, "strategy": {"blueGreen": {"preview": {"hostnames": ["web.example.com"]}}}},
            "spec.strategy.blueGreen.preview.hostnames[0]: web.example.com is everybody's host name",
        ),
        (
            {"traffic": GATEWAY, "strategy": {"blueGreen": {"preview": {}}}},
            "spec.strategy.blueGreen.preview: needs exactly one of hostnames, header",
        ),
        (
            {"traffic": {"gatewayAPI": {"parentRefs": [{"name": "a"}], "hostnames": ["Web.example.com"]}}},
            "spec.traffic.gatewayAPI.hostnames[0]: 'Web.example.com' is not a host name in lower case",
        ),
        (
            {"strategy": {"canary": {"scale": "half"}}},
            "spec.strategy.canary.scale: 'half' is not matchWeight, full or {replicas: n}",
        ),
        (
            {"strategy": {"canary": {"scale": 5}}},
            "spec.strategy.canary.scale: 5 is not matchWeight, full or {replicas: n}",
        ),
        ({"strategy": {"canary": {"scale": {}}}}, "spec.strategy.canary.scale.replicas: is required"),
        ({"analysis": {"interval": "500ms"}}, "spec.analysis.interval: is shorter than 1s"),
        ({"analysis": {"maxFalseRollback": 0}}, "spec.analysis.maxFalseRollback: is not above 0% and at most 50%"),
        ({"analysis": {"maxFalseRollback": "51%"}}, "spec.analysis.maxFalseRollback: is not above 0% and at most 50%"),
        ({"analysis": {"onTimeout": "go"}}, "spec.analysis.onTimeout: 'go' is not one of proceed, wait, rollback"),
        ({"analysis": {"metrics": [{"name": "a"}]}}, "spec.analysis.metrics[0].template: is required"),
        (
            {"analysis": {"metrics": [{"name": "a", "template": "b"}, {"name": "a", "template": "c"}]}},
            "spec.analysis.metrics[1].name: duplicate 'a'",
        ),
        (
            {"analysis": {"metrics": [{"name": "a", "template": "b", "margin": {"rollbackAbove": 0.9}}]}},
            "spec.analysis.metrics[0].margin.rollbackAbove: 0.9 is not between 1 and 100",
        ),
        (
            {"analysis": {"metrics": [{"name": "a", "template": "b", "margin": {"slack": 0}}]}},
            "spec.analysis.metrics[0].margin.slack: is not above 0% and at most 50%",
        ),
        ({"bake": {}}, "spec.bake.for: is required"),
        ({"bake": {"for": "1m", "holdback": 0}}, "spec.bake.holdback: is not above 0% and at most 20%"),
        ({"bake": {"for": "1m", "holdback": "21%"}}, "spec.bake.holdback: is not above 0% and at most 20%"),
        (
            {"bake": {"for": "1m"}, "strategy": {"canary": {"steps": [{"weight": 100}]}}},
            "spec.bake.holdback: leaves 95 % to the new version, which has 100 % after the last step",
        ),
        (
            {"analysis": {"metrics": [{"name": "a", "template": "b", "limit": {}}]}},
            "spec.analysis.metrics[0].limit.max: is required",
        ),
        (
            {"analysis": {"metrics": [{"name": "a", "template": "b", "limit": {"max": "60%"}}]}},
            "spec.analysis.metrics[0].limit.max: is not above 0% and at most 50%",
        ),
        (
            {"analysis": {"metrics": [{"name": "a", "template": "b", "limit": {"max": 2}, "margin": {}}]}},
            "spec.analysis.metrics[0].limit: is set beside a margin: use two metrics, one with each",
        ),
        (
            {"analysis": {"metrics": [{"name": "a", "template": "b", "parameters": [1]}]}},
            "spec.analysis.metrics[0].parameters: must be an object, not [1]",
        ),
        (
            {"analysis": {"advanced": {"minBadUnits": 0}}},
            "spec.analysis.advanced.minBadUnits: 0 is not between 1 and 1000000",
        ),
        ({"drain": {"quiet": "6m"}}, "spec.drain.quiet: is longer than spec.drain.max"),
        ({"drain": {"max": 5}}, "spec.drain.max: 5 is not a duration such as 90s, 10m or 1h30m"),
        (
            {"mood": {}},
            "spec.mood: is not a known field (known: replicas, template, configRefs, progressDeadlineSeconds, ",
        ),
        (steps({}), f"{STEPS}[0]: needs exactly one of {STEP_KINDS}; found none"),
        (
            steps({"weight": 5, "pause": {}}),
            f"{STEPS}[0]: needs exactly one of {STEP_KINDS}; found weight, pause",
        ),
        (steps({"approve": {"by": "ann"}}), f"{STEPS}[0].approve.by: is not a known field (known: none)"),
        (steps({"approve": {}, "analyze": {}}), f"{STEPS}[0].analyze: is not a known field (known: approve)"),
        (steps({"weight": 140}), f"{STEPS}[0].weight: 140 is not between 0 and 100"),
        (
            steps({"weight": 50}, {"approve": {}}, {"weight": "25%"}),
            f"{STEPS}[2].weight: 25 is less than the step before it (50)",
        ),
        (steps({"weight": "5%"}, {"weight": "0.5%"}), f"{STEPS}[1].weight: 0.5 is less than the step before it (5)"),
        (steps({"weight": 5, "analyze": {"atLeast": "1m"}}), f"{STEPS}[0].analyze.atMost: is required"),
        (
            steps({"weight": 5, "analyze": {"atLeast": "1d", "atMost": "23h"}}),
            f"{STEPS}[0].analyze.atLeast: is longer than atMost",
        ),
        (
            steps({"weight": 5, "analyze": {"atMost": "1m"}}, metrics=False),
            f"{STEPS}[0].analyze: there is nothing to analyze: spec.analysis.metrics has no metric that judges",
        ),
        (
            {
                **steps({"weight": 5, "analyze": {"atMost": "1m"}}),
                "analysis": {"metrics": [{"name": "errors", "template": "http-errors", "mode": "advise"}]},
            },
            f"{STEPS}[0].analyze: there is nothing to analyze: spec.analysis.metrics has no metric that judges",
        ),
        (
            steps({"header": {"name": "x", "value": "1"}, "analyze": {"atMost": "1m"}}),
            f"{STEPS}[0].analyze: people choose these requests, so nothing can be compared: add a metric with limit",
        ),
        (
            steps({"header": {"name": "x", "value": "1"}, "analyze": {"atLeast": "1s", "atMost": "1m"}}),
            f"{STEPS}[0].analyze: atLeast: people choose the requests with this header, so nothing is proven",
        ),
        (
            copied(sticky={"cookie": "version"}),
            f"{STEPS}[0].analyze: copies are requests, and with sticky metrics count clients",
        ),
        (
            copied(baseline="fresh"),
            f"{STEPS}[0].analyze: copies go to the canary alone, so a fresh baseline has none",
        ),
        (steps({"pause": {}}), f"{STEPS}[0].pause.for: is required"),
        (
            steps({"pause": {"for": "soon"}}),
            f"{STEPS}[0].pause.for: 'soon' is not a duration such as 90s, 10m or 1h30m",
        ),
    ],
)
def test_what_cannot_be_meant_is_said_with_its_path(spec, sentence):
    with pytest.raises(SpecError) as refused:
        parse(**spec)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a" * 53, "53 characters, maximum is 52"),
        ("a.b", "'a.b' is not a valid Service name: lower-case letters, digits and dashes, starting with a letter"),
        ("1a", "'1a' is not a valid Service name: lower-case letters, digits and dashes, starting with a letter"),
        ("", "'' is not a valid Service name: lower-case letters, digits and dashes, starting with a letter"),
    ],
)
def test_a_name_must_fit_the_services(name, problem):
    with pytest.raises(SpecError) as refused:
        parse(name)
    assert str(refused.value) == f"metadata.name: {problem}"


def test_the_longest_name_is_fine():
    assert parse("a" * 52).replicas == 1


def test_a_spec_is_read_without_the_library_that_the_tests_of_an_analysis_need():
    loaded = "import sys, controller.api.release; print('numpy' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"
