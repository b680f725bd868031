"""Debian's Alertmanager, alone, without a cluster of its own; tests start their own."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from hack.node import debian
from hack.node.process import Daemon, free_port, record, stop
from hack.node.trouble import TroubleError

_READY_SECONDS = 60


class Alertmanager:
    """Sends what fires to one receiver, at once; data stay in `directory`."""

    def __init__(self, directory: Path, receiver: Mapping[str, Any]) -> None:
        self.directory = directory.resolve()
        self._listen = f"127.0.0.1:{free_port()}"
        self._receiver = receiver

    @property
    def url(self) -> str:
        return f"http://{self._listen}"

    def start(self) -> None:
        debian.ensure(debian.ALERTMANAGER, by="the test of Alertmanager")
        route = {"receiver": self._receiver["name"], "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"}
        config = self.directory / "alertmanager.yml"
        config.write_text(yaml.safe_dump({"route": route, "receivers": [dict(self._receiver)]}))
        daemon = Daemon(
            name="alertmanager",
            directory=self.directory,
            command=[
                "/usr/bin/prometheus-alertmanager",
                f"--config.file={config}",
                f"--storage.path={self.directory / 'data'}",
                f"--web.listen-address={self._listen}",
                "--cluster.listen-address=",
                "--log.level=warn",
            ],
        )
        daemon.start()
        with self._http() as client:
            daemon.wait_until(lambda: _ready(client), seconds=_READY_SECONDS)

    def stop(self) -> None:
        stop(record(self.directory, "alertmanager"), seconds=10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def take(self, labels: Mapping[str, str], *, since: datetime, until: datetime | None = None) -> None:
        """An alert, as Prometheus sends it: it fires since then, until `until`."""
        alert: dict[str, Any] = {"labels": dict(labels), "startsAt": since.isoformat()}
        if until is not None:
            alert["endsAt"] = until.isoformat()
        with self._http() as client:
            answer = client.post("/api/v2/alerts", json=[alert])
        if answer.is_error:
            raise TroubleError(f"Alertmanager answered {answer.request.url} with {answer.status_code}: {answer.text}")

    def _http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=10, trust_env=False)


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
