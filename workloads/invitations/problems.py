"""Errors as RFC 9457 has them, with `success`, `code` and `traceId` beside: what happened, and what to do about it."""

import json
from collections.abc import Mapping
from enum import Enum

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from workloads.invitations import friend_page, trace
from workloads.invitations.database import BusyError, DatabaseGoneError
from workloads.invitations.jwks import KeysGoneError
from workloads.invitations.tokens import NotAllowedError, TokenError

MEDIA_TYPE = "application/problem+json"
_NOTE = "invitations.problem"
RETRY_S = 2
"""What a caller is told to wait for when something is away."""

_AGAIN = "Try again. With the same Idempotency-Key nothing is done twice"


class Code(Enum):
    """Each with its status and title. Callers branch on the name, so it never changes."""

    MALFORMED_REQUEST = (400, "The request is malformed")
    UNAUTHENTICATED = (401, "Authentication required")
    FORBIDDEN = (403, "Not allowed")
    NOT_FOUND = (404, "Not found")
    METHOD_NOT_ALLOWED = (405, "Method not allowed")
    REQUEST_TIMEOUT = (408, "The request took too long to arrive")
    DUPLICATE_INVITATION = (409, "This phone number has already been invited")
    IDEMPOTENCY_KEY_IN_USE = (409, "The same request is still being processed")
    NOT_ACCEPTABLE_NOW = (409, "The invitation cannot be accepted")
    GONE = (410, "The invitation is over")
    BODY_TOO_LARGE = (413, "The request is too large")
    UNSUPPORTED_MEDIA_TYPE = (415, "Unsupported content type")
    INVALID_PHONE_NUMBER = (422, "This phone number cannot be invited")
    IDEMPOTENCY_KEY_REUSED = (422, "The idempotency key belongs to another request")
    RATE_LIMITED = (429, "Too many invitations in 24 hours")
    TOO_MANY_ATTEMPTS = (429, "Too many wrong codes")
    INTERNAL_ERROR = (500, "Internal error")
    UNAVAILABLE = (503, "The service is unavailable")
    PROVIDER_FAILED = (503, "The message could not be sent")

    @property
    def status(self) -> int:
        return self.value[0]

    @property
    def title(self) -> str:
        return self.value[1]


class Problem(BaseModel):
    """How every error looks (RFC 9457)."""

    model_config = ConfigDict(title="Problem", extra="forbid")

    type: str = Field(description="Always `about:blank`: `code` says which it is.", examples=["about:blank"])
    title: str = Field(examples=["This phone number has already been invited"])
    status: int = Field(ge=400, le=599, examples=[409])
    detail: str = Field(description="What is wrong this time, and the way out.")
    success: bool = Field(description="Always false.", examples=[False])
    code: str = Field(description="For programs; never changes.", examples=["DUPLICATE_INVITATION"])
    trace_id: str = Field(alias="traceId", pattern="^[0-9a-f]{32}$", description="To be told when asking for help.")


class ProblemError(Exception):
    def __init__(self, code: Code, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.headers = headers or {}


def response(problem: ProblemError, trace_id: str) -> Response:
    code = problem.code
    body = {
        "type": "about:blank",
        "title": code.title,
        "status": code.status,
        "detail": problem.detail,
        "success": False,
        "code": code.name,
        "traceId": trace_id,
    }
    return Response(
        json.dumps(body, ensure_ascii=False).encode(),
        status_code=code.status,
        headers={**problem.headers, "Cache-Control": "no-store"},
        media_type=MEDIA_TYPE,
    )


def unavailable(what: str) -> ProblemError:
    return ProblemError(Code.UNAVAILABLE, what, {"Retry-After": str(RETRY_S)})


def _of(problem: Exception) -> ProblemError:
    match problem:
        case ProblemError():
            return problem
        case RequestValidationError():
            return ProblemError(Code.MALFORMED_REQUEST, _what_is_malformed(problem))
        case TokenError():
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            return ProblemError(Code.UNAUTHENTICATED, str(problem), challenge)
        case NotAllowedError():
            challenge = {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
            return ProblemError(Code.FORBIDDEN, str(problem), challenge)
        case BusyError():
            return unavailable(f"{problem}. {_AGAIN}")
        case DatabaseGoneError():
            return unavailable(f"the database does not answer. {_AGAIN}")
        case KeysGoneError():
            return unavailable("tokens cannot be checked: their issuer does not answer")
        case HTTPException(status_code=404):
            return ProblemError(Code.NOT_FOUND, "nothing is at this path. /openapi.json lists what there is")
        case HTTPException(status_code=400):
            return ProblemError(Code.MALFORMED_REQUEST, "body: is not valid JSON")
        case _:
            return ProblemError(Code.INTERNAL_ERROR, "the error was logged. Quote the traceId when you ask for help")


def _what_is_malformed(problem: RequestValidationError) -> str:
    """Names the field, and does not repeat what was in it."""
    first = problem.errors()[0]
    place = ".".join(str(each) for each in first["loc"])
    return f"{place}: {first['msg']}"


def answer(problem: ProblemError, scope: trace.Scope) -> Response:
    """Leaves a note of it for those who count."""
    scope[_NOTE] = problem.code
    if f"{scope['path']}/".startswith(friend_page.PATHS):  # a link may lose its end
        return friend_page.of_problem(problem.code.status, problem.headers)
    return response(problem, trace.of(scope).trace_id)


def noted(scope: trace.Scope) -> Code | None:
    """What a request was answered with, if with a problem."""
    return scope.get(_NOTE)


async def _answer(request: Request, problem: Exception) -> Response:
    return answer(_of(problem), request.scope)


_HANDLED = (
    ProblemError,
    RequestValidationError,
    TokenError,
    NotAllowedError,
    DatabaseGoneError,
    KeysGoneError,
    HTTPException,
    Exception,
)


def install(app: FastAPI) -> None:
    """Every error of this application looks like a Problem."""
    for kind in _HANDLED:
        app.add_exception_handler(kind, _answer)
