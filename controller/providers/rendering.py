"""Turns a metric template into a query, in a process that can be killed.

The process is started once (that is what takes a tenth of a second), forks for each template (that takes a few
milliseconds), knows no environment variable and no secret. `_sandbox.py` is what runs there.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from controller import registry
from controller.api.metric_source import HeartbeatSpec
from controller.api.metrics import START_TOKEN, TOKEN_PREFIX, Context, MetricTemplate, Value
from controller.ports import Query
from controller.providers._languages import Dialect
from controller.providers.joint import MARKS, JoinableQuery, MarkError, parted
from controller.turns import Turns

_PROGRAM = Path(__file__).with_name("_sandbox.py")
_LINE_BYTES = 1024 * 1024
_START_S = 30.0
_ANSWER_S = 10.0
_CACHE_ENTRIES = 2000


class RenderError(Exception):
    """The template cannot be made into a query; one sentence says why."""


def _query(language: str, text: str) -> Query | RenderError:
    try:
        return parted(language, text)
    except MarkError as error:
        return RenderError(f"the template cannot be rendered: {error}")


class _SandboxDiedError(Exception):
    pass


class Renderer:
    """Renders templates one after the other; safe for concurrent use, bound to the event loop it is first used in.

    What is rendered is remembered by template, parameters and context, refusals too: nothing is rendered per look.
    Namespaces take turns: a thousand templates that take as long as they may hold up another namespace's by one.
    """

    def __init__(self, dialects: Callable[[], Mapping[str, Dialect]] = registry.dialects) -> None:
        self._dialects = dialects
        self._turns = Turns()
        self._process: asyncio.subprocess.Process | None = None
        self._cache: OrderedDict[bytes, Query | RenderError] = OrderedDict()

    async def render(self, template: MetricTemplate, parameters: Mapping[str, Value], context: Context) -> Query:
        """`parameters` come from `controller.api.metrics.bind`. Raises RenderError."""
        types = template.types()
        values: dict[str, tuple[str, Value]] = {name: (types[name], value) for name, value in parameters.items()}
        values |= {name: ("string", value) for name, value in context.values().items()}
        query = await self._render(template.language, template.query, values, context.namespace)
        revisions = (context.stable, context.canary)
        return replace(query, revisions=revisions) if isinstance(query, JoinableQuery) else query

    async def render_heartbeat(
        self, heartbeat: HeartbeatSpec, of_source: Mapping[str, str], *, namespace: str = ""
    ) -> Query:
        """Of no service and no version, so these have no names here. `namespace`: who asks. Raises RenderError."""
        values: dict[str, tuple[str, Value]] = {name: ("string", value) for name, value in of_source.items()}
        query = await self._render(heartbeat.language, heartbeat.query, values, namespace)
        dialect = self._dialects()[heartbeat.language]
        if dialect.window_required and START_TOKEN not in query.text:
            raise RenderError("the heartbeat's query has no start, so it would always find a row")
        return query

    async def render_text(
        self, template: str, values: Mapping[str, Any], escapes: Sequence[tuple[str, str]], *, namespace: str
    ) -> str:
        """For people: each value is escaped on its way into the text. Nothing is remembered. Raises RenderError."""
        dialect = {"name": "text", "plain": True, "escapes": list(escapes)}
        typed = {name: ("plain", value) for name, value in values.items()}
        request = json.dumps({"template": template, "dialect": dialect, "values": typed, "marks": {}})
        async with self._turns.turn(namespace):
            answer = await self._ask(request)
        if "text" not in answer:
            raise RenderError(f"cannot be rendered: {answer['error']}")
        return str(answer["text"])

    async def _render(self, language: str, text: str, values: Mapping[str, tuple[str, Value]], namespace: str) -> Query:
        dialect = self._dialects().get(language)
        if dialect is None:
            raise RenderError(f"no provider supports {language}")
        window = {name: ("verbatim", token) for name, token in dialect.window_names().items()}
        taken = sorted(values.keys() & window.keys())
        if taken:
            raise RenderError(f"{taken[0]} is the window's in {language}; rename the parameter")
        for name, (_, value) in values.items():
            if isinstance(value, str) and TOKEN_PREFIX in value:
                raise RenderError(f"{name} may not hold {TOKEN_PREFIX!r}, which stands for what Pointsman puts there")
        all_values = {**values, **window}
        fields = {"template": text, "dialect": dialect.as_json(), "values": all_values, "marks": MARKS}
        request = json.dumps(fields, sort_keys=True)
        key = sha256(request.encode()).digest()
        known = self._remembered(key)
        if known is None:
            async with self._turns.turn(namespace):
                known = self._remembered(key) or await self._fresh(language, request, key)
        if isinstance(known, RenderError):
            raise RenderError(str(known))
        return known

    def _remembered(self, key: bytes) -> Query | RenderError | None:
        known = self._cache.get(key)
        if known is not None:
            self._cache.move_to_end(key)
        return known

    async def run(self) -> None:
        """Ends the process with whoever runs this."""
        try:
            await asyncio.Event().wait()
        finally:
            await self.close()

    async def close(self) -> None:
        async with self._turns.turn(""):
            await self._stop()

    async def _fresh(self, language: str, request: str, key: bytes) -> Query | RenderError:
        answer = await self._ask(request)
        result: Query | RenderError
        if "text" in answer:
            result = _query(language, answer["text"])
        else:
            result = RenderError(f"the template cannot be rendered: {answer['error']}")
            if not answer["final"]:
                return result
        self._cache[key] = result
        if len(self._cache) > _CACHE_ENTRIES:
            self._cache.popitem(last=False)
        return result

    async def _ask(self, request: str) -> dict[str, Any]:
        for _ in range(2):
            try:
                return await self._exchange(request)
            except (_SandboxDiedError, ConnectionError, TimeoutError):
                await self._stop()
            except BaseException:
                # cancelled between question and answer: the next question must not get this one's answer
                await self._stop()
                raise
        return {"error": "could not be rendered; its process died twice", "final": False}

    async def _exchange(self, request: str) -> dict[str, Any]:
        process = self._process or await self._start()
        assert process.stdin is not None  # noqa: S101 - asked for in _start
        process.stdin.write(request.encode() + b"\n")
        async with asyncio.timeout(_ANSWER_S):
            await process.stdin.drain()
            return await self._line(process)

    async def _start(self) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(_PROGRAM),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            limit=_LINE_BYTES,
        )
        async with asyncio.timeout(_START_S):
            await self._line(self._process)
        return self._process

    @staticmethod
    async def _line(process: asyncio.subprocess.Process) -> dict[str, Any]:
        assert process.stdout is not None  # noqa: S101 - asked for in _start
        line = await process.stdout.readline()
        if not line.endswith(b"\n"):
            raise _SandboxDiedError
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.communicate()
