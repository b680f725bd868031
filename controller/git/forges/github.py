"""GitHub, and GitHub Enterprise Server under `/api/v3`."""

from __future__ import annotations

from controller.git.forges.calls import Api, OpenPullRequest, PullRequest, url_in


async def open_pull_request(api: Api, wanted: PullRequest) -> str:
    base = "https://api.github.com" if api.host == "github.com" else f"https://{api.host}/api/v3"
    pulls = f"{base}/repos/{api.repository}/pulls"
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {api.token}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    owner = api.repository.partition("/")[0]
    known = await api.get(pulls, headers, state="open", head=f"{owner}:{wanted.head}", base=wanted.base)
    if isinstance(known, list) and known:
        return url_in(known[0], "html_url")
    body = {"head": wanted.head, "base": wanted.base, "title": wanted.title, "body": wanted.text}
    return url_in(await api.post(pulls, headers, body), "html_url")


_is_one: OpenPullRequest = open_pull_request
