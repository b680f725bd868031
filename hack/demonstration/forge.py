"""A forge for a demo whose branch is protected: a Gitea, on which Pointsman opens pull requests and a developer merges.

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

from hack.demonstration.git_server import USER, GitServer
from hack.node import network
from hack.node.gitea import Gitea
from hack.node.pki import Authority
from hack.node.trouble import TroubleError

_DEVELOPER, _NAME = "ana", "shop"
_MERGE_S = 30.0


@contextmanager
def protected(folder: Path, name: str, *, address: str = network.ADDRESS) -> Iterator[GitServer]:
    """An empty repository whose branch is protected from its first commit on. `name`: what pods call it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    authority = Authority(folder / "tls")
    authority.create()
    pair = authority.server("git", names=[name], addresses=[address])
    ca = authority.pair.certificate
    with Gitea(certificate=pair.certificate, key=pair.key, address=address, ca=ca) as gitea, gitea.http() as http:
        forge = _Forge(http, secrets.token_urlsafe(16))
        token = forge.prepare()
        yield GitServer(
            url=f"{gitea.url}/{_DEVELOPER}/{_NAME}.git",
            pods_url=f"https://{name}/{_DEVELOPER}/{_NAME}.git",
            user=_DEVELOPER,
            password=forge.password,
            ca=ca,
            token=token,
            forge="Gitea",
            protect=forge.protect,
            merge=forge.merge,
        )


@dataclass
class _Forge:
    http: httpx.Client
    password: str
    """Of both users."""
    is_protected: bool = False

    def prepare(self) -> str:
        """A token of Pointsman's."""
        for name in (_DEVELOPER, USER):
            account = {"username": name, "email": f"{name}@example.com", "password": self.password}
            self._call("POST", "/admin/users", **account, must_change_password=False)
        self._call("POST", f"/admin/users/{_DEVELOPER}/repos", name=_NAME, default_branch="main")
        self._call("PUT", f"/repos/{_DEVELOPER}/{_NAME}/collaborators/{USER}", permission="write")
        wanted = {"name": "pointsman", "scopes": ["write:repository", "write:issue"]}
        token: str = self._call("POST", f"/users/{USER}/tokens", by=USER, **wanted)["sha1"]
        return token

    def protect(self) -> None:
        if not self.is_protected:
            self.is_protected = True
            only: dict[str, Any] = {
                "enable_push": True,
                "enable_push_whitelist": True,
                "push_whitelist_usernames": [_DEVELOPER],
            }
            self._call("POST", f"/repos/{_DEVELOPER}/{_NAME}/branch_protections", rule_name="main", **only)

    def merge(self, url: str) -> None:
        pull = f"/repos/{_DEVELOPER}/{_NAME}/pulls/{url.rpartition('/')[2]}"
        deadline = time.monotonic() + _MERGE_S
        while not self._call("GET", pull)["mergeable"] and time.monotonic() < deadline:
            time.sleep(0.2)  # Gitea looks for conflicts first
        self._call("POST", f"{pull}/merge", by=_DEVELOPER, Do="merge", delete_branch_after_merge=True)

    def _call(self, method: str, path: str, *, by: str = "", **body: Any) -> Any:
        auth = (by, self.password) if by else self.http.auth
        answer = self.http.request(method, path, json=body or None, auth=auth)
        if answer.is_error:
            raise TroubleError(f"Gitea answered {method} {path} with {answer.status_code}: {answer.text}")
        return answer.json() if answer.content else None
