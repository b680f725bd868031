"""What a kubelet asks."""

from fastapi import APIRouter, Request, Response

from workloads.invitations import schema
from workloads.invitations.database import DatabaseGoneError
from workloads.invitations.parts import parts_of

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def alive(request: Request) -> Response:
    """Not when something that runs beside the requests has ended."""
    if trouble := parts_of(request).trouble():
        return Response(f"{trouble}\n", status_code=503, media_type="text/plain")
    return Response("ok\n", media_type="text/plain")


@router.get("/readyz")
async def ready(request: Request) -> Response:
    """Not while the database is away, as another pod may reach it; nor before it is migrated."""
    try:
        migrated = await schema.is_there(parts_of(request).database)
    except DatabaseGoneError as problem:
        return Response(f"the database does not answer: {problem}\n", status_code=503, media_type="text/plain")
    if not migrated:
        return Response(f"the schema is older than {schema.NEEDED}\n", status_code=503, media_type="text/plain")
    return Response("ok\n", media_type="text/plain")
