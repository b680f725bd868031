"""The application: which routers there are, and what runs beside them."""

import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from workloads.common.aws import Aws
from workloads.common.faults import Fates
from workloads.common.share_settings import gate
from workloads.invitations import api, api_friends, documentation, documented, health, landing, page, problems
from workloads.invitations.background import Trouble, running
from workloads.invitations.bounded import Bounded
from workloads.invitations.database import Database
from workloads.invitations.faulty import Faulty
from workloads.invitations.headless import Headless
from workloads.invitations.intake import Intake
from workloads.invitations.inviting import Inviting
from workloads.invitations.jwks import Jwks
from workloads.invitations.numbers import Rules
from workloads.invitations.observed import NO_PROBES, PROBES, Observed
from workloads.invitations.opening import open_database
from workloads.invitations.outbox import Relay
from workloads.invitations.parts import Clock, Parts, now_ms, put
from workloads.invitations.privacy import Privacy
from workloads.invitations.purging import Purging
from workloads.invitations.readiness import Readiness
from workloads.invitations.sending import callbacks, replies
from workloads.invitations.sending.running import sending
from workloads.invitations.sending.settings import ProviderName
from workloads.invitations.settings import Delivery, Role, Settings
from workloads.invitations.telemetry import Telemetry
from workloads.invitations.throttle import Throttle
from workloads.invitations.tokens import FindKey, Tokens, Trust

_FOR_SCRIPTS: dict[str, Any] = {
    "allow_methods": ["GET", "POST"],
    "allow_headers": ["Authorization", "Content-Type", "Idempotency-Key", "traceparent"],
    "expose_headers": ["Location", "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"],
    "max_age": 3600,
}
"""No credentials: a token comes in a header, and there are no cookies."""


def create(settings: Settings, *, clock: Clock = now_ms) -> FastAPI:
    """Opens nothing before it is started (lifespan)."""

    telemetry = Telemetry(settings, clock)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with telemetry.running(os.environ), _parts(settings, telemetry, clock) as parts:
            put(app, parts)
            async with contextlib.AsyncExitStack() as stack:
                if settings.serving.probe_port:
                    await stack.enter_async_context(
                        health.listening(parts, settings.serving.host, settings.serving.probe_port)
                    )
                yield

    # FastAPI's own pages fetch scripts from elsewhere; documentation.py has one that does not.
    app = FastAPI(
        title="Invitations", version="1", lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    for each in (api, api_friends, landing, callbacks, replies, page):
        app.include_router(each.router)
    if not settings.serving.probe_port:
        app.include_router(health.router)
    problems.install(app)
    app.add_middleware(Headless)
    app.add_middleware(Faulty, fates=Fates(settings.faults, settings.seed))
    probes = NO_PROBES if settings.serving.probe_port else PROBES
    serving = settings.serving
    app.add_middleware(Bounded, at_once=serving.at_once, begun=serving.begun, wait_s=serving.turn_s, probes=probes)
    # Outside of the bound: a body that does not come must take nobody's place.
    app.add_middleware(Intake, body_bytes=settings.serving.body_bytes, read_s=settings.serving.read_s)
    if settings.serving.origins:
        app.add_middleware(CORSMiddleware, allow_origins=sorted(settings.serving.origins), **_FOR_SCRIPTS)
    app.add_middleware(Observed, telemetry=telemetry, revision=settings.identity.revision, probes=probes)
    documented.install(app)
    documentation.install(app, server=settings.public_url)
    return app


@contextlib.asynccontextmanager
async def _parts(settings: Settings, telemetry: Telemetry, clock: Clock) -> AsyncIterator[Parts]:
    async with contextlib.AsyncExitStack() as stack:
        database = await open_database(settings.database_url, settings.pooling)
        stack.push_async_callback(database.close)
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        privacy = Privacy(settings.keys)
        trouble = await stack.enter_async_context(_beside(settings, database, telemetry, clock))
        share = await stack.enter_async_context(gate(os.environ))
        hooks = telemetry.hooks(share)
        sends = await stack.enter_async_context(sending(settings, database, clock=clock, hooks=hooks))
        yield Parts(
            settings=settings,
            database=database,
            privacy=privacy,
            tokens=Tokens(settings.trust, _finder(settings.trust, client), clock=lambda: clock() / 1000),
            numbers=Rules(
                settings.regions,
                test_range=settings.provider is ProviderName.SANDBOX,
                default_region=settings.default_region,
            ),
            inviting=Inviting(database, privacy, settings.limits, settings.quiet_hours),
            throttle=Throttle(clock),
            sending=sends,
            readiness=Readiness(database),
            trouble=lambda: trouble() or (sends.trouble() if sends else ""),
            clock=clock,
        )


@contextlib.asynccontextmanager
async def _beside(settings: Settings, database: Database, telemetry: Telemetry, clock: Clock) -> AsyncIterator[Trouble]:
    """What answers no requests."""
    async with contextlib.AsyncExitStack() as stack:
        endless = {}
        if telemetry.clients is not None:
            endless["clients"] = telemetry.clients.run(database)
        if Role.RELAY in settings.roles:
            endless["purging"] = Purging(database, settings.limits, clock=clock).run()
        if Role.RELAY in settings.roles and settings.delivery is Delivery.QUEUE:
            aws = await stack.enter_async_context(Aws())
            relay = Relay(database, aws, settings.queue_url, clock=clock)
            telemetry.own.lag = lambda: relay.lag_s
            endless["relay"] = relay.run()
        yield await stack.enter_async_context(running(endless))


def _finder(trust: Trust, client: httpx.AsyncClient) -> FindKey:
    if trust.jwks_url:
        return Jwks(trust.jwks_url, client).key

    async def known(_: str) -> str:
        return trust.secret or trust.public_key

    return known
