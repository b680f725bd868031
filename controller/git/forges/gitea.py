"""Gitea and Forgejo: `/api/v1`."""

from __future__ import annotations

from urllib.parse import quote

from controller.git.forges.calls import Api, OpenPullRequest, PullRequest, url_in


async def open_pull_request(api: Api, wanted: PullRequest) -> str:
    pulls = f"https://{api.host}/api/v1/repos/{api.repository}/pulls"
    headers = {"Authorization": f"token {api.token}"}
    known = await api.get(f"{pulls}/{quote(wanted.base, safe='')}/{quote(wanted.head)}", headers)
    if isinstance(known, dict) and known.get("state") == "open":
        return url_in(known, "html_url")
    body = {"head": wanted.head, "base": wanted.base, "title": wanted.title, "body": wanted.text}
    return url_in(await api.post(pulls, headers, body), "html_url")


_is_one: OpenPullRequest = open_pull_request
