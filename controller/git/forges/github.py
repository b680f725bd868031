"""GitHub, and GitHub Enterprise Server under `/api/v3`."""

from __future__ import annotations

from collections.abc import Mapping

from controller.git.forges.calls import (
    Api,
    Comment,
    CommitStatus,
    OpenPullRequest,
    PullRequest,
    PutComment,
    SetStatus,
    set_github_status,
    url_in,
)


def _base(api: Api) -> str:
    host = "https://api.github.com" if api.host == "github.com" else f"https://{api.host}/api/v3"
    return f"{host}/repos/{api.repository}"


def _headers(api: Api) -> Mapping[str, str]:
    return {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {api.token}",
        "X-GitHub-Api-Version": "2022-11-28",
    }


async def open_pull_request(api: Api, wanted: PullRequest) -> str:
    pulls, headers = f"{_base(api)}/pulls", _headers(api)
    owner = api.repository.partition("/")[0]
    known = await api.get(pulls, headers, state="open", head=f"{owner}:{wanted.head}", base=wanted.base)
    if isinstance(known, list) and known:
        return url_in(known[0], "html_url")
    body = {"head": wanted.head, "base": wanted.base, "title": wanted.title, "body": wanted.text}
    return url_in(await api.post(pulls, headers, body), "html_url")


async def set_status(api: Api, wanted: CommitStatus) -> None:
    await set_github_status(api, _base(api), _headers(api), wanted, listed_as="state", page={"per_page": "100"})


async def put_comment(api: Api, wanted: Comment) -> bool:
    comments, headers = f"{_base(api)}/commits/{wanted.commit}/comments", _headers(api)
    if not await api.has_marker(comments, headers, key="body", marker=wanted.marker, size="per_page"):
        await api.post(comments, headers, {"body": wanted.text})
    return True


_opens: OpenPullRequest = open_pull_request
_sets: SetStatus = set_status
_puts: PutComment = put_comment
