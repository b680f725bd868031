"""A git server for a demo: one bare repository over HTTPS, by git's own http-backend, with a password.

It stands where the cluster's pods reach it, as a forge would. It ends with the demo; the repository stays.
"""

import base64
import os
import secrets
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hack.node import network
from hack.node.pki import Authority
from hack.node.trouble import TroubleError

USER = "pointsman"
NAME = "shop.git"
_SECONDS = 60.0
_MOST = 64 << 20
"""Bytes of a push."""


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
    forge: str = ""
    """Which one it is, as `gitOrigin.forge` has it."""
    protect: Callable[[], None] | None = None
    """From now on Pointsman may not push to the branch."""
    merge: Callable[[str], None] | None = None
    """Merges the pull request with this url, as a developer does who has looked at it."""

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
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server = _Server((address, 0), _Handler)
    server.folder, server.password, server.context = folder, secrets.token_urlsafe(24), context
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield GitServer(
            url=f"https://{address}:{server.server_port}/{NAME}",
            pods_url=f"https://{name}/{NAME}",
            user=USER,
            password=server.password,
            ca=authority.pair.certificate,
            token=server.password,
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    folder: Path
    password: str
    context: ssl.SSLContext

    def get_request(self) -> tuple[ssl.SSLSocket, Any]:
        """The handshake comes with the first read, in the request's own thread: a silent client holds up nobody."""
        plain, client = super().get_request()
        plain.settimeout(_SECONDS)
        return self.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), client

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away; the demo tells its story on the same terminal."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """The demo tells its story on the same terminal."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self._body()
        expected = base64.b64encode(f"{USER}:{self.server.password}".encode()).decode()
        if not secrets.compare_digest(self.headers.get("Authorization", ""), f"Basic {expected}"):
            self._send(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
            return
        done = subprocess.run(
            ["git", "http-backend"], env=self._variables(len(body)), input=body, capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
        status = int(headers.pop("Status", "200" if done.returncode == 0 else "500").split()[0])
        self._send(status, headers, content)

    def _send(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _variables(self, length: int) -> dict[str, str]:
        path, _, query = self.path.partition("?")
        return {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": USER,
            "REMOTE_ADDR": self.client_address[0],
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _MOST))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
            if len(body) > _MOST:
                raise ConnectionAbortedError
        self.rfile.readline()
        return body
