"""The share ledger at the operator: one PUT reports and reads."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from workloads.common.share_ledger import Consumer, Control, LedgerError, Report, parsed

_WITHIN_S = 1.5
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=1.0)
"""Its `total` is not used: where that ends as the task is cancelled, the task goes on (aio-libs/aiohttp#5979)."""
_TRIES = 3
_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class TokenFile:
    """kubelet writes a new token before the old one ends, so the file is read again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path, self._stamp, self._token = path, -1, ""

    def read(self) -> str:
        try:
            stamp = self._path.stat().st_mtime_ns
            if stamp != self._stamp:
                self._token, self._stamp = self._path.read_text().strip(), stamp
        except OSError as problem:
            raise LedgerError(f"SHARE_LEDGER_TOKEN_FILE: {self._path} cannot be read: {problem.strerror}") from problem
        return self._token


class HttpLedger:
    def __init__(self, url: str, who: Consumer, *, token: TokenFile | None = None) -> None:
        self._service = f"{url.rstrip('/')}/v1/ledger/{quote(who.service)}"
        self._consumer = f"{self._service}/consumers/{quote(who.name, safe='')}"
        self._revision, self._token = who.revision, token
        # trust_env stays off: the operator is in the cluster, not behind a proxy of the environment.
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)

    async def report(self, report: Report) -> Control:
        body = {
            "revision": self._revision,
            "claims": report.claims,
            "returned": report.returned,
            "waiting": report.waiting,
            "seq": report.seq,
        }
        return await self._ask("PUT", self._consumer, body)

    async def read(self) -> Control:
        return await self._ask("GET", self._service, None)

    async def close(self) -> None:
        await self._session.close()

    async def _ask(self, method: str, url: str, body: dict[str, Any] | None) -> Control:
        why = ""
        for _ in range(_TRIES):
            headers = {} if self._token is None else {"Authorization": f"Bearer {self._token.read()}"}
            try:
                async with (
                    asyncio.timeout(_WITHIN_S),
                    self._session.request(method, url, json=body, headers=headers, allow_redirects=False) as response,
                ):
                    if response.status == HTTPStatus.SERVICE_UNAVAILABLE:
                        response.close()  # a new connection may reach the leader; this one never will
                        why = "status 503: it is not the leader, or cannot verify the token right now"
                        continue
                    return await _control(response)
            except (aiohttp.ClientError, TimeoutError, OSError) as problem:
                raise LedgerError(f"{url}: {type(problem).__name__} {problem}") from problem
        raise LedgerError(f"{url}: {why}")


async def _control(response: aiohttp.ClientResponse) -> Control:
    if response.status == HTTPStatus.NOT_FOUND:
        raise LedgerError(f"{response.url}: status 404: no ledger for this service; its operator makes one")
    if response.status in _REFUSED:
        raise LedgerError(
            f"{response.url}: status {response.status}: SHARE_LEDGER_TOKEN_FILE must name a service account token "
            "of this pod with the audience pointsman"
        )
    if response.status != HTTPStatus.OK:
        raise LedgerError(f"{response.url}: status {response.status}")
    try:
        found = await response.json()
        expires_in = float(found["expiresIn"])
        trial_left = float(found.get("trialLeft", 0))
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise LedgerError(f"{response.url}: the answer cannot be read: {type(problem).__name__} {problem}") from problem
    return parsed(found, min_epoch="minEpoch", expires_in=expires_in, on_trial="onTrial", trial_left=trial_left)
