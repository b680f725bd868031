"""From the metrics a Release names to queries that can be asked, and providers to ask them of.

References resolve in the Release's namespace and then in the operator's. What was resolved is kept for a minute, or
until a template or a source changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller import registry
from controller.analysis.heartbeat import Heartbeat
from controller.api.analysis import Metric
from controller.api.metric_source import MetricSource, parse_source
from controller.api.metrics import CLIENT, Context, MetricTemplate, bind, parse_template
from controller.api.reading import SpecError
from controller.api.reasons import Reason
from controller.api.resources import METRIC_SOURCES, METRIC_TEMPLATES, Resource
from controller.api.secret import SecretRef
from controller.kube.client import KubeClient
from controller.kube.objects import Key
from controller.kube.secrets import SecretError, secret_value
from controller.ports import MetricProvider, NoData, Query, Resolve, Samples, SourceOutageError, Window, threshold_text
from controller.providers.rendering import Renderer, RenderError
from controller.rollout.observation import MetricTrouble

_KEPT_S = 60.0
_UNWANTED_S = 600.0
AT_ONCE = 16
"""Questions to one source at once; the others wait for their turn."""


_LONGEST_S = 75.0
"""More than any time-out that a source may have: one that keeps to none frees its place all the same."""


class MetricTroubleError(Exception):
    """A metric cannot be asked; says why, in the terms of `decide`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.trouble = MetricTrouble(reason, message)


@dataclass(frozen=True)
class Question:
    """One metric, ready to be asked."""

    name: str
    query: Query
    provider: MetricProvider
    warm_up: bool
    heartbeat: Heartbeat | None = None
    """Of the source, shared by all who ask there."""
    maturity: float = 0.0
    """Seconds after a unit's beginning until its outcome is known; 0 where a unit is counted when it ends."""
    at_router: bool = False
    """Its units are counted by the router that splits the work."""
    always: str = ""
    """One of its thresholds, in seconds as text; empty where its rows have none."""
    halves: bool = False
    """Its rows come for two halves of a revision's pods."""
    counts_clients: bool = False
    """Its units are clients, each counted once for a version."""


@dataclass(frozen=True)
class _Resolved:
    questions: tuple[Question, ...]
    subject: object
    at: float


@dataclass
class _Provider:
    made_of: object
    """Kind, fields and secrets."""
    provider: MetricProvider
    wanted_at: float
    """When it was last asked for, by the monotonic clock: who uses it does so each minute."""


class Limited:
    """A provider that is asked so much at once and no more: a source that hangs holds up nobody but its own."""

    def __init__(self, provider: MetricProvider, at_once: int = AT_ONCE) -> None:
        self._provider = provider
        self._places = asyncio.Semaphore(at_once)

    async def query(self, query: Query, window: Window) -> Samples | NoData:
        async with self._place():
            return await self._provider.query(query, window)

    async def has_rows(self, query: Query, window: Window) -> bool:
        async with self._place():
            return await self._provider.has_rows(query, window)

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        async with self._places:
            try:
                async with asyncio.timeout(_LONGEST_S):
                    yield
            except TimeoutError as error:
                raise SourceOutageError(f"no answer within {_LONGEST_S:g} s") from error

    async def close(self) -> None:
        await self._provider.close()


