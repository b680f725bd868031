"""Looks after ReleaseRepositories: decides when to fetch, applies what was fetched, and says what has become of it.

A pass waits for the API server alone. Git has tasks of its own (`fetching.py`), which leave their results for the next
pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from controller.api.conditions import Condition
from controller.api.names import GIT_URLS, RECONCILE
from controller.api.reading import SpecError
from controller.api.release_repository import RepositorySpec, parse_repository
from controller.api.resources import RELEASE_REPOSITORIES
from controller.api.text import one_line
from controller.backoff import delay_s, spread_s
from controller.effects.git_secret import covers
from controller.git.remote import NO_CREDENTIALS, Credentials, Remote, credentials_of
from controller.kube.applying import Discovery
from controller.kube.client import ConflictError, FencedError, KubeClient, KubeError
from controller.kube.objects import Key
from controller.kube.secrets import SecretError, annotated_secret
from controller.ports import Resolve
from controller.runtime.controller import Controller, Event, Request, Result
from controller.sync import status as said
from controller.sync.applying import Applying, Place, Report
from controller.sync.fetching import Fetches, Source
from controller.sync.inventory import MOST_CHARACTERS, Inventory
from controller.sync.manifests import Failure
from controller.sync.rendering import Rendered
from controller.sync.status import Status

_LOG = logging.getLogger(__name__)
_FIRST_RETRY_S = 5.0
_MOST_ANNOTATION = 1024
_MOST_MESSAGE = 500


def request_of(key: Key) -> Request:
    return Request(RELEASE_REPOSITORIES.kind, key.namespace, key.name)


@dataclass
class _Known:
    """What is kept of one between two passes. Losing it costs a fetch."""

    spec: RepositorySpec
    handled: str = ""
    """The annotation that the last fetch was started for."""
    poked: bool = False
    """A webhook came."""
    failures: int = 0
    due: float = 0.0
    """When to fetch next, by the loop's clock."""
    failed: tuple[Failure, ...] = ()
    """What this round has tried in vain so far, where one pass has not the time for all of it."""
    seen: tuple[int, int] = (0, 0)
    """The number of the fetch, and the generation of the spec, that the last pass has dealt with."""


