"""What a kubelet asks: on a port that no gateway knows, where PROBE_PORT says one."""

import contextlib
from asyncio import create_task
from collections.abc import AsyncIterator, Iterator

import uvicorn
from fastapi import APIRouter, Request, Response
from starlette.applications import Starlette
from starlette.routing import Route

from workloads.invitations.parts import Parts, parts_of

router = APIRouter(include_in_schema=False)


def alive(parts: Parts) -> Response:
    """Not when something that runs beside the requests has ended."""
    return _answer(parts.trouble())


async def ready(parts: Parts) -> Response:
    return _answer(await parts.readiness.trouble())


def _answer(trouble: str) -> Response:
    return Response(f"{trouble or 'ok'}\n", status_code=503 if trouble else 200, media_type="text/plain")


@router.get("/healthz")
async def _alive(request: Request) -> Response:
    return alive(parts_of(request))


@router.get("/readyz")
async def _ready(request: Request) -> Response:
    return await ready(parts_of(request))


@contextlib.asynccontextmanager
async def listening(parts: Parts, host: str, port: int) -> AsyncIterator[None]:
    """For as long as there are parts."""

    async def lives(_: Request) -> Response:
        return alive(parts)

    async def is_ready(_: Request) -> Response:
        return await ready(parts)

    app = Starlette(routes=[Route("/healthz", lives), Route("/readyz", is_ready)])
    server = _WithoutSignals(
        uvicorn.Config(
            app, host=host, port=port, log_config=None, access_log=False, server_header=False, ws="none", lifespan="off"
        )
    )
    serving = create_task(server.serve())
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True
        await serving


class _WithoutSignals(uvicorn.Server):
    """The service's own server takes them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
