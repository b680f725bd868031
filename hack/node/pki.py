"""Certificates of one cluster, made with the openssl command: 20 ms each, on elliptic curves.

They last as long as a test cluster may; the directory they lie in is private.
"""

import base64
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from hack.node.trouble import TroubleError

_DAYS = "365"
_CONFIG = b"[req]\ndistinguished_name=dn\n[dn]\n"  # the machine's own would add extensions


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path


class Authority:
    """Signs the certificates in its directory; what is there already is used again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.pair = self._pair("ca")

    def create(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.pair.certificate.exists():
            self._key(self.pair.key)
            extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"]
            self._finish(self.pair, _request(self.pair.key, "/CN=pointsman-ca", extensions))

    def server(self, name: str, *, names: Sequence[str], addresses: Sequence[str]) -> Pair:
        alternatives = ",".join([*(f"DNS:{n}" for n in names), *(f"IP:{a}" for a in addresses)])
        return self._signed(name, subject=f"/CN={name}", usage="serverAuth", more=[f"subjectAltName={alternatives}"])

    def client(self, name: str, *, user: str, group: str = "") -> Pair:
        organization = f"/O={group}" if group else ""
        return self._signed(name, subject=f"{organization}/CN={user}", usage="clientAuth", more=[])

    def signing_key(self, name: str) -> Pair:
        """A key and its public half, for service account tokens."""
        pair = Pair(self._directory / f"{name}.pub", self._directory / f"{name}.key")
        if not pair.certificate.exists():
            self._key(pair.key)
            self._finish(pair, ["pkey", "-in", pair.key, "-pubout"])
        return pair

    def kubeconfig(self, path: Path, *, server: str, client: Pair) -> Path:
        """Holds the key itself, so that the file can be copied away."""
        user = {
            "client-certificate-data": _base64(client.certificate),
            "client-key-data": _base64(client.key),
        }
        cluster = {"server": server, "certificate-authority-data": _base64(self.pair.certificate)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "pointsman", "cluster": cluster}],
            "users": [{"name": "pointsman", "user": user}],
            "contexts": [{"name": "pointsman", "context": {"cluster": "pointsman", "user": "pointsman"}}],
            "current-context": "pointsman",
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        # at once: a cluster is brought up again while others read the file
        new = path.with_name(f".{path.name}.{os.getpid()}")
        new.touch(mode=0o600)
        new.write_text(yaml.safe_dump(content))
        new.replace(path)
        return path

    def _pair(self, name: str) -> Pair:
        return Pair(self._directory / f"{name}.crt", self._directory / f"{name}.key")

    def _signed(self, name: str, *, subject: str, usage: str, more: Sequence[str]) -> Pair:
        pair = self._pair(name)
        if not pair.certificate.exists():
            self._key(pair.key)
            extensions = ["basicConstraints=critical,CA:FALSE", f"extendedKeyUsage={usage}", *more]
            signed_by: list[str | Path] = ["-CA", self.pair.certificate, "-CAkey", self.pair.key]
            self._finish(pair, [*_request(pair.key, subject, extensions), *signed_by])
        return pair

    def _key(self, path: Path) -> None:
        path.touch(mode=0o600)
        path.write_bytes(_openssl(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]))

    def _finish(self, pair: Pair, command: Sequence[str | Path]) -> None:
        """The certificate appears last and whole: it says that the pair is complete."""
        temporary = pair.certificate.with_suffix(".new")
        temporary.write_bytes(_openssl(command))
        temporary.rename(pair.certificate)


def _request(key: Path, subject: str, extensions: Sequence[str]) -> list[str | Path]:
    command: list[str | Path] = ["req", "-config", "/dev/stdin", "-x509", "-new", "-key", key]
    command += ["-subj", subject, "-days", _DAYS]
    return [*command, *(part for extension in extensions for part in ("-addext", extension))]


def _openssl(command: Sequence[str | Path]) -> bytes:
    try:
        done = subprocess.run(["openssl", *command], input=_CONFIG, capture_output=True, check=False)
    except FileNotFoundError:
        raise TroubleError("the openssl command is missing: apt-get install openssl.") from None
    if done.returncode:
        raise TroubleError(f"openssl {command[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