class RepositoryController(Controller):
    kind = RELEASE_REPOSITORIES.kind
    watches = (RELEASE_REPOSITORIES,)

    def __init__(
        self,
        kube: KubeClient,
        resolve: Resolve,
        wake: Callable[[Request], None],
        clock: Callable[[], float],
        *,
        remote: Callable[[str, Credentials], Remote] = Remote,
    ) -> None:
        """`remote`: of a url; tests use repositories without a server."""
        self._kube = kube
        self._wake = wake
        self._clock = clock
        self._remote = remote
        self._discovery = Discovery()
        self._known: dict[Key, _Known] = {}
        self.fetches = Fetches(resolve, lambda key: wake(request_of(key)))

    def on_event(self, event: Event) -> Iterable[Request]:
        metadata = event.body["metadata"]
        return (request_of(Key(metadata["namespace"], metadata["name"])),)

    async def resync(self, only: str | None) -> Iterable[Request]:
        items = await self._kube.list(RELEASE_REPOSITORIES, only)
        return [request_of(Key(item["metadata"]["namespace"], item["metadata"]["name"])) for item in items]

    def followers(self) -> list[tuple[Key, RepositorySpec]]:
        """Whose specs were sound when they were last seen."""
        return [(key, known.spec) for key, known in self._known.items()]

    def poke(self, key: Key) -> None:
        """There may be a new commit."""
        known = self._known.get(key)
        if known is not None:
            known.poked = True
            self._wake(request_of(key))

    async def reconcile(self, request: Request) -> Result:
        key = request.key
        body = await self._kube.find(RELEASE_REPOSITORIES, key.namespace, key.name)
        if body is None or body["metadata"].get("deletionTimestamp"):
            self._known.pop(key, None)
            self.fetches.forget(key)
            return Result()
        work = _Pass(self._kube, body, self._clock)
        try:
            spec = parse_repository(body.get("spec"))
        except SpecError as error:
            self.fetches.forget(key)
            self._known.pop(key, None)
            await work.write(conditions=said.stalled("Invalid", str(error)))
            return Result()
        known = self._known.setdefault(key, _Known(spec))
        known.spec = spec
        if spec.suspend:
            self.fetches.stop(key)
            await work.write(conditions=_suspended(work.status))
            return Result()
        try:
            return await self._advance(key, known, work)
        except (ConflictError, FencedError):
            raise
        except Exception as error:
            message = str(error) if isinstance(error, KubeError) else f"unexpected, see the log: {type(error).__name__}"
            with contextlib.suppress(KubeError):
                await work.write(conditions=said.working("PassFailed", one_line(message, _MOST_MESSAGE)))
            raise

    async def _advance(self, key: Key, known: _Known, work: _Pass) -> Result:
        source = Source(known.spec.url, known.spec.branch, known.spec.path)
        outcome = self.fetches.outcome(key, source)
        if outcome is not None and (outcome.number, work.generation) != known.seen:
            known.seen = (outcome.number, work.generation)
            if outcome.problem:
                work.status = replace(work.status, handled=known.handled)
                return await self._failed(known, work, "FetchFailed", outcome.problem)
            if outcome.rendered is not None:
                return await self._applied(key, known, work, outcome.rendered)
        if not self.fetches.is_active(key, source):
            now = asyncio.get_running_loop().time()
            if outcome is not None and now < known.due and not known.poked and not work.is_new(known.handled):
                return Result(known.due - now)
            problem = await self._start(key, known, source)
            if problem:
                return await self._failed(known, work, "SecretUnreadable", problem)
            known.handled = work.wanted
        if outcome is None:
            await work.write(conditions=_first(work))
        return Result()

    async def _start(self, key: Key, known: _Known, source: Source) -> str:
        """What is wrong, if anything. Raises KubeError."""
        credentials = NO_CREDENTIALS
        if known.spec.secret is not None:
            account = self._kube.acting_as(key.namespace, known.spec.account)
            try:
                where, data = await annotated_secret(account, key.namespace, known.spec.secret.name)
                _refuse_other_servers(where.get(GIT_URLS), key.namespace, known.spec)
                credentials = credentials_of(data)
            except SecretError as error:
                return str(error)
        known.poked = False
        self.fetches.start(key, source, self._remote(known.spec.url, credentials))
        return ""

    async def _failed(self, known: _Known, work: _Pass, reason: str, message: str) -> Result:
        """Again later each time, at last at the interval."""
        delay = self._delay(known)
        known.due = asyncio.get_running_loop().time() + delay
        await work.write(conditions=said.working(reason, message))
        return Result(delay)

    @staticmethod
    def _delay(known: _Known) -> float:
        known.failures += 1
        longest = max(_FIRST_RETRY_S, known.spec.interval)
        return delay_s(known.failures - 1, first_s=_FIRST_RETRY_S, longest_s=longest)

    async def _applied(self, key: Key, known: _Known, work: _Pass, rendered: Rendered) -> Result:
        place = Place(key.namespace, key.name, known.spec.prune)
        account = self._kube.acting_as(key.namespace, known.spec.account)
        seen, known.seen = known.seen, (0, 0)  # a pass that fails is made again
        try:
            report = await self._apply(Applying(account, self._discovery, place), rendered, work, known.failed)
        except KubeError as error:
            if error.status != _FORBIDDEN:
                raise
            known.seen = seen
            return await self._failed(known, work, "Forbidden", str(error))
        except _TooLargeError as error:
            known.seen = seen
            return await self._failed(known, work, "TooLarge", str(error))
        failures = [*rendered.failures, *report.failures]
        conditions = said.said_of(report, rendered.commit, failures)
        if not rendered.objects and not failures:
            conditions = _nothing(known.spec, rendered, report)
        is_whole = not failures and not report.unfinished
        await work.write(
            observed=rendered.commit,
            applied=rendered.commit if is_whole else work.status.applied,
            handled=known.handled,
            failed=len(failures),
            failures=said.shown(failures),
            inventory=report.inventory,
            conditions=conditions,
        )
        if report.applied or report.pruned:
            _LOG.info("%s: %d applied, %d pruned of %s", key, report.applied, report.pruned, rendered.commit)
        known.failed = report.failures if report.unfinished else ()
        if report.unfinished:
            return Result(0.0)
        known.seen = seen
        delay = self._delay(known) if failures else spread_s(known.spec.interval)
        if not failures:
            known.failures = 0
        known.due = asyncio.get_running_loop().time() + delay
        return Result(0.0 if known.poked or work.is_new(known.handled) else delay)

    async def _apply(self, applying: Applying, rendered: Rendered, work: _Pass, failed: Sequence[Failure]) -> Report:
        async def announce(inventory: Inventory) -> None:
            if rendered.commit == work.status.observed and inventory.keys() == work.status.inventory.keys():
                return  # the status names it all
            message = f"applying commit {said.short(rendered.commit)}"
            await work.write(
                observed=rendered.commit, inventory=inventory, conditions=said.working("Applying", message)
            )

        manifests = await asyncio.to_thread(lambda: rendered.manifests)
        return await applying.run(
            manifests,
            work.status.inventory,
            commit=rendered.commit,
            whole=not rendered.failures,
            announce=announce,
            failed=failed,
        )


