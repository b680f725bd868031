"""Debian's InfluxDB 1.6.7, with users and passwords; InfluxQL on /query, writes on /write.

Needs no root where the package is installed, and takes a free port, so tests start their own.
"""

import secrets
from pathlib import Path
from typing import Self

import httpx

from hack.node import debian
from hack.node.process import Daemon, free_port, record, stop
from hack.node.trouble import TroubleError

_READY_SECONDS = 60
READER = "reader"


class InfluxDB1:
    """`start` and `stop` may be called again and again; data stay in `directory`."""

    database = "telegraf"

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self._listen = f"127.0.0.1:{free_port()}"
        self.password = secrets.token_urlsafe(16)
        """Of the reader, who may read the database, and of the administrator."""

    @property
    def url(self) -> str:
        return f"http://{self._listen}"

    def start(self) -> None:
        debian.ensure(debian.INFLUXDB_1, by="the test of InfluxDB 1")
        data = self.directory / "influxdb1"
        config = self.directory / "influxdb.conf"
        config.write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{free_port()}"\n'
            f'[meta]\ndir = "{data / "meta"}"\n'
            f'[data]\ndir = "{data / "data"}"\nwal-dir = "{data / "wal"}"\nquery-log-enabled = false\n'
            f'[http]\nbind-address = "{self._listen}"\nauth-enabled = true\nlog-enabled = false\n'
            '[monitor]\nstore-enabled = false\n[logging]\nlevel = "warn"\n'
        )
        daemon = Daemon(
            name="influxdb1", directory=self.directory, command=["/usr/bin/influxd", "run", "-config", config]
        )
        daemon.start()
        with httpx.Client(base_url=self.url, timeout=10, trust_env=False) as client:
            daemon.wait_until(lambda: _ready(client), seconds=_READY_SECONDS)
        self._set_up()

    def stop(self) -> None:
        stop(record(self.directory, "influxdb1"), seconds=10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def write(self, *lines: str, policy: str = "") -> None:
        with self._admin() as client:
            params = {"db": self.database, "precision": "ns", **({"rp": policy} if policy else {})}
            _checked(client.post("/write", params=params, content="\n".join(lines)))

    def run(self, statement: str) -> None:
        with self._admin() as client:
            _checked(client.post("/query", data={"q": statement}))

    def _set_up(self) -> None:
        """Where it is set up already, each of these changes nothing but the passwords."""
        with httpx.Client(base_url=self.url, timeout=10, trust_env=False) as client:
            create = f"CREATE USER admin WITH PASSWORD '{self.password}' WITH ALL PRIVILEGES"
            client.post("/query", data={"q": create})  # the first user needs no login, and is refused once it is there
        self.run(f'CREATE DATABASE "{self.database}"')
        self.run(f"CREATE USER {READER} WITH PASSWORD '{self.password}'")
        self.run(f'GRANT READ ON "{self.database}" TO {READER}')

    def _admin(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, auth=("admin", self.password), timeout=10, trust_env=False)


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/ping").status_code == httpx.codes.NO_CONTENT
    except httpx.TransportError:
        return False


def _checked(response: httpx.Response) -> None:
    problem = response.text if response.is_error or '"error"' in response.text else ""
    if problem:
        raise TroubleError(f"InfluxDB answered {response.request.url} with {response.status_code}: {problem}")
