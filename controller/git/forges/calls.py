"""What the forges' APIs have in common: JSON over HTTPS, to addresses that were checked."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

import httpx

from controller.git.remote import GitError, Remote
from controller.outward.transport import CheckedTransport, read_at_most
from controller.ports import Resolve, TargetError

_TIMEOUT = httpx.Timeout(20.0).as_dict()
_MOST_ANSWER = 4 << 20
_MOST_URL = 1_000
"""It becomes a part of the status."""
_PAGE, _MOST_PAGES = 30, 30
_LIMITED = {403, 429, 503}
_WAIT_S, _MOST_WAIT_S = 60.0, 3_600.0
"""Where a limit says nothing of time, and at most."""


@dataclass(frozen=True)
class PullRequest:
    head: str
    base: str
    title: str
    text: str


class CommitState(Enum):
    """Of a release, as a forge shows it beside a commit."""

    PENDING = auto()
    SUCCESS = auto()
    FAILURE = auto()
    ENDED = auto()
    """Neither: another version came instead."""


@dataclass(frozen=True)
class CommitStatus:
    commit: str
    context: str
    """Of all statuses of a commit the newest of each context counts."""
    state: CommitState
    description: str
    """At most 140 characters, which is GitHub's limit."""


@dataclass(frozen=True)
class Comment:
    commit: str
    text: str
    marker: str
    """A part of the text by which it is found again: it is never posted twice."""


class AnswerError(GitError):
    """The API refused."""

    def __init__(self, message: str, *, status: int, retry_after: float = 0.0) -> None:
        super().__init__(message, retry_after=retry_after)
        self.status = status


class OpenPullRequest(Protocol):
    async def __call__(self, api: Api, wanted: PullRequest, /) -> str:
        """The url of the one that is open for this head, opened where there is none. Raises GitError."""
        ...


class SetStatus(Protocol):
    async def __call__(self, api: Api, wanted: CommitStatus, /) -> None:
        """Nothing is posted where it is so already. Raises GitError."""
        ...


class PutComment(Protocol):
    async def __call__(self, api: Api, wanted: Comment, /) -> bool:
        """Whether there is a place for it; posted where it is not there yet. Raises GitError."""
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

    async def of_commit(self, url: str, headers: Mapping[str, str], commit: str, **query: str) -> Any:
        """Raises GitError, also where there is no such commit."""
        found = await self.get(url, headers, **query)
        if found is None:
            raise GitError(
                f"{self.host}/{self.repository} does not show commit {commit[:12]}; look at the token's rights"
            )
        return found

    async def has_marker(self, url: str, headers: Mapping[str, str], *, key: str, marker: str, size: str) -> bool:
        """Whether a comment of the list holds it. `size`: the query's word for a page's length. Raises GitError."""
        for page in range(1, _MOST_PAGES + 1):
            found = await self.get(url, headers, **{size: str(_PAGE), "page": str(page)})
            comments = found if isinstance(found, list) else []
            if any(marker in str(one.get(key)) for one in comments if isinstance(one, Mapping)):
                return True
            if len(comments) < _PAGE:
                return False
        raise GitError(f"more than {_MOST_PAGES * _PAGE} comments, among which none of Pointsman's was found")

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
            raise _refused(host, method, response, answer)
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


_GITHUB_STATES = {
    CommitState.PENDING: "pending",
    CommitState.SUCCESS: "success",
    CommitState.FAILURE: "failure",
    CommitState.ENDED: "error",
}


async def set_github_status(
    api: Api, base: str, headers: Mapping[str, str], wanted: CommitStatus, *, listed_as: str, page: Mapping[str, str]
) -> None:
    """By GitHub's API, which Gitea follows. Raises GitError.

    `listed_as`: the key of a state in the list. `page`: the query for its longest page.
    """
    state = _GITHUB_STATES[wanted.state]
    url = f"{base}/commits/{wanted.commit}/status"
    known = await api.of_commit(url, headers, wanted.commit, **page)
    for one in known.get("statuses") or () if isinstance(known, dict) else ():
        if one.get("context") == wanted.context:
            if (one.get(listed_as), one.get("description")) == (state, wanted.description):
                return
            break
    body = {"state": state, "context": wanted.context, "description": wanted.description}
    await api.post(f"{base}/statuses/{wanted.commit}", headers, body)


def _refused(host: str, method: str, response: httpx.Response, answer: bytes) -> AnswerError:
    status, wait = response.status_code, _wait_s(response, answer)
    sentence = f"the API of {host} answered {status} to a {method}; look at the token's rights"
    if wait:
        sentence = f"the API of {host} takes no more calls for now ({status}); Pointsman waits as long as it says"
    return AnswerError(sentence, status=status, retry_after=wait)


def _wait_s(response: httpx.Response, answer: bytes) -> float:
    """For how long it wants to be left alone, by its headers: GitHub says 403 to too many calls, too."""
    status, headers = response.status_code, response.headers
    if status not in _LIMITED:
        return 0.0
    said = headers.get("Retry-After", "")
    if said.isdecimal():
        return min(float(said), _MOST_WAIT_S)
    reset = headers.get("X-RateLimit-Reset") or headers.get("RateLimit-Reset") or ""
    left = headers.get("X-RateLimit-Remaining") or headers.get("RateLimit-Remaining")
    if left == "0" and reset.isdecimal():
        return min(max(float(reset) - time.time(), 1.0), _MOST_WAIT_S)
    is_limit = status == httpx.codes.TOO_MANY_REQUESTS or b"secondary rate limit" in answer
    return _WAIT_S if is_limit else 0.0


def url_in(answer: Any, key: str) -> str:
    """Raises GitError."""
    url = answer.get(key) if isinstance(answer, Mapping) else None
    if not isinstance(url, str) or not url.startswith("https://") or not url.isprintable() or len(url) > _MOST_URL:
        raise GitError(f"the forge did not say {key}")
    return url
