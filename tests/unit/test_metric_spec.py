"""MetricSource and MetricTemplate, as people write them."""

from typing import Any, ClassVar

import pytest

from controller.api.fields import Kinds, field, record
from controller.api.metric_source import MetricSource, parse_source
from controller.api.metrics import (
    MAX_QUERY_BYTES,
    START_TOKEN,
    Context,
    MetricTemplate,
    ParameterType,
    bind,
    parse_template,
)
from controller.api.reading import SpecError
from controller.api.shapes import Text


@record()
class Address:
    in_queries: ClassVar[tuple[str, ...]] = ("bucket",)
    url: str = field(Text(100), "Where it is.")


KINDS = Kinds({"providers": {"influxdb": Address, "grafana": Address}})


def source(**spec: Any) -> MetricSource:
    return parse_source({"influxdb": {"url": "http://a"}, **spec}, "spec", KINDS)


def template(*parameters: dict[str, Any], **spec: Any) -> MetricTemplate:
    raw = {"language": "flux", "query": "from()", "parameters": list(parameters), **spec}
    return parse_template(raw, "spec", languages=("flux", "influxql"), kinds=KINDS)


def refused(call: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(SpecError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def test_a_source_has_exactly_one_provider() -> None:
    assert source().kind == "influxdb"
    assert vars(source().config) == {"url": "http://a"}
    assert refused(parse_source, {}, "spec", KINDS) == ("spec: needs exactly one of influxdb, grafana; found none")
    assert "found influxdb, grafana" in refused(source, grafana={"url": "http://b"})


def test_an_error_inside_the_providers_part_carries_its_path() -> None:
    assert (
        refused(parse_source, {"influxdb": {"url": 7}}, "spec", KINDS) == "spec.influxdb.url: must be a string, not 7"
    )


def test_a_source_serves_its_own_namespace_alone_unless_it_says_otherwise() -> None:
    assert source().serves("shop", own="shop")
    assert not source().serves("shop", own="pointsman")
    assert source(allowedNamespaces=["shop"]).serves("shop", own="pointsman")
    assert not source(allowedNamespaces=["shop"]).serves("bank", own="pointsman")
    assert source(allowedNamespaces=["*"]).serves("bank", own="pointsman")


def test_inline_queries_are_allowed_only_when_a_source_says_so() -> None:
    assert not source().allow_inline
    assert source(allowInline=True).allow_inline


@pytest.mark.parametrize("names", ["shop", ["Shop"], ["shop*"], [7], ["a"] * 201])
def test_namespaces_that_cannot_be_are_refused(names: Any) -> None:
    assert refused(source, allowedNamespaces=names).startswith("spec.allowedNamespaces")


def test_a_misspelt_field_is_refused() -> None:
    assert refused(source, allowInlin=True).startswith("spec.allowInlin: is not a known field")
    assert refused(template, warmup=True).startswith("spec.warmup: is not a known field")


def test_a_template_asks_the_default_source_and_counts_during_warm_up_unless_it_says_otherwise() -> None:
    parsed = template()
    assert (parsed.source, parsed.warm_up) == ("default", False)
    assert template(warmUp=True, source="own").warm_up


def test_a_template_speaks_a_language_some_provider_knows() -> None:
    assert refused(template, language="promql") == "spec.language: 'promql' is not one of flux, influxql"


def test_a_query_is_bounded_in_bytes() -> None:
    assert template(query="é" * (MAX_QUERY_BYTES // 2)).query
    assert refused(template, query="é" * (MAX_QUERY_BYTES // 2) + "!") == ("spec.query: 16385 bytes, maximum is 16384")


@pytest.mark.parametrize(
    ("parameter", "problem"),
    [
        ({"name": "canary"}, "spec.parameters[0].name: canary is injected by Pointsman; choose another name"),
        ({"name": "start"}, "spec.parameters[0].name: start is injected by Pointsman; choose another name"),
        ({"name": "Max-Age"}, "spec.parameters[0].name: 'Max-Age' is not a name a template can use, such as maxAge"),
        ({"name": "if"}, "spec.parameters[0].name: 'if' is not a name a template can use, such as maxAge"),
        ({"name": "__class__"}, "spec.parameters[0].name: '__class__' is not a name a template can use"),
        ({"name": "x", "type": "list"}, "spec.parameters[0].type: 'list' is not one of string, number, integer"),
        ({"name": "x", "type": "integer", "default": "1"}, "spec.parameters[0].default: '1' is not a integer"),
        ({"name": "x", "required": True}, "spec.parameters[0].required: is not a known field"),
    ],
)
def test_a_parameter_that_cannot_work_is_refused_where_it_stands(parameter: dict[str, Any], problem: str) -> None:
    assert refused(template, parameter).startswith(problem)


def test_a_parameter_is_declared_once() -> None:
    assert refused(template, {"name": "x"}, {"name": "x"}) == "spec.parameters[1].name: duplicate 'x'"


def test_parameters_are_bounded_in_number() -> None:
    many = [{"name": f"p{number}"} for number in range(21)]
    assert refused(template, *many) == "spec.parameters: 21 entries, maximum is 20"


def test_a_release_says_what_has_no_default() -> None:
    parsed = template({"name": "route"}, {"name": "threshold", "type": "number", "default": 1})
    assert bind(parsed, {"route": "/a"}, "p") == {"route": "/a", "threshold": 1.0}
    assert refused(bind, parsed, None, "spec.analysis.metrics[0].parameters") == (
        "spec.analysis.metrics[0].parameters.route: is required: a string"
    )


def test_an_unknown_parameter_is_refused_and_the_known_ones_named() -> None:
    parsed = template({"name": "route", "default": ""})
    assert refused(bind, parsed, {"rote": "/a"}, "p") == ("p.rote: is not a parameter of this template (it has: route)")


@pytest.mark.parametrize("name", ["canary", "stable", "namespace", "cluster", "service", "bucket", "start", "stop"])
def test_what_is_injected_cannot_be_set(name: str) -> None:
    assert refused(bind, template(), {name: "x"}, "p") == f"p.{name}: is injected by Pointsman and cannot be set"


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("string", "a b", "a b"),
        ("number", 1, 1.0),
        ("number", 0.25, 0.25),
        ("integer", -3, -3),
        ("duration", "1m30s", 90.0),
        ("boolean", False, False),
    ],
)
def test_a_value_of_its_type_is_taken(kind: str, raw: Any, value: Any) -> None:
    bound = bind(template({"name": "x", "type": kind}), {"x": raw}, "p")["x"]
    assert bound == value
    assert type(bound) is type(value)


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("string", 1),
        ("string", True),
        ("string", ["a"]),
        ("string", "a\x00b"),
        ("string", "\x9b"),
        ("string", "x" * 1001),
        ("string", f"a{START_TOKEN}"),
        ("number", "1"),
        ("number", True),
        ("number", float("nan")),
        ("number", float("inf")),
        ("integer", 1.0),
        ("integer", True),
        ("integer", 2**63),
        ("duration", 5),
        ("duration", "5 minutes"),
        ("boolean", 1),
        ("boolean", "true"),
    ],
)
def test_a_value_of_another_type_is_refused_at_its_path(kind: str, raw: Any) -> None:
    parsed = template({"name": "x", "type": kind})
    assert refused(bind, parsed, {"x": raw}, "p").startswith("p.x: ")
    assert parsed.types() == {"x": ParameterType(kind)}


def test_parameters_that_are_no_mapping_are_refused() -> None:
    assert refused(bind, template(), ["x"], "p") == "p: must be an object, not ['x']"


@pytest.mark.parametrize("revision", ["", "SHORT", "abc.*abcde", "aaaaaaaaa1"])
def test_a_context_takes_nothing_but_revisions(revision: str) -> None:
    with pytest.raises(ValueError, match=r"canary .* is not a revision of ten base32 letters"):
        Context(cluster="c", namespace="n", service="s", stable="", canary=revision)
