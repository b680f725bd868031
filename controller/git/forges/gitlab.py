"""GitLab: `/api/v4`, where a pull request is a merge request."""

from __future__ import annotations

from urllib.parse import quote

from controller.git.forges.calls import Api, OpenPullRequest, PullRequest, url_in


async def open_pull_request(api: Api, wanted: PullRequest) -> str:
    requests = f"https://{api.host}/api/v4/projects/{quote(api.repository, safe='')}/merge_requests"
    headers = {"PRIVATE-TOKEN": api.token}
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


_is_one: OpenPullRequest = open_pull_request
