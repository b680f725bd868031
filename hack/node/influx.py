"""An InfluxDB 2.7, set up: Flux on /api/v2/query, InfluxQL on /query?db=BUCKET, writes on /api/v2/write.

Needs no root and takes a free port, so tests start their own; the native
cluster runs one at a fixed address.
"""

import secrets
from pathlib import Path
from typing import Self

import httpx

from hack.node import build
from hack.node.process import Daemon, free_port, record, stop
from hack.node.trouble import TroubleError

_READY_SECONDS = 60
_DAY = 86400


class InfluxDB:
    """`start` and `stop` may be called again and again; data stay in `directory`."""

    org = "pointsman"
    bucket = "metrics"

    def __init__(self, directory: Path, *, address: str = "127.0.0.1", port: int = 0) -> None:
        self.directory = directory.resolve()
        self._listen = f"{address}:{port or free_port()}"

    @property
    def url(self) -> str:
        return f"http://{self._listen}"

    @property
    def token(self) -> str:
        """May do everything; made once for a directory."""
        path = self.directory / "influxd.token"
        try:
            return path.read_text()
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(32))
            return path.read_text()

    def start(self) -> None:
        daemon = self._daemon()
        daemon.start()
        with self._http() as client:
            daemon.wait_until(lambda: _healthy(client), seconds=_READY_SECONDS)
            self._set_up(client)

    def stop(self) -> None:
        stop(record(self.directory, "influxd"), seconds=10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _daemon(self) -> Daemon:
        data = self.directory / "influxd"
        return Daemon(
            name="influxd",
            directory=self.directory,
            command=[
                build.program("influxd"),
                f"--http-bind-address={self._listen}",
                f"--bolt-path={data / 'influxd.bolt'}",
                f"--sqlite-path={data / 'influxd.sqlite'}",
                f"--engine-path={data / 'engine'}",
                "--reporting-disabled",
                "--log-level=warn",
            ],
        )

    def _http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=10, trust_env=False)

    def _set_up(self, client: httpx.Client) -> None:
        if client.get("/api/v2/setup").json()["allowed"]:
            account = {"username": "admin", "password": secrets.token_urlsafe(16), "org": self.org}
            body = {**account, "bucket": self.bucket, "token": self.token, "retentionPeriodSeconds": _DAY}
            _checked(client.post("/api/v2/setup", json=body))
        client.headers["Authorization"] = f"Token {self.token}"
        if not _checked(client.get("/api/v2/dbrps", params={"org": self.org, "db": self.bucket})).json()["content"]:
            buckets = _checked(client.get("/api/v2/buckets", params={"name": self.bucket})).json()["buckets"]
            mapping = {"database": self.bucket, "retention_policy": "autogen", "default": True}
            body = {**mapping, "org": self.org, "bucketID": buckets[0]["id"]}
            _checked(client.post("/api/v2/dbrps", json=body))


def _healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        where = f"{response.request.method} {response.request.url}"
        raise TroubleError(f"InfluxDB answered {where} with {response.status_code}: {response.text}")
    return response
