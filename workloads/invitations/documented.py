"""The OpenAPI document: FastAPI's, with the errors that a route really answers with, and examples of them."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.routing import compile_path

from workloads.invitations.problems import MEDIA_TYPE, Code, Problem, ProblemError, answer

Responses = dict[int | str, dict[str, Any]]

ABOUT = """
Invites friends by text message. Every answer that is not a success is a problem document (RFC 9457) with `code` for
programs, `detail` for people, and a `traceId` to be told when asking for help.
"""
_SCHEMA = f"#/components/schemas/{Problem.__name__}"
_FRAMEWORKS_OWN = ("HTTPValidationError", "ValidationError")


def problems(*codes: Code) -> Responses:
    found: Responses = {}
    for code in codes:
        answer = found.setdefault(code.status, {"description": code.title, "content": {MEDIA_TYPE: {}}})
        content = answer["content"][MEDIA_TYPE]
        content["schema"] = {"$ref": _SCHEMA}
        content.setdefault("examples", {})[code.name] = {"value": _example(code)}
        if code.status in {Code.RATE_LIMITED.status, Code.UNAVAILABLE.status}:
            answer["headers"] = {"Retry-After": header("Seconds after which to try again.", 2)}
    return found


def signed_in(*codes: Code) -> Responses:
    """Of a route that asks who is calling, and the database."""
    return problems(Code.MALFORMED_REQUEST, Code.UNAUTHENTICATED, Code.FORBIDDEN, *codes, Code.UNAVAILABLE)


def header(what: str, example: str | int) -> dict[str, Any]:
    kind = "integer" if isinstance(example, int) else "string"
    return {"description": what, "schema": {"type": kind}, "example": example}


def install(app: FastAPI) -> None:
    """The document is made once, when it is first asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    async def not_allowed(request: Request, problem: Exception) -> Response:
        """Names every method of the path; the router that refused knows those of one route."""
        methods = _methods(document(), request.url.path) or list(getattr(problem, "headers", {}).values())
        refusal = ProblemError(Code.METHOD_NOT_ALLOWED, f"use {' or '.join(methods)}", {"Allow": ", ".join(methods)})
        return answer(refusal, request.scope)

    app.openapi = document  # type: ignore[method-assign]  # as FastAPI documents it
    app.add_exception_handler(Code.METHOD_NOT_ALLOWED.status, not_allowed)


def _methods(document: Mapping[str, Any], path: str) -> list[str]:
    found = [each for template, each in document["paths"].items() if compile_path(template)[0].match(path)]
    return sorted(method.upper() for each in found for method in each)


def _document(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(
        title=app.title, version=app.version, openapi_version="3.1.0", routes=app.routes, description=ABOUT.strip()
    )
    schemas = found["components"]["schemas"]
    schemas[Problem.__name__] = Problem.model_json_schema(by_alias=True)
    for name in _FRAMEWORKS_OWN:  # this service answers 400, and with a problem
        schemas.pop(name, None)
    for path in found["paths"].values():
        for operation in path.values():
            if _is_frameworks(operation["responses"].get("422", {})):
                del operation["responses"]["422"]
    return found


def _is_frameworks(response: Mapping[str, Any]) -> bool:
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    return str(schema.get("$ref", "")).endswith(_FRAMEWORKS_OWN)


def _example(code: Code) -> dict[str, object]:
    return {
        "type": "about:blank",
        "title": code.title,
        "status": code.status,
        "detail": "What is wrong this time, and the way out.",
        "success": False,
        "code": code.name,
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
