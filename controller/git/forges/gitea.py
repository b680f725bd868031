"""Gitea and Forgejo: `/api/v1`."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

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
    return f"https://{api.host}/api/v1/repos/{api.repository}"


def _headers(api: Api) -> Mapping[str, str]:
    return {"Authorization": f"token {api.token}"}


async def open_pull_request(api: Api, wanted: PullRequest) -> str:
    pulls, headers = f"{_base(api)}/pulls", _headers(api)
    known = await api.get(f"{pulls}/{quote(wanted.base, safe='')}/{quote(wanted.head)}", headers)
    if isinstance(known, dict) and known.get("state") == "open":
        return url_in(known, "html_url")
    body = {"head": wanted.head, "base": wanted.base, "title": wanted.title, "body": wanted.text}
    return url_in(await api.post(pulls, headers, body), "html_url")


async def set_status(api: Api, wanted: CommitStatus) -> None:
    """Gitea calls the state of what it lists `status`."""
    await set_github_status(api, _base(api), _headers(api), wanted, listed_as="status", page={"limit": "50"})


async def put_comment(api: Api, wanted: Comment) -> bool:
    """Gitea has no comments on commits: it goes to the pull request that brought the commit, where there is one."""
    pull = await api.get(f"{_base(api)}/commits/{wanted.commit}/pull", _headers(api))
    number = pull.get("number") if isinstance(pull, dict) else None
    if not isinstance(number, int):
        return False
    comments, headers = f"{_base(api)}/issues/{number}/comments", _headers(api)
    found = await api.get(comments, headers)  # all of them: Gitea has no pages here
    if not any(wanted.marker in str(one.get("body")) for one in found or () if isinstance(one, dict)):
        await api.post(comments, headers, {"body": wanted.text})
    return True


_opens: OpenPullRequest = open_pull_request
_sets: SetStatus = set_status
_puts: PutComment = put_comment
