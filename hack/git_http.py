"""A git server over HTTP: all bare repositories of a folder, by git's own http-backend, behind a password.

The demo and tests start it; it stands where the cluster's pods, or the test, reach it.
"""

import base64
import os
import secrets
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hack.node.pki import Pair

_SECONDS = 60.0
_MOST = 64 << 20
"""Bytes of a push."""
_PUSH = "/git-receive-pack"

Admit = Callable[[str], bool]
"""Of a request's method and path: whether it is answered; else the connection ends without a word."""
Pushed = Callable[[str], None]
"""Called with the repository's path once a push to it was answered."""


@dataclass
class GitHttp:
    url: str
    """Of the folder, without a slash at the end."""
    user: str
    password: str
    """As all below, it may change while this runs."""
    admit: Admit = lambda _: True
    pushed: Pushed = lambda _: None


@contextmanager
def git_http(
    folder: Path, *, user: str, password: str, address: str = "127.0.0.1", pair: Pair | None = None
) -> Iterator[GitHttp]:
    """Without `pair`, a certificate and its key, it speaks plain HTTP."""
    context = None
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
    server = _Server((address, 0), _Handler)
    scheme = "http" if context is None else "https"
    found = GitHttp(f"{scheme}://{address}:{server.server_port}", user, password)
    server.folder, server.found, server.context = folder, found, context
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    folder: Path
    found: GitHttp
    context: ssl.SSLContext | None

    def get_request(self) -> tuple[Any, Any]:
        """The handshake comes with the first read, in the request's own thread: a silent client holds up nobody."""
        plain, client = super().get_request()
        plain.settimeout(_SECONDS)
        if self.context is None:
            return plain, client
        return self.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), client

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away; whoever started this has a terminal of their own."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Whoever started this has a terminal of their own."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self._body()
        found = self.server.found
        if not found.admit(f"{self.command} {self.path}"):
            self.close_connection = True
            return
        expected = base64.b64encode(f"{found.user}:{found.password}".encode()).decode()
        if not secrets.compare_digest(self.headers.get("Authorization", ""), f"Basic {expected}"):
            self._send(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
            return
        done = subprocess.run(
            ["git", "http-backend"],
            env=self._variables(len(body)),
            input=body,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
        status = int(headers.pop("Status", "200" if done.returncode == 0 else "500").split()[0])
        self._send(status, headers, content)
        if self.command == "POST" and self.path.endswith(_PUSH):
            found.pushed(self.path.removesuffix(_PUSH))

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
            "HOME": "/nonexistent",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": self.server.found.user,
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
