"""A worker of jobs of one's own: `run_worker([JobKind("report", read=read, work=make)])`."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from workloads.common import job_settings
from workloads.common.attempt import RefusedError, UnknownKindError, Work
from workloads.common.aws import Aws
from workloads.common.environment import Environment, SettingError
from workloads.common.job import Job
from workloads.common.job_service import serve_jobs
from workloads.common.job_settings import JobSettings
from workloads.common.job_table import Claim
from workloads.common.json_logs import log_as_json
from workloads.common.share_settings import gate
from workloads.common.tracing import Tracing, ids_now

Parameters = TypeVar("Parameters")


@dataclass(frozen=True, slots=True)
class JobKind(Generic[Parameters]):
    name: str
    read: Callable[[Mapping[str, Any]], Parameters]
    """Checks a job's body. Raises ValueError, whose text begins with the name of the field: the job is refused."""
    work: Callable[[Parameters, Job], Awaitable[Mapping[str, Any]]]
    """Does it, and answers what its row shall hold; see `Work` for what it may raise. Twice must have the same effect
    as once: a worker may die before it has written down that it is done.
    """


class KindsWork:
    """A Work: what the job's `kind` says. Where there is but one kind, a message need not name it."""

    def __init__(self, kinds: Sequence[JobKind[Any]]) -> None:
        """Raises ValueError for none, and for two with one name."""
        self._kinds = {kind.name: kind for kind in kinds}
        if not kinds or len(self._kinds) < len(kinds):
            raise ValueError(f"kinds: {[kind.name for kind in kinds]}: give one or more, each with a name of its own")

    async def __call__(self, job: Job, claim: Claim) -> Mapping[str, Any]:
        del claim
        kind = self._kind(job)
        try:
            parameters = kind.read(job.body)
        except ValueError as problem:
            raise RefusedError(str(problem)) from problem
        return await kind.work(parameters, job)

    def _kind(self, job: Job) -> JobKind[Any]:
        name = job.body.get("kind", next(iter(self._kinds)) if len(self._kinds) == 1 else None)
        known = f"kind: {name!r} is none of {', '.join(sorted(self._kinds))}"
        if not isinstance(name, str):
            raise RefusedError(known)
        if name not in self._kinds:
            raise UnknownKindError(known)
        return self._kinds[name]


def run_worker(kinds: Sequence[JobKind[Any]], *, service: str = "worker") -> int:
    """Takes jobs until SIGTERM, then drains; answers the exit code. The environment says where and how: the image
    worker's README lists the variables. Raises ValueError for kinds that cannot be told apart.
    """
    work = KindsWork(kinds)

    @asynccontextmanager
    async def opened(_: Aws, __: Tracing) -> AsyncIterator[Work]:
        yield work

    async def serve(settings: JobSettings, stop: asyncio.Event) -> None:
        async with gate(os.environ) as share:  # outside: the last report comes after the last job
            await serve_jobs(settings, opened, stop=stop, gate=share)

    try:
        variables = Environment(os.environ)
        with variables.all_at_once():
            settings = job_settings.read(variables, service=service)
        log_as_json(settings.identity.tags(), now=ids_now)
        logging.getLogger("botocore").setLevel(logging.WARNING)  # tells of each client where its settings come from
        asyncio.run(until_told(lambda stop: serve(settings, stop)))
    except SettingError as problem:
        print(f"{service}: {problem}", file=sys.stderr)
        return 2
    return 0


async def until_told(serving: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """SIGTERM and SIGINT set the event."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serving(stop)
