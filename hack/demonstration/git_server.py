"""Where a demo's repository is: a bare one on a server of its own, reached by the cluster's pods as a forge is.

It ends with the demo; the repository stays.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from hack.git_http import git_http
from hack.node import network
from hack.node.pki import Authority
from hack.node.trouble import TroubleError

USER = "pointsman"
NAME = "shop.git"
_CALL_S = 10.0


@dataclass(frozen=True)
class Shown:
    """What a forge shows beside a commit."""

    status: str = ""
    """Of its release: a word and a few more."""
    comment: str | None = None
    """On the pull request that brought the commit; None: none has brought it."""

    @property
    def is_over(self) -> bool:
        return bool(self.status) and not self.status.startswith("pending") and self.comment != ""


class Forge(Protocol):
    """A git server with pull requests."""

    @property
    def name(self) -> str:
        """As `gitOrigin.forge` has it."""
        ...

    @property
    def is_protected(self) -> bool:
        """Nobody pushes to the branch, neither a developer nor Pointsman."""
        ...

    def takes_push(self) -> bool:
        """Whether a developer may push once more. From the first time on that this is not so, it is protected."""
        ...

    def bring(self, branch: str, title: str) -> None:
        """To the protected branch: opens a pull request, as a developer does, and merges it."""
        ...

    def merge(self, url: str) -> None:
        """A pull request, as a developer does who has looked at it."""
        ...

    def shown(self, commit: str) -> Shown: ...


@dataclass(frozen=True, kw_only=True)
class GitServer:
    url: str
    """Of the repository, for the developer on this machine."""
    pods_url: str
    """For the cluster: by the name of a Service, as Pointsman calls nothing at the API server's own address."""
    user: str
    password: str
    """Of the developer."""
    ca: Path
    token: str
    """Of Pointsman."""
    announce: Callable[[str, str], None]
    """From now on each push is said at this address, signed with this word, as forges do it."""
    forge: Forge | None = None

    @property
    def secret(self) -> Mapping[str, str]:
        """As it lies beside a Release."""
        return {"username": USER, "password": self.token, "ca.crt": self.ca.read_text()}

    def service(self, namespace: str) -> Sequence[Mapping[str, Any]]:
        """Leads pods here."""
        name, _, _ = str(urlsplit(self.pods_url).hostname).partition(".")
        here = urlsplit(self.url)
        labels = {"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "pointsman-demo"}
        return (
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"ports": [{"name": "https", "port": 443}]},
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": f"{name}-host", "namespace": namespace, "labels": labels},
                "addressType": "IPv4",
                "ports": [{"name": "https", "port": here.port, "protocol": "TCP"}],
                "endpoints": [{"addresses": [here.hostname], "conditions": {"ready": True}}],
            },
        )

    @property
    def environment(self) -> dict[str, str]:
        """Of a `git` that talks to it; no argument holds the password."""
        token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        config = {"http.extraHeader": f"Authorization: Basic {token}", "http.proxy": ""}
        numbered = {f"GIT_CONFIG_KEY_{number}": key for number, key in enumerate(config)}
        numbered |= {f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(config.values())}
        numbered["GIT_CONFIG_COUNT"] = str(len(config))
        return {**os.environ, **numbered, "GIT_SSL_CAINFO": str(self.ca), "GIT_TERMINAL_PROMPT": "0"}


@contextmanager
def serving(folder: Path, name: str, *, address: str = network.ADDRESS) -> Iterator[GitServer]:
    """An empty repository in `folder`, of which nothing that was there before is left. `name`: what pods call it."""
    if shutil.which("git") is None:
        raise TroubleError("git is needed for the demo: apt-get install git.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    repository = folder / NAME
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", repository], check=True)
    for key, value in (("http.receivepack", "true"), ("uploadpack.allowFilter", "true")):
        subprocess.run(["git", "-C", repository, "config", key, value], check=True)
    authority = Authority(folder / "tls")
    authority.create()
    pair = authority.server("git", names=[name], addresses=[address])
    with git_http(folder, user=USER, password=secrets.token_urlsafe(24), address=address, pair=pair) as http:
        pods_url = f"https://{name}/{NAME}"

        def announce(to: str, word: str) -> None:
            http.pushed = lambda _: _say(to, word, pods_url, commit=_newest(repository))

        yield GitServer(
            url=f"{http.url}/{NAME}",
            pods_url=pods_url,
            user=USER,
            password=http.password,
            ca=authority.pair.certificate,
            token=http.password,
            announce=announce,
        )


def _newest(repository: Path) -> str:
    said = subprocess.run(["git", "-C", repository, "rev-parse", "main"], check=True, capture_output=True, text=True)
    return said.stdout.strip()


def _say(to: str, word: str, url: str, *, commit: str) -> None:
    """What Gitea says of a push, as far as anybody reads it. The same words again would be one push that is sent twice,
    and nothing is fetched for it.
    """
    body = json.dumps({"ref": "refs/heads/main", "after": commit, "repository": {"clone_url": url}}).encode()
    signature = hmac.new(word.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Gitea-Signature": signature}
    with suppress(httpx.HTTPError):  # whoever does not hear it looks at the next interval
        httpx.post(to, content=body, headers=headers, timeout=_CALL_S, trust_env=False)