_FORBIDDEN = 403


def _refuse_other_servers(urls: str | None, namespace: str, spec: RepositorySpec) -> None:
    """`urls`: of the Secret's annotation, where its owner has said to which servers it may go. Raises SecretError."""
    if urls is None or spec.secret is None:
        return
    if not any(covers(one, spec.url) for one in urls.replace(",", " ").split()):
        raise SecretError(
            f"Secret {namespace}/{spec.secret.name} is not marked for {spec.url}; add that, or what it begins with, to "
            f"its annotation {GIT_URLS}"
        )


class _TooLargeError(Exception):
    """The inventory has no room in one object."""


class _Pass:
    """One object as it was read, and its status as it is written."""

    def __init__(self, kube: KubeClient, body: dict[str, Any], clock: Callable[[], float]) -> None:
        self._kube = kube
        self._clock = clock
        self.body = body
        self.status = said.from_raw(body.get("status") or {})

    @property
    def generation(self) -> int:
        return int(self.body["metadata"]["generation"])

    @property
    def is_seen(self) -> bool:
        """Whether the status is about this spec."""
        return (self.body.get("status") or {}).get("observedGeneration") == self.generation

    @property
    def wanted(self) -> str:
        """The annotation by which a person wants a fetch now."""
        return str((self.body["metadata"].get("annotations") or {}).get(RECONCILE, ""))[:_MOST_ANNOTATION]

    def is_new(self, handled: str) -> bool:
        return self.wanted not in (self.status.handled, handled)

    async def write(self, **changes: Any) -> None:
        """Nothing where it says the same already. Raises KubeError."""
        status = replace(self.status, **changes)
        before: Mapping[str, Any] = self.body.get("status") or {}
        raw = said.to_raw(status, before, self.generation, self._clock())
        if sum(map(len, raw["inventory"])) > MOST_CHARACTERS:
            raise _TooLargeError("the names of all objects together are too long for one status; use two repositories")
        self.status = status
        if raw == before:
            return
        self.body = await self._kube.replace(RELEASE_REPOSITORIES, {**self.body, "status": raw}, "status")


def _first(work: _Pass) -> tuple[Condition, ...]:
    """While nothing was fetched since the start of this process: what was true of this spec is so still."""
    if work.is_seen and work.status.conditions:
        return work.status.conditions
    return said.working("Fetching", "the repository is being fetched")


def _suspended(status: Status) -> tuple[Condition, ...]:
    was_ready = any(one.type == "Ready" and one.status for one in status.conditions)
    message = f"suspended at commit {said.short(status.applied)}" if status.applied else "suspended"
    return (Condition("Ready", status=was_ready, reason="Suspended", message=message),)


def _nothing(spec: RepositorySpec, rendered: Rendered, report: Report) -> tuple[Condition, ...]:
    where = f"{spec.path} of commit {said.short(rendered.commit)}"
    kept = f"; {len(report.inventory)} objects that came from there are left as they are" if report.inventory else ""
    return said.stalled("NothingThere", f"there is no manifest in {where}{kept}; correct spec.path, or push one")
