"""Where a repository is, and what opens it. Secrets go into files of a temporary directory, and into no argument."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from controller.ports import Resolve

SCHEMES = frozenset({"https", "ssh"})
_PORTS = {"https": 443, "http": 80, "ssh": 22}
_HOST_KEY = "Host key verification failed: known_hosts in the Secret has another key of the server, or none; correct it"
_ASKPASS = """\
#!/bin/sh
case "$1" in
Username*) exec cat "${0%/*}/username" ;;
*) exec cat "${0%/*}/password" ;;
esac
"""


class GitError(Exception):
    """It did not work this time; the sentence holds no secret."""

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds for which the other side wants to be left alone."""


class RefusedError(Exception):
    """It cannot work as it is written."""


@dataclass(frozen=True)
class Credentials:
    """By the keys that Flux's Secrets have, so that one Secret serves both."""

    username: str = ""
    password: str = field(default="", repr=False)
    """Or a token. It opens the forge's API, too."""
    identity: str = field(default="", repr=False)
    """A private SSH key."""
    known_hosts: str = ""
    ca: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(one for one in (self.password, self.identity) if one)


NO_CREDENTIALS = Credentials()


def said_plainly(text: str) -> str:
    """What git wrote, without the banner of ssh, behind which the sentence is cut off."""
    return _HOST_KEY if _HOST_KEY[:28] in text else text


def credentials_of(data: Mapping[str, str]) -> Credentials:
    password = data.get("password") or data.get("bearerToken") or data.get("token") or ""
    return Credentials(
        username=data.get("username", "").strip() or ("git" if password else ""),
        password=password.strip(),
        identity=data.get("identity", ""),
        known_hosts=data.get("known_hosts", ""),
        ca=data.get("ca.crt", ""),
    )


@dataclass(frozen=True)
class Remote:
    url: str
    credentials: Credentials = NO_CREDENTIALS
    schemes: frozenset[str] = SCHEMES

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    async def settings(self, folder: Path, resolve: Resolve) -> tuple[dict[str, str], dict[str, str]]:
        """Git's configuration and environment for it. Raises GitError, RefusedError, and what `resolve` raises."""
        if self.scheme not in self.schemes:
            raise RefusedError(f"{self.scheme or 'a path'} is not used for git; use https or ssh")
        if self.scheme == "file":
            return {}, {}
        port = urlsplit(self.url).port or _PORTS[self.scheme]
        addresses = await resolve(self.host, port)
        if self.scheme == "ssh":
            return {}, self._ssh(folder, addresses[0])
        pinned = ",".join(f"[{one}]" if ":" in one else one for one in addresses)
        config = {"http.curloptResolve": f"{self.host}:{port}:{pinned}"}
        if self.credentials.ca:
            config["http.sslCAInfo"] = _written(folder / "ca.crt", self.credentials.ca)
        if not self.credentials.password:
            return config, {}
        _written(folder / "username", self.credentials.username)
        _written(folder / "password", self.credentials.password)
        return config, {"GIT_ASKPASS": _written(folder / "askpass", _ASKPASS, mode=0o700)}

    def _ssh(self, folder: Path, address: str) -> dict[str, str]:
        """To the address that was checked, under the name that the url has."""
        if not self.credentials.identity or not self.credentials.known_hosts:
            raise GitError("the Secret needs identity and known_hosts for an ssh url; add them")
        key = _written(folder / "identity", self.credentials.identity.rstrip() + "\n")
        hosts = _written(folder / "known_hosts", self.credentials.known_hosts.rstrip() + "\n")
        options = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": hosts,
            "GlobalKnownHostsFile": "/dev/null",
            "HostName": address,
            "HostKeyAlias": self._known_as(),
            "CheckHostIP": "no",
            "ConnectTimeout": "10",
            "ServerAliveInterval": "15",
            "PermitLocalCommand": "no",
        }
        said = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        # a shell reads it
        return {"GIT_SSH_COMMAND": shlex.join(["ssh", "-F", "/dev/null", "-i", key, *said]), "GIT_SSH_VARIANT": "ssh"}

    def _known_as(self) -> str:
        """The name in known_hosts. With an alias ssh itself looks for no [host]:port, which ssh-keyscan writes."""
        port = urlsplit(self.url).port or _PORTS["ssh"]
        hosts = {one for line in self.credentials.known_hosts.splitlines() for one in line.split(" ")[0].split(",")}
        return self.host if port == _PORTS["ssh"] or self.host in hosts else f"[{self.host}]:{port}"


def _written(path: Path, text: str, *, mode: int = 0o600) -> str:
    path.touch(mode=mode)
    path.write_text(text)
    return str(path)
