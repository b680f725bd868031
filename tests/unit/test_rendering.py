"""Templates are rendered by somebody who trusts neither their authors nor those who fill them in."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from controller import registry
from controller.api.metric_source import HeartbeatSpec
from controller.api.metrics import START_TOKEN, STOP_TOKEN, Context, bind, parse_template
from controller.providers import rendering
from controller.providers.joint import MARKS, JoinableQuery, joint
from controller.providers.rendering import Renderer, RenderError

LIBRARY = Path(__file__).parents[2] / "gitops" / "library"
STABLE, CANARY = "aaaaaaaaaa", "bbbbbbbbbb"


pytestmark = pytest.mark.asyncio(loop_scope="module")  # starting its process takes longer than most tests


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def warm() -> AsyncIterator[Renderer]:
    renderer = Renderer()
    yield renderer
    await renderer.close()


@pytest.fixture
def renderer(warm: Renderer) -> Renderer:
    warm._cache.clear()
    return warm


def context(**changes: str) -> Context:
    known = {"cluster": "c1", "namespace": "shop", "service": "web", "stable": STABLE, "canary": CANARY}
    return Context(**(known | changes), of_source={"bucket": "b"})


async def rendered(
    renderer: Renderer,
    query: str,
    *,
    language: str = "flux",
    parameters: dict[str, tuple[str, Any]] | None = None,
    where: Context | None = None,
) -> str:
    declared = [{"name": name, "type": kind} for name, (kind, _) in (parameters or {}).items()]
    raw = {"language": language, "query": query, "parameters": declared}
    template = parse_template(raw, "spec", languages=("flux", "influxql"), kinds=registry.kinds())
    values = bind(template, {name: value for name, (_, value) in (parameters or {}).items()}, "parameters")
    return (await renderer.render(template, values, where or context())).text


async def refused(renderer: Renderer, query: str, **kwargs: Any) -> str:
    with pytest.raises(RenderError) as caught:
        await rendered(renderer, query, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "value", "flux", "influxql"),
    [
        ("string", "a b", '"a b"', "'a b'"),
        ("string", "", '""', "''"),
        ("string", 'say "hi"', '"say \\"hi\\""', "'say \"hi\"'"),
        ("string", "it's", '"it\'s"', "'it\\'s'"),
        ("string", "back\\", '"back\\\\"', "'back\\\\'"),
        ("string", "${x}", '"\\${x}"', "'${x}'"),
        ("string", "a\nb\tc", '"a\\nb\\tc"', "'a\\nb\\tc'"),
        ("string", "größe 日本", '"größe 日本"', "'größe 日本'"),
        ("string", '") |> drop()', '"\\") |> drop()"', "'\") |> drop()'"),
        ("number", 0.25, "0.25", "0.25"),
        ("number", 1, "1.0", "1.0"),
        ("number", 1e-9, "0.000000001", "0.000000001"),
        ("number", 1e20, "100000000000000000000.0", "100000000000000000000.0"),
        ("number", -1.5, "(-1.5)", "(-1.5)"),
        ("integer", 7, "7", "7"),
        ("integer", -7, "(-7)", "(-7)"),
        ("duration", "90s", "90s", "90s"),
        ("duration", "1m30s250ms", "90250ms", "90250ms"),
        ("boolean", True, "true", "true"),
    ],
)
async def test_a_value_becomes_a_literal_of_its_type(
    renderer: Renderer, kind: str, value: Any, flux: str, influxql: str
) -> None:
    for language, literal in (("flux", flux), ("influxql", influxql)):
        text = await rendered(renderer, "x == {{ x }}", language=language, parameters={"x": (kind, value)})
        assert text == f"x == {literal}"


async def test_what_is_injected_is_known_and_the_window_stays_open(renderer: Renderer) -> None:
    query = "{{ cluster }}{{ namespace }}{{ service }}{{ stable }}{{ canary }}{{ bucket }} {{ start }} {{ stop }}"
    assert await rendered(renderer, query) == f'"c1""shop""web""{STABLE}""{CANARY}""b" {START_TOKEN} {STOP_TOKEN}'


async def test_a_number_reads_as_people_write_it_inside_a_text(renderer: Renderer) -> None:
    for value, text in ((1, '"le_1"'), (0.25, '"le_0.25"'), (10.0, '"le_10"')):
        assert await rendered(renderer, '{{ "le_" ~ x }}', parameters={"x": ("number", value)}) == text


@pytest.mark.parametrize("expression", ['"a" ~ x', "x + 'b'", "x | upper", "x | replace('a', 'b')", "[x, x] | join"])
async def test_a_text_made_of_values_is_a_literal_too(renderer: Renderer, expression: str) -> None:
    text = await rendered(renderer, f"{{{{ {expression} }}}}", parameters={"x": ("string", '" + "')})
    assert text.startswith('"')
    assert text.count('"') - text.count('\\"') == 2


async def test_regex_matches_the_text_itself_and_cannot_leave_the_slashes(renderer: Renderer) -> None:
    text = await rendered(renderer, "/^{{ x | regex }}$/", parameters={"x": ("string", "a.b/|-ü_1 ")})
    assert text == "/^a\\.b\\/\\|\\-ü_1 $/"


async def test_identifier_writes_a_name_of_influxql(renderer: Renderer) -> None:
    parameters = {"x": ("string", 'le"0.25')}
    assert await rendered(renderer, "{{ x | identifier }}", language="influxql", parameters=parameters) == '"le\\"0.25"'
    assert "flux has none: write the name as a text" in await refused(
        renderer, "{{ x | identifier }}", parameters=parameters
    )


async def joinable(renderer: Renderer, query: str, value: str, service: str) -> JoinableQuery:
    raw = {"language": "flux", "query": query, "parameters": [{"name": "x"}]}
    template = parse_template(raw, "spec", languages=("flux",), kinds=registry.kinds())
    found = await renderer.render(template, bind(template, {"x": value}, "parameters"), context(service=service))
    assert isinstance(found, JoinableQuery)
    return found


@pytest.mark.parametrize("value", ["a", '") or (true) //', "${1 + 1}", "\\", "{% endfilter %}", "))"])
async def test_a_value_in_a_part_for_each_release_is_its_literal(renderer: Renderer, value: str) -> None:
    query = "{% filter either %}r.s == {{ service }} and r.x == {{ x }}{% endfilter %} {{ start }}"
    web, shop = [await joinable(renderer, query, value, service) for service in ("web", "shop")]
    literal = await rendered(renderer, "{{ x }}", parameters={"x": ("string", value)})
    assert web.text == f'((r.s == "web" and r.x == {literal})) {START_TOKEN}'
    assert web.revisions == (STABLE, CANARY)
    assert web.around == shop.around
    assert joint([web, shop]).text == (
        f'((r.s == "web" and r.x == {literal}) or (r.s == "shop" and r.x == {literal})) {START_TOKEN}'
    )


async def test_who_has_other_parameters_around_the_parts_is_asked_apart(renderer: Renderer) -> None:
    query = "{{ x }} {% filter either %}{{ service }}{% endfilter %}"
    one, other = [await joinable(renderer, query, value, "web") for value in ("1", "2")]
    assert one.around != other.around


async def test_a_name_that_looks_like_a_mark_is_refused(renderer: Renderer) -> None:
    for before, after in MARKS.values():
        for bucket in (before, after, before + after):
            raw = {"language": "flux", "query": "{{ bucket }}{% filter either %}{{ service }}{% endfilter %}"}
            template = parse_template(raw, "spec", languages=("flux",), kinds=registry.kinds())
            where = Context("c1", "shop", "web", STABLE, CANARY, {"bucket": bucket})
            with pytest.raises(RenderError, match=r"may not hold '@@pointsman\."):
                await renderer.render(template, {}, where)


async def test_no_filter_leaves_a_value_unescaped(renderer: Renderer) -> None:
    for name in ("raw", "safe", "escape", "e", "forceescape", "tojson", "format", "attr", "xmlattr"):
        assert f"No filter named '{name}'" in await refused(renderer, f"{{{{ service | {name} }}}}")


async def test_control_statements_work(renderer: Renderer) -> None:
    query = "{% for x in range(3) %}{% if x > 0 %}{{ x }},{% endif %}{% endfor %}"
    assert await rendered(renderer, query) == "1,2,"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("{{ nothing }}", "the template cannot be rendered: 'nothing' is undefined"),
        ("{{ service.nothing }}", "the template cannot be rendered: 'str object' has no attribute 'nothing'"),
        ("a\n{% if %}", "the template cannot be rendered: line 2: Expected an expression"),
        ("{{ [service] }}", "a list cannot be written into a query; write its parts one by one"),
        ("{{ none }}", "a NoneType cannot be written into a query"),
        ("{{ 2 ** 70 }}", "a whole number beyond 64 bits cannot be part of a query"),
        ("{{ 1e300 * 1e300 }}", "inf is not a number a query can hold"),
        ("{% include 'x' %}", "no loader for this environment specified"),
        ("{{ 1 / 0 }}", "ZeroDivisionError: division by zero"),
        (
            "{% filter either %}{% filter alternatives %}x{% endfilter %}{% endfilter %}",
            "either and alternatives cannot stand inside one another",
        ),
        ("{{ 1 | either }}", "a value is no part of a query; write {% filter either %}a condition{% endfilter %}"),
        ("{{ cycler }}", "'cycler' is undefined"),
        ("{{ '\x07' }}", "a text with a control character cannot be part of a query"),
    ],
)
async def test_a_template_that_is_wrong_is_refused_in_one_sentence(
    renderer: Renderer, query: str, sentence: str
) -> None:
    assert sentence in await refused(renderer, query)


@pytest.mark.parametrize(
    "query",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ range.__globals__ }}",
        "{{ '{0.__class__.__mro__}'.format(service) }}",
        "{{ self.__init__.__globals__ }}",
        "{{ (service | regex).text.__class__ }}",
    ],
)
async def test_the_interpreter_is_out_of_reach(renderer: Renderer, query: str) -> None:
    assert "unsafe" in await refused(renderer, query) or "undefined" in await refused(renderer, query)


@pytest.mark.parametrize(
    "query",
    [
        "{{ 'a' * 200000000 }}",
        "{% set x = service * 100000000 %}{{ x | length }}",
        "{% set x = [service] * 50000000 %}{{ x | length }}",
    ],
)
async def test_a_memory_bomb_is_killed(renderer: Renderer, query: str) -> None:
    assert await refused(renderer, query) == "the template cannot be rendered: needs more than 64 MiB"


async def test_an_ordinary_text_fits_into_the_memory(renderer: Renderer) -> None:
    assert await rendered(renderer, "{% set x = service * 5000000 %}{{ x | length }}") == "15000000"


@pytest.mark.parametrize(
    "query",
    [
        "{% for x in range(99999) %}{% for y in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 7 ** 99999999 }}",
        "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{% for x in range(99999) %}{{ f() }}{% endfor %}",
    ],
)
async def test_a_loop_without_end_is_killed(renderer: Renderer, query: str) -> None:
    await rendered(renderer, "warm")
    before = time.perf_counter()
    sentence = await refused(renderer, query)
    assert "needs more than 100 ms of processor time" in sentence or "nests too deeply" in sentence
    assert time.perf_counter() - before < 20


async def test_the_output_is_bounded(renderer: Renderer) -> None:
    assert len(await rendered(renderer, "{% for x in range(1024) %}0123456789abcdef{% endfor %}")) == 16384
    assert "it grows beyond 16384 bytes" in await refused(
        renderer, "{% for x in range(1024) %}0123456789abcdef{% endfor %}!"
    )


async def test_one_template_leaves_nothing_for_the_next(renderer: Renderer) -> None:
    await rendered(renderer, "{% set canary = 'mine' %}{{ canary }}")
    assert await rendered(renderer, "{{ canary }}") == f'"{CANARY}"'


async def test_what_was_rendered_is_not_rendered_again(renderer: Renderer) -> None:
    first = await rendered(renderer, "{{ service }}")
    await refused(renderer, "{{ nothing }}")
    process = renderer._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    assert await rendered(renderer, "{{ service }}") == first
    await refused(renderer, "{{ nothing }}")
    assert renderer._process is process


async def test_another_revision_is_another_rendering(renderer: Renderer) -> None:
    assert await rendered(renderer, "{{ canary }}") == f'"{CANARY}"'
    assert await rendered(renderer, "{{ canary }}", where=context(canary="cccccccccc")) == '"cccccccccc"'


async def test_a_killed_process_is_replaced(renderer: Renderer) -> None:
    await rendered(renderer, "one")
    process = renderer._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    assert await rendered(renderer, "two") == "two"


async def test_a_process_that_hangs_is_replaced(renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    await rendered(renderer, "one")
    process = renderer._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    monkeypatch.setattr(rendering, "_ANSWER_S", 0.5)
    assert await rendered(renderer, "two") == "two"
    assert process.returncode == -signal.SIGKILL


async def test_the_process_ends_with_the_operator(renderer: Renderer) -> None:
    await rendered(renderer, "one")
    process = renderer._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    async with asyncio.timeout(10):
        assert await process.wait() == 0


async def test_a_cancelled_rendering_does_not_answer_the_next(renderer: Renderer) -> None:
    await rendered(renderer, "warm")
    loop = "{% for x in range(99999) %}{% for y in range(99999) %}{% endfor %}{% endfor %}"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await rendered(renderer, loop)
    assert await rendered(renderer, "next") == "next"


async def test_many_ask_at_once_and_each_gets_its_own(renderer: Renderer) -> None:
    texts = await asyncio.gather(*(rendered(renderer, f"q{number}") for number in range(20)))
    assert texts == [f"q{number}" for number in range(20)]


async def test_the_process_knows_no_environment_variable(renderer: Renderer) -> None:
    await rendered(renderer, "x")
    assert renderer._process is not None
    with open(f"/proc/{renderer._process.pid}/environ", "rb") as environ:  # noqa: ASYNC230, PTH123 - not a file on a disk
        assert environ.read() == b""


MANIFESTS = {file.stem: yaml.safe_load(file.read_text()) for file in sorted(LIBRARY.glob("http-*.yaml"))}


@pytest.mark.parametrize("name", MANIFESTS)
async def test_the_shipped_templates_render_without_a_parameter(renderer: Renderer, name: str) -> None:
    manifest = MANIFESTS[name]
    assert manifest["kind"] == "MetricTemplate"
    assert manifest["metadata"]["name"] == name
    template = parse_template(manifest["spec"], "spec", languages=("flux", "influxql"), kinds=registry.kinds())
    query = await renderer.render(template, bind(template, None, "parameters"), context())
    assert START_TOKEN in query.text
    assert STOP_TOKEN in query.text
    assert CANARY in query.text


async def test_a_heartbeat_knows_the_bucket_and_the_window_and_no_version(renderer: Renderer) -> None:
    spec = HeartbeatSpec("flux", "from(bucket: {{ bucket }}) |> range(start: {{ start }}, stop: {{ stop }})", 30.0)
    query = await renderer.render_heartbeat(spec, {"bucket": "b"})
    assert query.text == f'from(bucket: "b") |> range(start: {START_TOKEN}, stop: {STOP_TOKEN})'
    with pytest.raises(RenderError, match="stable"):
        await renderer.render_heartbeat(HeartbeatSpec("flux", "{{ start }} {{ stable }}", 30.0), {"bucket": "b"})


async def test_a_heartbeat_that_would_beat_for_ever_is_refused(renderer: Renderer) -> None:
    with pytest.raises(RenderError, match="has no start"):
        await renderer.render_heartbeat(HeartbeatSpec("flux", "buckets()", 30.0), {"bucket": "b"})
