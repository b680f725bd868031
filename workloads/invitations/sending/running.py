"""Sending, put together: one sender a process, and beside it what takes jobs from the queue and finds lost messages."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from workloads.common.attempt import Around, nothing_around
from workloads.common.attempts import Attempts
from workloads.common.aws import Aws
from workloads.common.consumer import Consumer
from workloads.common.ending import log_defect
from workloads.common.gate import Gate, Open
from workloads.common.job_events import Watcher
from workloads.common.job_queue import JobQueue
from workloads.common.job_table import JobTable
from workloads.common.stages import Observer, unobserved
from workloads.invitations.background import Trouble, running
from workloads.invitations.database import Database
from workloads.invitations.privacy import Privacy
from workloads.invitations.sending.breaker import Breaker
from workloads.invitations.sending.port import Outcome, Provider
from workloads.invitations.sending.providers import opened
from workloads.invitations.sending.reconcile import Reconciler
from workloads.invitations.sending.sender import Sender
from workloads.invitations.sending.settings import SenderSettings
from workloads.invitations.sending.wording import Wording
from workloads.invitations.settings import Delivery, Role, Settings

_WAITED_FOR = 32
"""Calls at a time of requests that wait for the provider."""
_STUCK_S = 60.0


def unheard(outcome: Outcome) -> None:
    del outcome


@dataclass(frozen=True, slots=True)
class Hooks:
    """What may be hung into the sender: a canary's share, counts, spans, and a test's eye."""

    gate: Gate = field(default_factory=Open)
    watchers: Sequence[Watcher] = ()
    around: Around = nothing_around
    told: Callable[[Outcome], None] = unheard
    observer: Observer = unobserved


@dataclass(frozen=True, slots=True)
class Sending:
    sender: Sender
    """Requests may wait for it too."""
    reconciler: Reconciler
    trouble: Callable[[], str]
    """Why the process should be started again, "" for no reason."""


@contextlib.asynccontextmanager
async def sending(
    settings: Settings, database: Database, *, clock: Callable[[], int], hooks: Hooks | None = None
) -> AsyncIterator[Sending | None]:
    """None for a process that sends nothing. The end drains: it takes as long as a poll may last, and then a job."""
    hooks = hooks or Hooks()
    waited_for = settings.delivery is Delivery.SYNCHRONOUS and Role.API in settings.roles
    role = settings.sender
    if role is None and not waited_for:
        yield None
        return
    wording = Wording(Privacy(settings.keys), settings.app_name, settings.public_url)
    async with (
        opened(settings.sending, calls=role.capacity.slots if role else _WAITED_FOR) as provider,
        _reconciling(settings, database, provider, wording, clock=clock) as (reconciler, without_it),
    ):
        sender = Sender(
            database=database,
            provider=provider,
            breaker=Breaker(settings.sending.limits),
            wording=wording,
            quiet_hours=settings.quiet_hours,
            clock=clock,
            told=hooks.told,
        )
        if role is None:
            yield Sending(sender, reconciler, without_it)
            return
        async with _consuming(settings, role, sender, hooks) as trouble:
            yield Sending(sender, reconciler, lambda: trouble() or without_it())


@contextlib.asynccontextmanager
async def _consuming(
    settings: Settings, role: SenderSettings, sender: Sender, hooks: Hooks
) -> AsyncIterator[Callable[[], str]]:
    async with Aws(poll_s=role.wait_s, calls=4 + 2 * role.capacity.slots) as aws:
        queue = JobQueue(
            aws,
            settings.queue_url,
            dead_letters=settings.dead_letter_queue_url,
            wait_s=role.wait_s,
            visibility_s=round(role.rules.visibility),
            renew_after=role.rules.max_attempts + 2,
        )
        identity = settings.identity
        owner = f"{identity.pod}/{os.getpid()}"
        attempts = Attempts(
            queue=queue,
            table=JobTable(aws, role.jobs, owner=owner, revision=identity.revision, terms=role.terms),
            work=sender,
            gate=hooks.gate,
            rules=role.rules,
            watchers=hooks.watchers,
            around=hooks.around,
            observer=hooks.observer,
        )
        consumer = Consumer(queue=queue, attempts=attempts, gate=hooks.gate, capacity=role.capacity)
        stop = asyncio.Event()
        consuming = asyncio.create_task(consumer.run(stop), name="the consumer of jobs")
        consuming.add_done_callback(log_defect)

        def trouble() -> str:
            if consuming.done():
                return "nothing takes jobs from the queue any more"
            if (seconds := consumer.polls_for()) > role.wait_s + _STUCK_S:
                return f"a poll hangs for {seconds:.0f} s"
            return ""

        try:
            yield trouble
        finally:
            stop.set()
            await consuming


@contextlib.asynccontextmanager
async def _reconciling(
    settings: Settings, database: Database, provider: Provider, wording: Wording, *, clock: Callable[[], int]
) -> AsyncIterator[tuple[Reconciler, Trouble]]:
    search = settings.sending.search
    reconciler = Reconciler(database=database, provider=provider, wording=wording, search=search, clock=clock)
    async with running({"reconciling": reconciler.run()}) as trouble:
        yield reconciler, trouble
