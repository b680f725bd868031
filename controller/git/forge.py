"""Which forge a repository is on, and its way of opening pull requests."""

from __future__ import annotations

from collections.abc import Mapping

from controller.api.git_origin import Forge
from controller.git.forges import gitea, github, gitlab
from controller.git.forges.calls import Api, OpenPullRequest, PullRequest
from controller.git.remote import Remote
from controller.git.rollback import Propose
from controller.ports import Resolve

_OPEN: Mapping[Forge, OpenPullRequest] = {
    Forge.GITEA: gitea.open_pull_request,
    Forge.GITHUB: github.open_pull_request,
    Forge.GITLAB: gitlab.open_pull_request,
}
_HOSTS = {
    "codeberg.org": Forge.GITEA,
    "gitea.com": Forge.GITEA,
    "github.com": Forge.GITHUB,
    "gitlab.com": Forge.GITLAB,
}


def proposing(forge: Forge | None, remote: Remote, resolve: Resolve, base: str) -> Propose:
    """Without a known forge, or a token for its API, a person has to open the pull request."""
    found = forge or _HOSTS.get(remote.host)

    async def propose(head: str, title: str, text: str) -> str:
        if found is None or remote.scheme == "ssh" or not remote.credentials.password:
            return ""
        return await _OPEN[found](Api(remote, resolve), PullRequest(head, base, title, text))

    return propose
