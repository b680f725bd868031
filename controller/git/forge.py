"""Which forge a repository is on, and its ways of opening pull requests and of showing what a commit has caused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.api.git_origin import Forge
from controller.git.forges import gitea, github, gitlab
from controller.git.forges.calls import (
    Api,
    Comment,
    CommitStatus,
    OpenPullRequest,
    PullRequest,
    PutComment,
    SetStatus,
)
from controller.git.remote import RefusedError, Remote
from controller.git.rollback import Propose
from controller.ports import Resolve


@dataclass(frozen=True)
class _Ways:
    open: OpenPullRequest
    status: SetStatus
    comment: PutComment


_FORGES: Mapping[Forge, _Ways] = {
    Forge.GITEA: _Ways(gitea.open_pull_request, gitea.set_status, gitea.put_comment),
    Forge.GITHUB: _Ways(github.open_pull_request, github.set_status, github.put_comment),
    Forge.GITLAB: _Ways(gitlab.open_pull_request, gitlab.set_status, gitlab.put_comment),
}
_HOSTS = {
    "codeberg.org": Forge.GITEA,
    "gitea.com": Forge.GITEA,
    "github.com": Forge.GITHUB,
    "gitlab.com": Forge.GITLAB,
}


def _ways(forge: Forge | None, remote: Remote) -> _Ways | None:
    """None: no forge is known, or there is no token for its API."""
    found = forge or _HOSTS.get(remote.host)
    if found is None or remote.scheme == "ssh" or not remote.credentials.password:
        return None
    return _FORGES[found]


def proposing(forge: Forge | None, remote: Remote, resolve: Resolve, base: str) -> Propose:
    """Without a known forge, or a token for its API, a person has to open the pull request."""
    ways = _ways(forge, remote)

    async def propose(head: str, title: str, text: str) -> str:
        if ways is None:
            return ""
        return await ways.open(Api(remote, resolve), PullRequest(head, base, title, text))

    return propose


@dataclass(frozen=True)
class Reports:
    """To one repository's forge."""

    _api: Api
    _ways: _Ways

    async def status(self, wanted: CommitStatus) -> None:
        """Raises GitError."""
        await self._ways.status(self._api, wanted)

    async def comment(self, wanted: Comment) -> bool:
        """Whether there is a place for it. Raises GitError."""
        return await self._ways.comment(self._api, wanted)


def reports(forge: Forge | None, remote: Remote, resolve: Resolve) -> Reports:
    """Raises RefusedError."""
    ways = _ways(forge, remote)
    if ways is None:
        raise RefusedError(
            f"a report needs the API of {remote.host}: set gitOrigin.forge, an https url, and a Secret with a token"
        )
    return Reports(Api(remote, resolve), ways)
