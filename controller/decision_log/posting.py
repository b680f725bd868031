"""What both sinks have of HTTP: one client, opened with the first request, and failures in their words."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import httpx

from controller.decision_log.entry import SinkDownError, SinkRefusedError
from controller.outward.leaving import LeavingTransport

_REFUSES = (400, 413, 422)
"""Of what is sent itself. All else may be over with the next try."""


class Posting:
    """`system`: its name in messages. `words`: what is said of an answer beside its status."""

    def __init__(
        self,
        system: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        words: Callable[[httpx.Response], str] | None = None,
    ) -> None:
        self._where = f"{system} at {urlsplit(url).netloc}"
        self._url = url
        self._headers = headers
        self._params = params
        self._words = words
        self._client: httpx.AsyncClient | None = None

    async def post(self, path: str, content: bytes) -> None:
        """Raises SinkDownError, SinkRefusedError."""
        try:
            answer = await self._opened().post(path, content=content)
        except httpx.HTTPError as error:
            raise SinkDownError(f"{self._where} cannot be reached: {type(error).__name__}") from error
        if answer.is_success:
            return
        said = f": {self._words(answer)}" if self._words else ""
        kind = SinkRefusedError if answer.status_code in _REFUSES else SinkDownError
        raise kind(f"{self._where} answered {answer.status_code}{said}")

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                base_url=self._url,
                params=self._params,
                headers=self._headers,
                timeout=5.0,
                transport=LeavingTransport(ssl.create_default_context(), httpx.Limits()),
                trust_env=False,
            )
        return self._client

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
