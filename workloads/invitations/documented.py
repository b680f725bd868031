"""Which errors a route may answer with, for the OpenAPI document."""

from typing import Any

from workloads.invitations.problems import MEDIA_TYPE, Code, Problem

Responses = dict[int | str, dict[str, Any]]


def problems(*codes: Code) -> Responses:
    found: Responses = {}
    for code in codes:
        answer = found.setdefault(code.status, {"description": code.title, "content": {MEDIA_TYPE: {}}})
        content = answer["content"][MEDIA_TYPE]
        content["schema"] = {"$ref": f"#/components/schemas/{Problem.__name__}"}
        content.setdefault("examples", {})[code.name] = {"value": _example(code)}
    return found


def signed_in(*codes: Code) -> Responses:
    """Of a route that asks who is calling, and the database."""
    return problems(Code.MALFORMED_REQUEST, Code.UNAUTHENTICATED, Code.FORBIDDEN, *codes, Code.UNAVAILABLE)


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
