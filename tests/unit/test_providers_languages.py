"""A language is data: what a dialect says is how values, names and the window are written."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from controller.api.metric_source import HeartbeatSpec
from controller.api.metrics import Context, MetricTemplate, Parameter, ParameterType
from controller.ports import Query, Window
from controller.providers._languages import Dialect, Moment, windowed
from controller.providers.rendering import Renderer, RenderError

PROMQL = Dialect(
    "promql",
    quote='"',
    regex_in_text=True,
    moment=Moment.SECONDS,
    tokens=("start", "stop", "window"),
    window_required=False,
)
SQL = Dialect("sql", quote="'", doubled=True, identifier='"', durations="90", quoted_moment=True)
DIALECTS = {dialect.name: dialect for dialect in (PROMQL, SQL)}
CONTEXT = Context(cluster="c", namespace="shop", service="web", stable="a" * 10, canary="b" * 10)
WINDOW = Window(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 1, 0, 0, 10, 500_000, tzinfo=UTC))


@pytest.fixture
async def renderer() -> AsyncIterator[Renderer]:
    renderer = Renderer(lambda: DIALECTS)
    yield renderer
    await renderer.close()


async def rendered(renderer: Renderer, language: str, query: str, **values: Any) -> Query:
    types = {str: ParameterType.STRING, float: ParameterType.DURATION}
    parameters = tuple(Parameter(name, types[type(value)]) for name, value in values.items())
    return await renderer.render(MetricTemplate(language=language, query=query, parameters=parameters), values, CONTEXT)


NASTY = "a\"b'c\\d"


@pytest.mark.parametrize(
    ("language", "query", "text"),
    [
        ("promql", "{{ x }}", r'''"a\"b'c\\d"'''),
        ("promql", '{l=~"{{ x | regex }}"}', r"""{l=~"a\"b'c\\\\d"}"""),
        ("promql", "{{ for }}", "90s"),
        ("sql", "{{ x }}", "'a\"b''c\\d'"),
        ("sql", "{{ x | identifier }}", '"a""b\'c\\d"'),
        ("sql", "{{ for }}", "90.0"),
    ],
)
async def test_a_value_is_written_as_its_dialect_says(renderer: Renderer, language: str, query: str, text: str) -> None:
    found = await rendered(renderer, language, query.replace("for", "wait"), x=NASTY, wait=90.0)
    assert found.text == text


async def test_a_doubled_quote_cannot_hold_what_would_need_a_backslash(renderer: Renderer) -> None:
    with pytest.raises(RenderError, match="control character"):
        await rendered(renderer, "sql", "{{ x }}", x="a\nb")


async def test_the_window_is_written_as_the_dialect_says(renderer: Renderer) -> None:
    promql = await rendered(renderer, "promql", "increase(x[{{ window }}] @ {{ stop }})")
    assert windowed(promql, WINDOW, PROMQL) == "increase(x[10500ms] @ 1777593610.500)"
    sql = await rendered(renderer, "sql", "at >= {{ start }}")
    assert windowed(sql, WINDOW, SQL) == "at >= '2026-05-01T00:00:00.000000Z'"


async def test_a_language_that_no_provider_speaks_is_an_error(renderer: Renderer) -> None:
    with pytest.raises(RenderError, match="no provider supports flux"):
        await rendered(renderer, "flux", "{{ service }}")


async def test_a_parameter_cannot_take_the_windows_name(renderer: Renderer) -> None:
    with pytest.raises(RenderError, match="window is the window's in promql; rename the parameter"):
        await rendered(renderer, "promql", "{{ window }}", window="1m")


async def test_only_a_dialect_whose_requests_carry_the_window_has_heartbeats_without_one(renderer: Renderer) -> None:
    assert (await renderer.render_heartbeat(HeartbeatSpec("promql", "up"), {})).text == "up"
    with pytest.raises(RenderError, match="has no start"):
        await renderer.render_heartbeat(HeartbeatSpec("sql", "SELECT 1"), {})
