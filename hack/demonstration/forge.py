"""A forge for a demo: a Gitea, with a branch that is protected sooner or later. From then on Pointsman and a developer
open pull requests, and the developer merges them.

It stands where the cluster's pods reach it, and ends with the demo.
"""

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from hack.demonstration.git_server import USER, GitServer, Shown
from hack.node import network
from hack.node.gitea import Gitea
from hack.node.pki import Authority
from hack.node.trouble import TroubleError

_DEVELOPER, _NAME = "ana", "shop"
_REPOSITORY = f"/repos/{_DEVELOPER}/{_NAME}"
_MERGE_S = 30.0


@contextmanager
def protected(folder: Path, name: str, *, address: str = network.ADDRESS, pushes: int = 1) -> Iterator[GitServer]:
    """An empty repository. After so many pushes of a developer's the next change is a pull request, and the branch is
    protected. `name`: what pods call it.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    authority = Authority(folder / "tls")
    authority.create()
    pair = authority.server("git", names=[name], addresses=[address])
    ca = authority.pair.certificate
    gitea = Gitea(certificate=pair.certificate, key=pair.key, address=address, ca=ca, root_url=f"https://{name}")
    with gitea, gitea.http() as http:
        forge = _Forge(http, secrets.token_urlsafe(16), pushes)
        token = forge.prepare()
        yield GitServer(
            url=f"{gitea.url}/{_DEVELOPER}/{_NAME}.git",
            pods_url=f"https://{name}/{_DEVELOPER}/{_NAME}.git",
            user=_DEVELOPER,
            password=forge.password,
            ca=ca,
            token=token,
            announce=forge.announce,
            forge=forge,
        )


@dataclass
class _Forge:
    http: httpx.Client
    password: str
    """Of both users."""
    pushes: int
    """That a developer still makes before the branch is protected."""
    name: str = "Gitea"
    is_protected: bool = False

    def prepare(self) -> str:
        """A token of Pointsman's."""
        for name in (_DEVELOPER, USER):
            account: dict[str, Any] = {"username": name, "email": f"{name}@example.com", "password": self.password}
            self._call("POST", "/admin/users", **account, must_change_password=False)
        self._call("POST", f"/admin/users/{_DEVELOPER}/repos", name=_NAME, default_branch="main")
        self._call("PUT", f"{_REPOSITORY}/collaborators/{USER}", permission="write")
        wanted: dict[str, Any] = {"name": "pointsman", "scopes": ["write:repository", "write:issue"]}
        token: str = self._call("POST", f"/users/{USER}/tokens", by=USER, **wanted)["sha1"]
        return token

    def announce(self, to: str, word: str) -> None:
        config = {"url": to, "content_type": "json", "secret": word}
        hook: dict[str, Any] = {"type": "gitea", "active": True, "events": ["push"], "config": config}
        self._call("POST", f"{_REPOSITORY}/hooks", **hook)

    def takes_push(self) -> bool:
        if self.pushes:
            self.pushes -= 1
            return True
        if not self.is_protected:
            self._call("POST", f"{_REPOSITORY}/branch_protections", rule_name="main", enable_push=False)
            self.is_protected = True
        return False

    def bring(self, branch: str, title: str) -> None:
        """The commit stays as it is, which the status of its release is shown beside."""
        opened = self._call("POST", f"{_REPOSITORY}/pulls", by=_DEVELOPER, head=branch, base="main", title=title)
        self._merge(opened["number"], "fast-forward-only")

    def merge(self, url: str) -> None:
        self._merge(int(url.rpartition("/")[2]), "merge")

    def shown(self, commit: str) -> Shown:
        found = self._call("GET", f"{_REPOSITORY}/commits/{commit}/status")["statuses"] or ()
        status = next((f"{one['status']}: {one['description']}" for one in found), "")
        pull = self._call("GET", f"{_REPOSITORY}/commits/{commit}/pull", is_there=False)
        if pull is None:
            return Shown(status)
        comments = self._call("GET", f"{_REPOSITORY}/issues/{pull['number']}/comments")
        return Shown(status, next((one["body"] for one in comments if one["user"]["login"] == USER), ""))

    def _merge(self, number: int, how: str) -> None:
        pull = f"{_REPOSITORY}/pulls/{number}"
        deadline = time.monotonic() + _MERGE_S
        while not self._call("GET", pull)["mergeable"] and time.monotonic() < deadline:
            time.sleep(0.2)  # Gitea looks for conflicts first
        self._call("POST", f"{pull}/merge", by=_DEVELOPER, Do=how, delete_branch_after_merge=True)

    def _call(self, method: str, path: str, *, by: str = "", is_there: bool = True, **body: Any) -> Any:
        """None: it answered without a word; or what perhaps is not there is not there."""
        auth = (by, self.password) if by else self.http.auth
        answer = self.http.request(method, path, json=body or None, auth=auth)
        if answer.status_code == httpx.codes.NOT_FOUND and not is_there:
            return None
        if answer.is_error:
            raise TroubleError(f"Gitea answered {method} {path} with {answer.status_code}: {answer.text}")
        return answer.json() if answer.content else None
