"""Bare repositories that a person works in, and a server in front of them that can hang."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hack.git_http import GitHttp, git_http
from hack.node.pki import Pair

USER, PASSWORD = "pointsman", "s3cret-of-the-repository"
_ENV = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a person",
    "GIT_AUTHOR_EMAIL": "person@shop.qa",
    "GIT_COMMITTER_NAME": "a person",
    "GIT_COMMITTER_EMAIL": "person@shop.qa",
    "HOME": "/nonexistent",
}


def git(folder: Path, *arguments: str, said: str | None = None) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=_ENV, input=said, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass
class Origin:
    """A bare repository, and a clone of it that a person works in."""

    folder: Path
    bare: Path = field(init=False)
    work: Path = field(init=False)

    def __post_init__(self) -> None:
        self.bare, self.work = self.folder / "shop.git", self.folder / "work"
        self.folder.mkdir(exist_ok=True)
        git(self.folder, "init", "-q", "--bare", "-b", "main", str(self.bare))
        for key, value in (("uploadpack.allowFilter", "true"), ("http.receivepack", "true"), ("gc.auto", "0")):
            git(self.bare, "config", key, value)
        git(self.folder, "clone", "-q", str(self.bare), str(self.work))
        git(self.work, "checkout", "-q", "-B", "main")

    @property
    def url(self) -> str:
        return self.bare.as_uri()

    def commit(self, message: str, files: Mapping[str, str | None]) -> str:
        """Pushed to main. None: the file goes."""
        for name, text in files.items():
            path = self.work / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "--allow-empty", "-m", message)
        git(self.work, "push", "-q", "origin", "main")
        return git(self.work, "rev-parse", "HEAD").strip()

    def pull(self) -> None:
        git(self.work, "pull", "-q", "--rebase", "origin", "main")

    def read(self, name: str, branch: str = "main") -> str:
        return git(self.bare, "show", f"{branch}:{name}")

    def subjects(self, branch: str = "main") -> list[str]:
        return git(self.bare, "log", "--format=%s", branch).splitlines()

    def message(self, name: str = "main") -> str:
        return git(self.bare, "log", "-1", "--format=%B", name)

    def hook(self, name: str, script: str) -> None:
        path = self.bare / "hooks" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


@dataclass(frozen=True)
class Certificate:
    """Of 127.0.0.1, signed by itself."""

    chain: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "git")])
        now = dt.datetime.now(dt.UTC)
        host = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([host]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        found = cls(folder / "git.crt", folder / "git.key")
        found.chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        found.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
        return found


@dataclass(slots=True)
class Served:
    http: GitHttp
    hanging: threading.Event
    """Set: nothing is answered."""
    released: threading.Event
    requests: list[str]

    @property
    def url(self) -> str:
        return self.http.url

    def admit(self, request: str) -> bool:
        self.requests.append(request)
        if self.hanging.is_set():
            self.released.wait()
            return False
        return True


@contextmanager
def served(folder: Path, *, certificate: Certificate | None = None) -> Iterator[Served]:
    """All repositories of the folder."""
    pair = None if certificate is None else Pair(certificate.chain, certificate.key)
    with git_http(folder, user=USER, password=PASSWORD, pair=pair) as http:
        found = Served(http, threading.Event(), threading.Event(), [])
        http.admit = found.admit
        try:
            yield found
        finally:
            found.released.set()
