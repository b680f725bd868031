"""What the forges' APIs have in common: JSON over HTTPS, to addresses that were checked."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from controller.git.remote import GitError, Remote
from controller.outward.transport import CheckedTransport, read_at_most
from controller.ports import Resolve, TargetError

_TIMEOUT = httpx.Timeout(20.0).as_dict()
_MOST_ANSWER = 4 << 20
_MOST_URL = 1_000
"""It becomes a part of the status."""


@dataclass(frozen=True)
class PullRequest:
    head: str
    base: str
    title: str
    text: str


class OpenPullRequest(Protocol):
    async def __call__(self, api: Api, wanted: PullRequest, /) -> str:
        """The url of the one that is open for this head, opened where there is none. Raises GitError."""
        ...


@dataclass(frozen=True)
class Api:
    """Of the forge that has a repository."""

    remote: Remote
    resolve: Resolve

    @property
    def host(self) -> str:
        return httpx.URL(self.remote.url).netloc.decode()

    @property
    def repository(self) -> str:
        """`team/shop`."""
        return httpx.URL(self.remote.url).path.strip("/").removesuffix(".git")

    @property
    def token(self) -> str:
        return self.remote.credentials.password

    async def get(self, url: str, headers: Mapping[str, str], **query: str) -> Any:
        """None: there is no such thing. Raises GitError."""
        return await self._call("GET", str(httpx.URL(url, params=query) if query else url), headers, None)

    async def post(self, url: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Any:
        """Raises GitError."""
        return await self._call("POST", url, headers, body)

    async def _call(self, method: str, url: str, headers: Mapping[str, str], body: Mapping[str, Any] | None) -> Any:
        if not self.token.isascii() or not self.token.isprintable():
            raise GitError("the password of the Secret is no token for an API: it has other characters than ASCII's")
        content = b"" if body is None else json.dumps(body).encode()
        common = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "pointsman"}
        if body is not None:
            common["Content-Type"] = "application/json"
        request = httpx.Request(
            method, url, content=content, headers={**common, **headers}, extensions={"timeout": _TIMEOUT}
        )
        host = request.url.host
        try:
            async with CheckedTransport(self.resolve, self._tls()) as transport:
                response = await transport.handle_async_request(request)
                try:
                    answer = await read_at_most(response, _MOST_ANSWER)
                finally:
                    await response.aclose()
        except TargetError as error:
            raise GitError(str(error)) from error
        except httpx.HTTPError as error:  # its text may quote what was sent
            raise GitError(f"the API of {host} cannot be reached: {type(error).__name__}") from error
        if answer is None:
            raise GitError(f"the API of {host} answered with more than {_MOST_ANSWER} bytes")
        if method == "GET" and response.status_code == httpx.codes.NOT_FOUND:
            return None
        if not response.is_success:
            raise GitError(
                f"the API of {host} answered {response.status_code} to a {method}; look at the token's rights"
            )
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise GitError(f"the API of {host} did not answer with JSON") from error

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.remote.credentials.ca:
            try:
                context.load_verify_locations(cadata=self.remote.credentials.ca)
            except ssl.SSLError as error:
                raise GitError("ca.crt of the Secret is no certificate") from error
        return context


def url_in(answer: Any, key: str) -> str:
    """Raises GitError."""
    url = answer.get(key) if isinstance(answer, Mapping) else None
    if not isinstance(url, str) or not url.startswith("https://") or not url.isprintable() or len(url) > _MOST_URL:
        raise GitError(f"the forge did not say {key}")
    return url
