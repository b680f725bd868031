"""An invitation service for tests: its settings, its callers, and itself on a port of this machine."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import jwt

from hack.node.process import free_port
from tests.e2e.patience import until
from workloads.invitations import optouts
from workloads.invitations.__main__ import server
from workloads.invitations.database import Session
from workloads.invitations.parts import now_ms
from workloads.invitations.privacy import Keys, Privacy
from workloads.invitations.settings import read

SECRET = "a secret that is only good for tests, of 32 bytes or more"  # noqa: S105
KEY = base64.b64encode(bytes(range(32))).decode()

PATIENT = {"DATABASE_WAIT_SECONDS": "30", "DATABASE_LOCK_SECONDS": "30"}
"""For a hundred that wait for one another: what is asked is who is right, and not how fast the machine is."""


def environment(database_url: str, **more: str) -> Mapping[str, str]:
    """Variables of an API with the sandbox provider."""
    return {
        "DATABASE_URL": database_url,
        "PROVIDER": "sandbox",
        "JWT_SECRET": SECRET,
        "PHONE_KEYS": f"k1:{KEY}",
        "PHONE_HASH_KEY": KEY,
        "ROLES": "api",
        "QUIET_HOURS": "none",  # tests run at night, too
        "HOST": "127.0.0.1",
        **more,
    }


def token(user: str, *, secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode(
        {"sub": user, "name": "John", "exp": time.time() + 30 * 86400, **claims}, secret, algorithm=algorithm
    )


def phone(number: int) -> str:
    """Of the test range: `+1555` and seven digits."""
    return f"+1555{number:07d}"


class Watch:
    """A clock that tests set: milliseconds since 1970."""

    def __init__(self) -> None:
        self.now = now_ms()

    def __call__(self) -> int:
        return self.now

    def move(self, **spans: float) -> None:
        seconds = {"seconds": 1, "hours": 3600, "days": 86400}
        self.now += round(sum(count * seconds[unit] * 1000 for unit, count in spans.items()))


@dataclass(frozen=True)
class Service:
    client: httpx.AsyncClient
    watch: Watch
    database_url: str

    async def invite(self, user: str, number: str, *, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self.client.post(
            "/api/invitations", json={"phoneNumber": number}, headers={**signed_in(user), **(headers or {})}
        )

    async def get(self, path: str, user: str, **more: Any) -> httpx.Response:
        return await self.client.get(path, headers=signed_in(user), **more)


def problem(answer, status, code):
    """What every error looks like; its detail."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "success", "code", "traceId"}
    assert (body["status"], body["code"], body["success"]) == (status, code, False)
    return body["detail"]


def signed_in(user: str, **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(user, **claims)}"}


@contextlib.asynccontextmanager
async def serving(variables: Mapping[str, str]) -> AsyncIterator[Service]:
    """A real server in this process."""
    port = free_port()
    watch = Watch()
    running = server(read({**variables, "PORT": str(port)}), clock=watch)
    task = asyncio.create_task(running.serve())
    try:
        await until(lambda: running.started or task.done(), "the service serves", seconds=20)
        limits = httpx.Limits(max_connections=None)
        address = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=20, limits=limits) as client:
            yield Service(client, watch, variables["DATABASE_URL"])
    finally:
        running.should_exit = True
        await task


async def stop_link(database: Session, code: str) -> str:
    """The address of the form that the link of a text message leads to."""
    async with database.transaction() as rows:
        (row,) = await rows.fetch("SELECT invitation_id FROM invitations WHERE invite_code = $1", code)
    keys = Keys({"k1": base64.b64decode(KEY)}, base64.b64decode(KEY))
    return f"/invite/{code}/stop?o={optouts.secret(Privacy(keys), row['invitation_id'])}"


async def opted_out(database: Session) -> list[str]:
    """The codes of the phones that want no messages."""
    async with database.transaction() as rows:
        return [row["invite_code"] for row in await rows.fetch("SELECT * FROM optouts NATURAL JOIN invitations")]
