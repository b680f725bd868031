"""GitLab: `/api/v4`, where a pull request is a merge request."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import httpx

from controller.git.forges.calls import (
    AnswerError,
    Api,
    Comment,
    CommitState,
    CommitStatus,
    OpenPullRequest,
    PullRequest,
    PutComment,
    SetStatus,
    url_in,
)

_STATES = {
    CommitState.PENDING: "running",
    CommitState.SUCCESS: "success",
    CommitState.FAILURE: "failed",
    CommitState.ENDED: "canceled",
}


def _base(api: Api) -> str:
    return f"https://{api.host}/api/v4/projects/{quote(api.repository, safe='')}"


def _headers(api: Api) -> Mapping[str, str]:
    return {"PRIVATE-TOKEN": api.token}


async def open_pull_request(api: Api, wanted: PullRequest) -> str:
    requests, headers = f"{_base(api)}/merge_requests", _headers(api)
    known = await api.get(requests, headers, state="opened", source_branch=wanted.head, target_branch=wanted.base)
    if isinstance(known, list) and known:
        return url_in(known[0], "web_url")
    body = {
        "source_branch": wanted.head,
        "target_branch": wanted.base,
        "title": wanted.title,
        "description": wanted.text,
        "remove_source_branch": True,
    }
    return url_in(await api.post(requests, headers, body), "web_url")


async def set_status(api: Api, wanted: CommitStatus) -> None:
    state = _STATES[wanted.state]
    statuses = f"{_base(api)}/repository/commits/{wanted.commit}/statuses"
    known = await api.of_commit(statuses, _headers(api), wanted.commit, name=wanted.context)
    found = [one for one in known if isinstance(one, dict)] if isinstance(known, list) else []
    last = max((one for one in found if one.get("name") == wanted.context), key=_number, default={})
    if (last.get("status"), last.get("description")) == (state, wanted.description):
        return
    body = {"state": state, "name": wanted.context, "description": wanted.description}
    try:
        await api.post(f"{_base(api)}/statuses/{wanted.commit}", _headers(api), body)
    except AnswerError as error:
        # from a state to the same one there is no way in GitLab; what it says beside it may be older
        if error.status != httpx.codes.BAD_REQUEST or last.get("status") != state:
            raise


def _number(status: Mapping[str, object]) -> int:
    found = status.get("id")
    return found if isinstance(found, int) else 0


async def put_comment(api: Api, wanted: Comment) -> bool:
    comments, headers = f"{_base(api)}/repository/commits/{wanted.commit}/comments", _headers(api)
    if not await api.has_marker(comments, headers, key="note", marker=wanted.marker, size="per_page"):
        await api.post(comments, headers, {"note": wanted.text})
    return True


_opens: OpenPullRequest = open_pull_request
_sets: SetStatus = set_status
_puts: PutComment = put_comment
