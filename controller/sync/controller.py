"""Looks after ReleaseRepositories: decides when to fetch, applies what was fetched, and says what has become of it.

A pass waits for the API server alone. Git has tasks of its own (`fetching.py`), which leave their results for the next
pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from controller.api.conditions import Condition
from controller.api.reading import SpecError
from controller.api.release_repository import RepositorySpec, parse_repository
from controller.api.resources import RELEASE_REPOSITORIES
from controller.api.text import one_line
from controller.backoff import delay_s, spread_s
from controller.effects.git_secret import git_secret
from controller.git.remote import NO_CREDENTIALS, Remote, credentials_of
from controller.kube.applying import Discovery
from controller.kube.client import ConflictError, FencedError, KubeClient, KubeError
from controller.kube.objects import Key
from controller.kube.secrets import SecretError
from controller.ports import Resolve
from controller.runtime.controller import Controller, Event, Request, Result
from controller.sync import status as said
from controller.sync.applying import Applying, Commit, Report
from controller.sync.fetching import Fetches
from controller.sync.inventory import Inventory
from controller.sync.manifests import Failure
from controller.sync.ownership import Owners
from controller.sync.planning import Place, Source
from controller.sync.rendering import Rendered
from controller.sync.status import Status
from controller.sync.writing import Emit, Pass, TooLargeError

_LOG = logging.getLogger(__name__)
_FIRST_RETRY_S = 5.0
_MOST_MESSAGE = 500
_MOST, _MOST_OF_ONE_NAMESPACE = 1_000, 100
"""ReleaseRepositories that are followed."""
_TOO_MANY_AGAIN_S = 60.0
_AWAITED_S, _AWAITED_AGAIN_S = 60.0, 2.0
"""How long pruning waits for the repositories of the same branch."""
_LARGE = 16 << 20
"""Bytes of manifests: of those with more, one is looked at at a time."""
_LARGE_AGAIN_S = 0.5
_DELIVERIES = 100
"""Webhooks that are remembered of each ReleaseRepository."""


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
    deliveries: deque[bytes] = field(default_factory=lambda: deque(maxlen=_DELIVERIES))
    """Webhooks that came, and need not be fetched for again."""
    awaiting: tuple[str, float] = ("", 0.0)
    """The commit with whose pruning this waits for other repositories, and until when."""


class RepositoryController(Controller):
    kind = RELEASE_REPOSITORIES.kind
    watches = (RELEASE_REPOSITORIES,)

    def __init__(
        self,
        kube: KubeClient,
        resolve: Resolve,
        wake: Callable[[Request], None],
        clock: Callable[[], float],
        emit: Emit,
    ) -> None:
        self._emit = emit
        self._kube = kube
        self._wake = wake
        self._clock = clock
        self._discovery = Discovery()
        self._owners = Owners(kube)
        self._large: Key | None = None
        """Whose many manifests are being looked at."""
        self._known: dict[Key, _Known] = {}
        self.fetches = Fetches(resolve, lambda key: wake(request_of(key)))

    def on_event(self, event: Event) -> Iterable[Request]:
        metadata = event.body["metadata"]
        return (request_of(Key(metadata["namespace"], metadata["name"])),)

    async def resync(self, only: str | None) -> Iterable[Request]:
        """What is followed and was not listed, too: a suspended one has no timer that would find it gone."""
        items = await self._kube.list(RELEASE_REPOSITORIES, only)
        listed = [Key(item["metadata"]["namespace"], item["metadata"]["name"]) for item in items]
        return [request_of(key) for key in dict.fromkeys((*listed, *self._known))]

    def followers(self) -> list[tuple[Key, RepositorySpec]]:
        """Whose specs were sound when they were last seen."""
        return [(key, known.spec) for key, known in self._known.items()]

    def poke(self, key: Key, *, delivery: bytes = b"", commit: str = "") -> bool:
        """There may be a new commit. False: a webhook that came before, or whose commit was fetched already; nothing
        is fetched for it.
        """
        known = self._known.get(key)
        if known is None:
            return False
        outcome = self.fetches.outcome(key, _source(known.spec))
        is_fetched = outcome is not None and not outcome.problem
        if is_fetched and (delivery in known.deliveries or (commit and outcome and commit == outcome.commit)):
            return False
        if delivery:
            known.deliveries.append(delivery)
        known.poked = True
        self._wake(request_of(key))
        return True

    async def reconcile(self, request: Request) -> Result:
        key = request.key
        body = await self._kube.find(RELEASE_REPOSITORIES, key.namespace, key.name)
        if body is None or body["metadata"].get("deletionTimestamp"):
            self._known.pop(key, None)
            self.fetches.forget(key)
            return Result()
        work = Pass(self._kube, body, self._clock, self._emit)
        try:
            spec = parse_repository(body.get("spec"))
        except SpecError as error:
            self.fetches.forget(key)
            self._known.pop(key, None)
            await work.write(conditions=said.stalled("Invalid", str(error)))
            return Result()
        if key not in self._known and (problem := self._too_many(key)):
            await work.write(conditions=said.stalled("TooMany", problem))
            return Result(_TOO_MANY_AGAIN_S)
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

    def _too_many(self, key: Key) -> str:
        """Why one more is not followed; empty: it is."""
        if len(self._known) >= _MOST:
            return f"{_MOST} ReleaseRepositories are followed, and no more; delete some, or name larger folders"
        if sum(one.namespace == key.namespace for one in self._known) >= _MOST_OF_ONE_NAMESPACE:
            return (
                f"{_MOST_OF_ONE_NAMESPACE} ReleaseRepositories of namespace {key.namespace} are followed, and no more; "
                "delete some, or name larger folders"
            )
        return ""

    async def _advance(self, key: Key, known: _Known, work: Pass) -> Result:
        source = _source(known.spec)
        outcome = self.fetches.outcome(key, source)
        if outcome is not None and (outcome.number, work.generation) != known.seen:
            known.seen = (outcome.number, work.generation)
            if outcome.problem:
                work.status = replace(work.status, handled=known.handled)
                return await self._failed(known, work, "FetchFailed", outcome.problem)
            if outcome.rendered is not None:
                return await self._applied(key, known, work, outcome.rendered)
            known.due = 0.0  # there was no room to keep it
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
                name = known.spec.secret.name
                credentials = credentials_of(await git_secret(account, key.namespace, name, known.spec.url))
            except SecretError as error:
                return str(error)
        known.poked = False
        self.fetches.start(key, source, Remote(known.spec.url, credentials))
        return ""

    async def _failed(self, known: _Known, work: Pass, reason: str, message: str) -> Result:
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

    async def _applied(self, key: Key, known: _Known, work: Pass, rendered: Rendered) -> Result:
        is_large = rendered.weight > _LARGE
        seen, known.seen = known.seen, (0, 0)  # a pass that fails is made again
        if is_large and self._large not in (None, key):
            return Result(_LARGE_AGAIN_S)
        if rendered.commit != work.status.observed:
            work.say("Fetched", f"commit {said.short(rendered.commit)} has {rendered.objects} objects")
        self._large = key if is_large else self._large
        try:
            report = await self._apply(key, known, work, rendered)
        except KubeError as error:
            if error.status != _FORBIDDEN:
                raise
            known.seen = seen
            return await self._failed(known, work, "Forbidden", str(error))
        except TooLargeError as error:
            known.seen = seen
            return await self._failed(known, work, "TooLarge", str(error))
        finally:
            self._large = None if self._large == key else self._large
        failures = [*rendered.failures, *report.failures]
        conditions = said.said_of(report, rendered.commit, failures)
        if not rendered.objects and not failures:
            conditions = _nothing(known.spec, rendered, report)
        is_whole = not failures and not report.unfinished and not report.awaited
        await work.write(
            observed=rendered.commit,
            applied=rendered.commit if is_whole else work.status.applied,
            handled=known.handled,
            failed=len(failures),
            failures=said.shown(failures),
            inventory=report.inventory,
            conditions=conditions,
        )
        self._tell(key, work, rendered, report)
        known.failed = report.failures if report.unfinished else ()
        if report.unfinished:
            return Result(0.0)
        if report.awaited:
            return Result(_AWAITED_AGAIN_S)
        known.seen = seen
        delay = self._delay(known) if failures else spread_s(known.spec.interval)
        if not failures:
            known.failures = 0
        known.due = asyncio.get_running_loop().time() + delay
        return Result(0.0 if known.poked or work.is_new(known.handled) else delay)

    async def _apply(self, key: Key, known: _Known, work: Pass, rendered: Rendered) -> Report:
        """Raises KubeError, TooLargeError."""

        async def announce(inventory: Inventory) -> None:
            if rendered.commit == work.status.observed and inventory.keys() == work.status.inventory.keys():
                return  # the status names it all
            message = f"applying commit {said.short(rendered.commit)}"
            await work.write(
                observed=rendered.commit, inventory=inventory, conditions=said.working("Applying", message)
            )

        now = asyncio.get_running_loop().time()
        if known.awaiting[0] != rendered.commit:
            known.awaiting = (rendered.commit, now + _AWAITED_S)
        account = self._kube.acting_as(key.namespace, known.spec.account)
        place = Place(key.namespace, key.name, known.spec.prune)
        manifests = await asyncio.to_thread(lambda: rendered.manifests)
        return await Applying(account, self._discovery, self._owners, place).run(
            Commit(rendered.commit, _source(known.spec), manifests, whole=not rendered.failures),
            work.status.inventory,
            announce=announce,
            failed=known.failed,
            patient=now < known.awaiting[1],
        )

    def _tell(self, key: Key, work: Pass, rendered: Rendered, report: Report) -> None:
        """What was done, those that wait for it included."""
        commit = said.short(rendered.commit)
        if report.applied:
            work.say("Applied", f"commit {commit}: {report.applied} objects applied, {len(report.failures)} failed")
        if report.pruned:
            work.say("Pruned", f"commit {commit}: {report.pruned} objects deleted that it no longer has")
        if report.applied or report.pruned:
            _LOG.info("%s: %d applied, %d pruned of %s", key, report.applied, report.pruned, rendered.commit)
        for other in report.moved:
            work.say("Moved", f"commit {commit}: objects left to ReleaseRepository {other}, which has them now")
            if other in self._known:
                self._known[other].seen = (0, 0)
                self._wake(request_of(other))


_FORBIDDEN = 403


def _source(spec: RepositorySpec) -> Source:
    return Source(spec.url, spec.branch, spec.path)


def _first(work: Pass) -> tuple[Condition, ...]:
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
