"""The application: which routers there are, and what runs beside them."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from workloads.invitations import api, health
from workloads.invitations.opening import open_database
from workloads.invitations.parts import Clock, Parts, now_ms, put
from workloads.invitations.privacy import Privacy
from workloads.invitations.settings import Settings


def create(settings: Settings, *, clock: Clock = now_ms) -> FastAPI:
    """Opens nothing before it is started (lifespan)."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = await open_database(settings.database_url, settings.pooling)
        try:
            put(app, Parts(settings=settings, database=database, privacy=Privacy(settings.keys), clock=clock))
            yield
        finally:
            await database.close()

    # Their pages fetch scripts from elsewhere; documentation.py has one of its own.
    app = FastAPI(title="Invitations", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    for router in (health.router, api.router):
        app.include_router(router)
    return app
