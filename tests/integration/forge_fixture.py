"""A real Gitea, once a session: `ana`, a person, owns repositories; `pointsman` may write where nothing forbids it."""

import base64
import contextlib
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from hack.node.gitea import Gitea
from tests.git_server import Certificate, git
from tests.ssh_keys import SshKey

PERSON, ROBOT = "ana", "pointsman"
ADDRESS = f"{ROBOT}@example.com"


@dataclass
class Forge:
    gitea: Gitea
    certificate: str
    http: httpx.Client
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    """Of `ana`."""
    token: str = ""
    """Of `pointsman`."""
    host_key: SshKey = field(default_factory=SshKey.make)

    def prepare(self) -> None:
        for name in (PERSON, ROBOT):
            account = {"username": name, "email": ADDRESS.replace(ROBOT, name), "password": self.password}
            self.call("POST", "/admin/users", **account, must_change_password=False)
        wanted = {"name": "tests", "scopes": ["write:repository", "write:issue"]}
        self.token = self.call("POST", f"/users/{ROBOT}/tokens", as_=ROBOT, **wanted)["sha1"]

    def call(self, method: str, path: str, *, as_: str | None = None, **body: Any) -> Any:
        """As the administrator, or as one of the two; what the API answered."""
        auth = (as_, self.password) if as_ else self.http.auth
        answer = self.http.request(method, path, json=body or None, auth=auth)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def repository(self, folder: Path) -> "ForgeRepository":
        """An empty one, with a clone of it in `folder`, in which `ana` works."""
        name = f"shop-{uuid4().hex[:8]}"
        self.call("POST", f"/admin/users/{PERSON}/repos", name=name, default_branch="main")
        self.call("PUT", f"/repos/{PERSON}/{name}/collaborators/{ROBOT}", permission="write")
        return ForgeRepository(self, name, folder)

    def trust_ssh(self, public: str) -> None:
        """As a signing key of `pointsman`, who has shown that it is theirs: only the web page takes that proof."""
        key = self.call("POST", "/user/keys", as_=ROBOT, title="signing", key=public)
        with contextlib.closing(sqlite3.connect(self.gitea.database, timeout=30)) as database, database:
            database.execute("UPDATE public_key SET verified = 1 WHERE id = ?", (key["id"],))

    def trust_openpgp(self, public: str) -> None:
        self.call("POST", "/user/gpg_keys", as_=ROBOT, armored_public_key=public)

    def secret(self, name: str = "shop-git", **more: str) -> dict[str, Any]:
        """With what `pointsman` needs, as it lies beside a Release."""
        data = more or {"username": ROBOT, "password": self.token, "ca.crt": self.certificate}
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        metadata = {"name": name, "annotations": {"pointsman.dev/git-urls": self.gitea.url}}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}


@dataclass
class ForgeRepository:
    forge: Forge
    name: str
    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "ca.crt").write_text(self.forge.certificate)
        with_password = self.url.replace("https://", f"https://{PERSON}:{self.forge.password}@")
        self._git("init", "-q", "-b", "main")
        self._git("remote", "add", "origin", with_password)

    @property
    def url(self) -> str:
        return f"{self.forge.gitea.url}/{PERSON}/{self.name}.git"

    @property
    def ssh_url(self) -> str:
        return f"ssh://git@127.0.0.1:{self.forge.gitea.ssh_port}/{PERSON}/{self.name}.git"

    def api(self, method: str, path: str, **body: Any) -> Any:
        return self.forge.call(method, f"/repos/{PERSON}/{self.name}{path}", **body)

    def commit(self, message: str, files: dict[str, str]) -> str:
        """By `ana`, pushed to main."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._git("add", "-A")
        self._git("reset", "-q", "--", "ca.crt")
        self._git("commit", "-q", "-m", message)
        self._git("push", "-q", "origin", "main")
        return self._git("rev-parse", "HEAD").strip()

    def fetch(self) -> None:
        self._git("fetch", "-q", "--prune", "origin")

    def read(self, name: str, branch: str = "main") -> str:
        self.fetch()
        return self._git("show", f"origin/{branch}:{name}")

    def subjects(self, branch: str = "main") -> list[str]:
        self.fetch()
        return self._git("log", "--format=%s", f"origin/{branch}").splitlines()

    def protect(self, **rules: Any) -> None:
        """Nobody but `ana` may push to main, unless the rules say otherwise."""
        only_ana = {"enable_push": True, "enable_push_whitelist": True, "push_whitelist_usernames": [PERSON]}
        self.api("POST", "/branch_protections", rule_name="main", **{**only_ana, **rules})

    def pulls(self, state: str = "open") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api("GET", f"/pulls?state={state}")
        return found

    def commit_by_pull_request(self, message: str, name: str, text: str) -> str:
        """A change of a file, by `ana`, merged; the commit on main."""
        known = self.api("GET", f"/contents/{name}")["sha"]
        content = base64.b64encode(text.encode()).decode()
        on = {"branch": "main", "new_branch": "change", "sha": known}
        self.api("PUT", f"/contents/{name}", as_=PERSON, content=content, message=message, **on)
        pull = self.api("POST", "/pulls", as_=PERSON, head="change", base="main", title=message)
        self.merge(pull["number"])
        commit: str = self.api("GET", "/branches/main")["commit"]["id"]
        return commit

    def merge(self, number: int) -> None:
        self.api("POST", f"/pulls/{number}/merge", as_=PERSON, Do="merge")

    def _git(self, *arguments: str) -> str:
        return git(self.folder, "-c", f"http.sslCAInfo={self.folder / 'ca.crt'}", *arguments)


@pytest.fixture(scope="session")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    folder = tmp_path_factory.mktemp("forge")
    certificate, host_key = Certificate.make(folder), SshKey.make()
    ssh_key = host_key.written(folder / "host_key")
    with Gitea(certificate=certificate.chain, key=certificate.key, ssh_key=ssh_key) as gitea, gitea.http() as http:
        forge = Forge(gitea, certificate.chain.read_text(), http, host_key=host_key)
        forge.prepare()
        yield forge


@pytest.fixture
def forged(forge: Forge, tmp_path: Path) -> ForgeRepository:
    """An empty repository on the forge."""
    return forge.repository(tmp_path / "clone")