class Sources:
    """`resolve` says which addresses the sources of tenants may be at, which are all that do not lie beside the
    operator; None: all.
    """

    def __init__(self, kube: KubeClient, *, cluster: str, own_namespace: str, resolve: Resolve | None = None) -> None:
        self._kube = kube
        self._resolve = resolve
        self._cluster = cluster
        self._own = own_namespace
        self._renderer = Renderer()
        self._resolved: dict[Key, tuple[_Resolved, ...]] = {}
        """By Release the last three: a canary is compared while the version before it drains, and its baseline too."""
        self._providers: dict[tuple[str, str], _Provider] = {}
        """By the namespace and name of their source."""
        self._heartbeats: dict[str, Heartbeat] = {}
        self._lock = asyncio.Lock()

    def changed(self, namespace: str) -> None:
        """A template or a source of the namespace was written: who may use it resolves anew. One tenant's edits cost no
        other tenant a request.
        """
        for key in [key for key in self._resolved if namespace in (key.namespace, self._own)]:
            del self._resolved[key]

    async def tidy(self) -> None:
        """Closes the connections to sources that nobody asks any more, such as those that were deleted."""
        now = time.monotonic()
        for place, known in list(self._providers.items()):
            if now - known.wanted_at >= _UNWANTED_S:
                del self._providers[place]
                self._heartbeats.pop("/".join(place), None)
                await known.provider.close()

    def forget(self, key: Key) -> None:
        self._resolved.pop(key, None)

    async def close(self) -> None:
        await asyncio.gather(self._renderer.close(), *(known.provider.close() for known in self._providers.values()))
        self._providers.clear()

    async def questions(
        self, key: Key, metrics: tuple[Metric, ...], *, stable: str, canary: str
    ) -> tuple[Question, ...]:
        """Raises MetricTroubleError, KubeError."""
        subject = (metrics, stable, canary)
        for known in self._resolved.get(key, ()):
            if known.subject == subject and time.monotonic() - known.at < _KEPT_S:
                return known.questions
        questions = tuple([await self._question(key, metric, stable, canary) for metric in metrics])
        others = [one for one in self._resolved.get(key, ()) if one.subject != subject]
        self._resolved[key] = (_Resolved(questions, subject, time.monotonic()), *others[:2])
        return questions

    async def _question(self, key: Key, metric: Metric, stable: str, canary: str) -> Question:
        path = f"{metric.path}.template"
        try:
            home, raw = await self._find(METRIC_TEMPLATES, key.namespace, metric.template, path)
            where = f"MetricTemplate {home}/{metric.template} spec"
            template = parse_template(raw["spec"], where, languages=registry.dialects(), kinds=registry.kinds())
            source, provider, beaten = await self._provider(key, template, where, home)
            context = Context(
                cluster=self._cluster,
                namespace=key.namespace,
                service=key.name,
                stable=stable,
                canary=canary,
                of_source=source.in_queries(),
            )
            _refuse_other_languages(template, source, where)
            parameters = bind(template, metric.parameters, f"{metric.path}.parameters")
            query = await self._renderer.render(template, parameters, context)
            heartbeat = await self._heartbeat(key, beaten, source, provider)
        except (SpecError, RenderError) as error:
            raise MetricTroubleError(Reason.METRIC_INVALID, f"metric {metric.name}: {error}") from error
        except SourceOutageError as error:
            raise MetricTroubleError(Reason.SOURCE_OUTAGE, f"metric {metric.name}: {error}") from error
        always = threshold_text(float(parameters[template.always])) if template.always else ""
        return Question(
            metric.name,
            query,
            provider,
            template.warm_up,
            heartbeat,
            maturity=template.maturity,
            at_router=template.at_router,
            always=always,
            halves=template.halves,
            counts_clients=template.unit == CLIENT,
        )

    async def _heartbeat(self, key: Key, name: str, source: MetricSource, provider: MetricProvider) -> Heartbeat | None:
        spec = source.heartbeat
        if spec is None:
            return None
        languages = registry.languages_of(source.kind)
        if spec.language not in languages:
            path = f"MetricSource {name} spec.heartbeat.language"
            raise SpecError(path, f"{spec.language!r} is not one of {', '.join(sorted(languages))}")
        query = await self._renderer.render_heartbeat(spec, source.in_queries(), namespace=key.namespace)
        known = self._heartbeats.get(name)
        if known is None or (known.provider, known.query, known.max_age) != (provider, query, spec.max_age):
            known = self._heartbeats[name] = Heartbeat(name, provider, query, spec.max_age)
        return known

    async def _find(self, resource: Resource, namespace: str, name: str, path: str) -> tuple[str, Mapping[str, Any]]:
        for home in dict.fromkeys((namespace, self._own)):
            found = await self._kube.find(resource, home, name)
            if found is not None:
                return home, found
        raise SpecError(path, f"no {resource.kind} {name!r} in namespace {namespace} or {self._own}")

    async def _provider(
        self, key: Key, template: MetricTemplate, where: str, template_home: str
    ) -> tuple[MetricSource, MetricProvider, str]:
        home, raw = await self._find(METRIC_SOURCES, key.namespace, template.source, f"{where}.source")
        name = f"{home}/{template.source}"
        modules = registry.modules("providers")
        source = parse_source(raw["spec"], f"MetricSource {name} spec", registry.kinds())
        if not source.serves(key.namespace, own=home):
            raise SpecError(f"MetricSource {name} spec.allowedNamespaces", f"does not name {key.namespace}")
        if home not in (template_home, key.namespace) and not source.allow_inline:
            raise SpecError(f"{where}.source", f"MetricSource {name} takes templates of its own namespace only")
        secrets = {known_as: await self._secret(home, at) for known_as, at in source.config.secrets().items()}
        async with self._lock:
            resolve = None if home == self._own else self._resolve
            made_of = (source.kind, source.config, secrets)
            known = self._providers.get((home, template.source))
            if known is not None and known.made_of == made_of:
                known.wanted_at = time.monotonic()
                return source, known.provider, name
            provider: MetricProvider = Limited(modules[source.kind].create(source.config, secrets, resolve))
            self._providers[home, template.source] = _Provider(made_of, provider, time.monotonic())
            if known is not None:
                await known.provider.close()
            return source, provider, name

    async def _secret(self, namespace: str, reference: SecretRef) -> str:
        try:
            return await secret_value(self._kube, namespace, reference)
        except SecretError as error:
            raise SourceOutageError(str(error)) from error


def _refuse_other_languages(template: MetricTemplate, source: MetricSource, where: str) -> None:
    spoken = registry.languages_of(source.kind)
    if template.language not in spoken:
        said = f"MetricSource {template.source} supports {' and '.join(spoken)}, not {template.language}"
        raise SpecError(f"{where}.language", said)
