"""What one process holds, made once by `app.create`; routers get it from their request."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from fastapi import FastAPI, Request

from workloads.invitations.background import Trouble
from workloads.invitations.database import Database
from workloads.invitations.inviting import Inviting
from workloads.invitations.numbers import Rules
from workloads.invitations.privacy import Privacy
from workloads.invitations.readiness import Readiness
from workloads.invitations.sending.running import Sending
from workloads.invitations.settings import Settings
from workloads.invitations.throttle import Throttle
from workloads.invitations.tokens import Tokens

Clock = Callable[[], int]
"""Milliseconds since 1970."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Parts:
    settings: Settings
    database: Database
    privacy: Privacy
    tokens: Tokens
    numbers: Rules
    inviting: Inviting
    throttle: Throttle
    sending: Sending | None
    """None: this process sends nothing."""
    readiness: Readiness
    trouble: Trouble
    clock: Clock


def put(app: FastAPI, parts: Parts) -> None:
    app.state.parts = parts


def parts_of(request: Request) -> Parts:
    return cast("Parts", request.app.state.parts)
