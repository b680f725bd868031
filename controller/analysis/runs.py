"""AnalysisRuns: the record of each attempt, look by look, in pages.

Looks are written when something hangs on them (a verdict, a weight that changed) and otherwise every quarter of a
minute: after a crash the windows since then are asked for again, with the same bounds, and give the same counts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from controller.analysis import checkpoints, large_looks
from controller.analysis.record import (
    PAGE,
    PREVIEW,
    MalformedRunError,
    Run,
    age,
    is_full,
    is_page,
    look_to_raw,
    page_name,
    run_name,
    run_of,
    turns_of,
)
from controller.analysis.schedule import quiet_s
from controller.api import times
from controller.api.names import API_VERSION, ATTEMPT_LABEL, RELEASE_LABEL
from controller.api.pod_evidence import RejectedVersion
from controller.api.resources import ANALYSIS_RUNS
from controller.kube.client import ConflictError, KubeClient, NotFoundError
from controller.kube.objects import Key, child_metadata
from controller.stats.counts import Look
from controller.stats.method import AnalysisPlan, plan_to_raw

KEPT_RUNS = 5
_NOTHING_COMPARED = AnalysisPlan(alpha=0.01, min_bad_units=1, metrics=())
"""An alpha that `replay` takes; nothing is spent of it."""


Beginning = tuple[AnalysisPlan, Mapping[str, float]]
"""How an attempt is judged, and the units per second of each metric before the canary came."""


class RunStore:
    """Keeps the runs that are open; all of it can be read again from the API server."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._open: dict[Key, Run] = {}
        self._closed: dict[Key, str] = {}
        """Names of runs that were closed, until a pass says that their attempt goes on."""
        self._judged_here: dict[Key, tuple[str, int]] = {}
        """The last look that this process wrote down before it judged it, by its run's name and its number."""

    def known(self, key: Key) -> Run | None:
        """The run in memory, without asking anybody."""
        return self._open.get(key)

    @staticmethod
    def is_over(run: Run) -> bool:
        return run.closed

    def reopen(self, key: Key) -> None:
        """The attempt goes on: what closed its run was not written to the status."""
        self._closed.pop(key, None)

    def forget(self, key: Key) -> None:
        self._open.pop(key, None)
        self._closed.pop(key, None)
        self._judged_here.pop(key, None)

    async def open(
        self,
        key: Key,
        name: str,
        *,
        subject: Mapping[str, Any],
        began: float,
        started: float,
        owner: Mapping[str, Any] | None,
        begin: Callable[[], Awaitable[Beginning]],
    ) -> Run:
        """The run of this name: the one in memory, the one that is written, or a new one. Raises KubeError, and what
        `begin` raises.

        `began`: since when this canary is one; a run that started before is not its.
        """
        known = self._open.get(key)
        if known is not None and known.name == name:
            return known
        pages = await _read_pages(self._kube, key, name)
        if pages and times.from_text(pages[0]["spec"]["startedAt"]) < began:
            # of a Release of this name that was deleted and made again: its counts convict nobody here
            for page in pages:
                await self._kube.delete(ANALYSIS_RUNS, key.namespace, page["metadata"]["name"], seen=page)
            pages = []
        if not pages:
            plan, baseline_rates = await begin()
            rates = {metric: round(rate, 3) for metric, rate in baseline_rates.items()}
            spec = {**subject, "startedAt": times.to_text(started), "usual": rates, "method": plan_to_raw(plan)}
            pages = [await self._create(key, name, spec, 0, owner)]
        run = run_of(key, name, pages)
        if run.judging is not None and self._judged_here.get(key) != (name, run.judging.number):
            large_looks.leave_out(run)
        if self._closed.get(key) == name:
            run.closed = True  # meanwhile
        else:
            self._open[key] = run
        return run

    async def written(self, key: Key, name: str) -> Run | None:
        """As the API server has it, to learn from; None where it cannot be read. Raises KubeError."""
        pages = await _read_pages(self._kube, key, name)
        run = _judged(key, name, pages) if pages else None
        return run if isinstance(run, Run) else None

    async def _create(
        self,
        key: Key,
        name: str,
        spec: Mapping[str, Any],
        page: int,
        owner: Mapping[str, Any] | None,
        **status: object,
    ) -> dict[str, Any]:
        labels = {ATTEMPT_LABEL: str(spec["attempt"])}
        body = {
            "apiVersion": API_VERSION,
            "kind": ANALYSIS_RUNS.kind,
            "metadata": child_metadata(key, page_name(name, page), labels, owner),
            "spec": {**spec, "page": page},
            "status": {"verdict": "undecided", "looks": [], **status},
        }
        return await self._kube.create(ANALYSIS_RUNS, key.namespace, body)

    async def write_ahead(self, run: Run, look: Look) -> None:
        """Writes the look down before it is judged, with all before it. Raises KubeError, as `save` does."""
        self._judged_here[run.key] = run.name, look.number
        async with run.writing:
            run.judging = look
            await self._save_pages(run)

    def add(self, run: Run, look: Look) -> None:
        run.turns += turns_of([*run.looks[-1:], look])
        run.looks.append(look)
        run.judge.add(look)
        run.judging = None
        if len(run.looks) % PAGE == 0:
            run.states[len(run.looks) // PAGE - 1] = checkpoints.packed(run.judge)

    async def save(self, run: Run, now: float, *, force: bool) -> None:
        """Writes what is new, when it is time. Raises KubeError; a ConflictError means another one writes too."""
        async with run.writing:
            force = force or "judging" in run.pages[-1].get("status", {})  # judged now, as the record has to say
            if run.written == len(run.looks) or not (force or now - run.written_at >= quiet_s(len(self._open))):
                return
            await self._save_pages(run)
            run.written_at = now

    async def _save_pages(self, run: Run) -> None:
        try:
            await self._save_page(run)
            while run.written < len(run.looks):
                await self._save_page(run)
        except ConflictError:
            self._open.pop(run.key, None)
            raise

    async def _save_page(self, run: Run) -> None:
        number = run.written // PAGE
        until = min(len(run.looks), (number + 1) * PAGE)
        if number >= len(run.pages):
            first = run.pages[0]
            spec = {name: value for name, value in first["spec"].items() if name != "page"}
            owner = next(iter(first["metadata"].get("ownerReferences", [])), None)
            run.pages.append(await self._create(run.key, run.name, spec, number, owner))
        page = run.pages[number]
        nearest = run.judge.evidence().nearest
        page["status"] = {
            **{name: value for name, value in page.get("status", {}).items() if name != "judging"},
            "looks": [look_to_raw(look, run.left_out.get(look.number)) for look in run.looks[number * PAGE : until]],
            "total": until,
            "late": dict(run.late),
            "audited": run.audited,
            "evidence": nearest.sentence() if nearest is not None else "",
        }
        if run.judging is not None:
            page["status"]["judging"] = look_to_raw(run.judging)
        if controls := run.judge.controls():
            page["status"]["controls"] = controls
        if run.states.get(number):
            page["status"]["state"] = run.states[number]
        run.pages[number] = await self._kube.replace(ANALYSIS_RUNS, page)
        run.states.pop(number, None)
        run.written = until

    async def close(self, key: Key, name: str, verdict: str, message: str) -> None:
        """Writes the verdict on the first page, where people look; twice is harmless."""
        run = self._open.pop(key, None)
        if run is not None and name == f"{run.name}{PREVIEW}":
            name = run.name  # it has begun after the switch, and no pass has named it yet
        self._closed[key] = name
        if run is not None:
            run.closed = True
        first: Mapping[str, Any] | None
        if run is not None and run.name == name:
            await self.save(run, 0.0, force=True)
            first = run.pages[0]
        else:
            first = await self._kube.find(ANALYSIS_RUNS, key.namespace, name)
        if first is None:
            return
        # the version goes along: another one may have judged meanwhile
        version = {"resourceVersion": first["metadata"]["resourceVersion"]}
        patch = {"metadata": version, "status": {"verdict": verdict, "message": message[:1024]}}
        try:
            await self._kube.patch(ANALYSIS_RUNS, key.namespace, name, patch)
        except NotFoundError:
            return
        await self._forget_old(key)

    async def has_pod_evidence(self, namespace: str, name: str, rejected: RejectedVersion) -> bool:
        """Of this rejection: an older Release of the same name may have left a run of the same name."""
        key = Key(namespace, name)
        page = await self._kube.find(ANALYSIS_RUNS, namespace, _run_of(key, rejected))
        kept = None if page is None else page.get("status", {}).get("podEvidence")
        return kept is not None and times.from_text(kept["at"]) >= rejected.at

    async def keep_pod_evidence(
        self,
        namespace: str,
        name: str,
        rejected: RejectedVersion,
        evidence: Mapping[str, Any],
        *,
        owner: Mapping[str, Any] | None,
    ) -> None:
        """On the first page, where people look. An attempt that measured nothing has no run, and gets one."""
        key = Key(namespace, name)
        run = _run_of(key, rejected)
        page = await self._kube.find(ANALYSIS_RUNS, namespace, run)
        if page is not None:
            version = {"resourceVersion": page["metadata"]["resourceVersion"]}
            await self._kube.patch(
                ANALYSIS_RUNS, namespace, run, {"metadata": version, "status": {"podEvidence": dict(evidence)}}
            )
            return
        spec = {
            "release": name,
            **({"stableRevision": rejected.stable} if rejected.stable else {}),
            "canaryRevision": rejected.revision,
            "attempt": rejected.attempt,
            "startedAt": times.to_text(rejected.at),
            "method": plan_to_raw(_NOTHING_COMPARED),
        }
        said = {"verdict": rejected.verdict, "message": rejected.message[:1024], "podEvidence": dict(evidence)}
        await self._create(key, run, spec, 0, owner, **said)
        await self._forget_old(key)

    async def controls(self, key: Key) -> Mapping[str, str]:
        """What stable's halves have said of each other so far (see stats/overdispersion.py)."""
        pages = await self._pages_of(key)
        pages.sort(key=age)
        found: dict[str, str] = {}
        for page in pages:  # a metric that was left out for an attempt keeps what is known of it
            found |= page.get("status", {}).get("controls", {})
        return found

    async def _pages_of(self, key: Key) -> list[dict[str, Any]]:
        """Of all its runs, without what somebody copied with our labels."""
        pages = await self._kube.list(ANALYSIS_RUNS, key.namespace, labels=f"{RELEASE_LABEL}={key.name}")
        return [page for page in pages if is_page(key, page)]

    async def _forget_old(self, key: Key) -> None:
        pages = await self._pages_of(key)
        pages.sort(key=age, reverse=True)
        attempts = list(dict.fromkeys(map(_attempt, pages)))
        for page in pages:
            if _attempt(page) not in attempts[:KEPT_RUNS]:
                await self._kube.delete(ANALYSIS_RUNS, key.namespace, page["metadata"]["name"], seen=page)


def _attempt(page: Mapping[str, Any]) -> tuple[int, str]:
    return int(page["spec"]["attempt"]), str(page["spec"]["canaryRevision"])


def _run_of(key: Key, rejected: RejectedVersion) -> str:
    return rejected.run or run_name(key, rejected.revision, rejected.attempt)


class RunReader:
    """Reads a run again and again, as a live view does: full pages never change, so they are read once, and the run is
    judged again when the last one has changed.
    """

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._name = ""
        self._pages: list[dict[str, Any]] = []
        self._run: Run | MalformedRunError | None = None

    async def read(self, key: Key, name: str) -> Run | None:
        """As it is written, judged again; None where there is none. Raises KubeError, MalformedRunError."""
        known = self._pages if name == self._name else []
        pages = await _read_pages(self._kube, key, name, [page for page in known if is_full(page)])
        if not known or _versions(pages) != _versions(known):
            self._run = _judged(key, name, pages) if pages else None
        self._name, self._pages = name, pages
        if isinstance(self._run, MalformedRunError):
            raise self._run
        return self._run


def _judged(key: Key, name: str, pages: list[dict[str, Any]]) -> Run | MalformedRunError:
    try:
        return run_of(key, name, pages)
    except MalformedRunError as error:
        return error


async def _read_pages(
    kube: KubeClient, key: Key, name: str, known: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """`known`: the first pages, all of them full."""
    pages = list(known)
    while not pages or is_full(pages[-1]):
        page = await kube.find(ANALYSIS_RUNS, key.namespace, page_name(name, len(pages)))
        if page is None:
            break
        pages.append(page)
    return pages


def _versions(pages: Sequence[Mapping[str, Any]]) -> list[str]:
    return [page["metadata"]["resourceVersion"] for page in pages]
