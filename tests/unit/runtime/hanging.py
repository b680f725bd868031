"""A world with two metric sources, of which one may hang: each Release names its own in the metric's template."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from controller import registry
from controller.analysis.limited import Limited
from controller.analysis.sources import Question
from controller.api.analysis import Metric
from controller.api.metrics import Context, parse_template
from controller.kube.objects import Key
from controller.ports import MetricProvider, NoData, Query, Samples, Window
from controller.providers.rendering import Renderer, RenderError
from controller.runtime.reconciler import Reconciler
from tests.unit.runtime.fake_api import FakeApi
from tests.unit.runtime.fake_cluster import Counting, CountingSources

HANGS = "hangs"
"""The template whose source hangs, once it does."""


class Hanging:
    """Answers as `inner` does until it hangs; then nothing ends a query but its cancellation."""

    def __init__(self, inner: MetricProvider, hangs: Callable[[], bool]) -> None:
        self._inner = inner
        self._hangs = hangs

    async def query(self, query: Query, window: Window) -> Samples | NoData:
        await self._may_hang()
        return await self._inner.query(query, window)

    async def has_rows(self, query: Query, window: Window) -> bool:
        await self._may_hang()
        return await self._inner.has_rows(query, window)

    async def _may_hang(self) -> None:
        if self._hangs():
            await asyncio.Event().wait()

    async def close(self) -> None:
        return None


class OfRelease:
    """One source for many Releases: the query says which of them is counted."""

    def __init__(self, api: FakeApi, failing: set[str]) -> None:
        self._api = api
        self._failing = failing

    async def query(self, query: Query, window: Window) -> Samples | NoData:
        namespace, _, name = query.text.partition("/")
        return await Counting(self._api, self._failing, Key(namespace, name)).query(query, window)

    async def has_rows(self, query: Query, window: Window) -> bool:
        del query, window
        return True

    async def close(self) -> None:
        return None


class TwoSources(CountingSources):
    """Limited as real ones are, each by itself."""

    def __init__(
        self, api: FakeApi, failing: set[str], hangs: Callable[[], bool], renderer: Renderer | None = None
    ) -> None:
        super().__init__(api, failing)
        self._may_render = renderer
        healthy = OfRelease(api, failing)
        self._by_template = {True: Limited(Hanging(healthy, hangs)), False: Limited(healthy)}

    async def questions(
        self, key: Key, metrics: tuple[Metric, ...], *, stable: str, canary: str
    ) -> tuple[Question, ...]:
        if self._may_render is not None:
            for metric in metrics:
                await self._render(self._may_render, metric.template, key, stable, canary)
        return tuple(
            Question(metric.name, Query("none", f"{key}"), self._by_template[metric.template == HANGS], warm_up=False)
            for metric in metrics
        )

    async def _render(self, renderer: Renderer, name: str, key: Key, stable: str, canary: str) -> None:
        template = parse_template(
            {"language": "flux", "query": f"{name} {{{{ service }}}}"},
            "spec",
            languages=registry.dialects(),
            kinds=registry.kinds(),
        )
        context = Context("c1", key.namespace, key.name, stable, canary)
        with contextlib.suppress(RenderError):
            await renderer.render(template, {}, context)


def passes_wait_for_answers(patch: pytest.MonkeyPatch) -> None:
    """What was wrong once, for negative controls."""
    reconcile = Reconciler.reconcile

    async def awaiting(self: Reconciler, key: Any) -> float | None:
        entry = self.analysis._entries.get(key)
        while entry is not None and entry.asking_since is not None:  # noqa: ASYNC110 - as a pass would wait
            await asyncio.sleep(0.1)
        return await reconcile(self, key)

    patch.setattr(Reconciler, "reconcile", awaiting)
