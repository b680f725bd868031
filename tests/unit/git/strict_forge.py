"""The part of each forge's API that shows what a commit has caused, as strict as its documentation."""

import asyncio
import json
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import httpx

from controller.api.git_origin import Forge

TOKEN = "the-token-of-the-robot"  # noqa: S105 - of nothing
SHA = "9f31c07a52" * 4
STATES = {
    Forge.GITEA: {"pending", "success", "error", "failure", "warning"},
    Forge.GITHUB: {"pending", "success", "error", "failure"},
    Forge.GITLAB: {"pending", "running", "success", "failed", "canceled"},
}


class StrictForge(httpx.AsyncBaseTransport):
    """One repository, `team/shop`, that holds the commit SHA."""

    def __init__(self, forge):
        self.forge = forge
        self.statuses, self.comments, self.posts = [], [], []
        self.pull: int | None = 7
        """The pull request that brought the commit; None: there is none."""
        self.refusals, self.cut_after_posts = [], 0

    async def aclose(self):
        """It is used again."""

    def __call__(self, resolve, tls):
        return self

    async def handle_async_request(self, request):
        if self.refusals:
            status, headers, body = self.refusals.pop(0)
            return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))
        url = urlsplit(str(request.url))
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        body = json.loads(request.content) if request.method == "POST" else None
        status, answer = getattr(self, f"_{self.forge.lower()}")(request, url, query, body)
        if body is not None and status == 201:
            self.posts.append(body)
            if len(self.posts) == self.cut_after_posts:
                raise httpx.ReadError("the connection ended")
        return httpx.Response(status, stream=httpx.ByteStream(json.dumps(answer).encode()))

    @property
    def shown(self):
        """State and description of the newest status."""
        last = self.statuses[-1]
        return last["state"], last["description"]

    def _gitea(self, request, url, query, body):
        assert request.headers["Authorization"] == f"token {TOKEN}"
        base = "/api/v1/repos/team/shop"
        if url.path == f"{base}/commits/{SHA}/pull":
            return (404, {}) if self.pull is None else (200, {"number": self.pull})
        if url.path == f"{base}/issues/{self.pull}/comments":
            return self._comment(body, "body", query, paged=False)
        return self._status(url, base, query, body, "status")

    def _github(self, request, url, query, body):
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        assert request.headers["X-GitHub-Api-Version"] == "2022-11-28"
        base = "/api/v3/repos/team/shop"
        if url.path == f"{base}/commits/{SHA}/comments":
            return self._comment(body, "body", query)
        return self._status(url, base, query, body, "state")

    def _status(self, url, base, query, body, word):
        if body is None:
            if url.path != f"{base}/commits/{SHA}/status":
                return 404, {}
            newest = {one["context"]: {**one, word: one["state"]} for one in self.statuses}
            return 200, {"state": "pending", "statuses": list(newest.values())}
        if url.path != f"{base}/statuses/{SHA}":
            return 422, {}
        assert set(body) == {"state", "context", "description"}
        return self._set(body, body["context"])

    def _gitlab(self, request, url, query, body):
        assert request.headers["PRIVATE-TOKEN"] == TOKEN
        assert url.path.startswith("/api/v4/projects/team%2Fshop/")
        base = "/api/v4/projects/team/shop"
        path = unquote(url.path)
        if path == f"{base}/repository/commits/{SHA}/comments":
            return self._comment(body, "note", query)
        if body is None:
            if path != f"{base}/repository/commits/{SHA}/statuses":
                return 404, {}
            assert set(query) == {"name"}
            return 200, [{**one, "status": one["state"], "name": one["context"]} for one in self.statuses]
        if path != f"{base}/statuses/{SHA}":
            return 404, {}
        assert set(body) == {"state", "name", "description"}
        going = ("pending", "running")
        if self.statuses and self.statuses[-1]["state"] == body["state"] and body["state"] in going:
            return 400, {"message": "Cannot transition status via :run from :running"}
        return self._set(body, body["name"])

    def _set(self, body, context):
        assert body["state"] in STATES[self.forge]
        assert len(body["description"]) <= 140
        self.statuses.append(
            {"id": len(self.statuses), "state": body["state"], "description": body["description"], "context": context}
        )
        return 201, {}

    def _comment(self, body, key, query, *, paged=True):
        if body is None:
            if not paged:
                return 200, self.comments
            size, page = int(query["per_page"]), int(query["page"])
            return 200, self.comments[size * (page - 1) : size * page]
        assert set(body) == {key}
        self.comments.append(body)
        return 201, body


@contextmanager
def reachable(forge, certificate):
    """The url of its server, for another process. It serves one request after the other, each to its end."""
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    server.forge = forge  # type: ignore[attr-defined]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    timeout = 10

    def log_message(self, *args):
        """Tests are silent."""

    def do_GET(self):
        asyncio.run(self._answer())

    def do_POST(self):
        asyncio.run(self._answer())

    async def _answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length)
        if len(content) < length:
            return  # whoever sent it is dead
        url = f"https://{self.headers['Host']}{self.path}"
        request = httpx.Request(self.command, url, headers=dict(self.headers), content=content)
        response = await self.server.forge.handle_async_request(request)  # type: ignore[attr-defined]
        body = await response.aread()
        self.send_response(response.status_code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
