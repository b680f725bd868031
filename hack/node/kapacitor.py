"""A Kapacitor that asks an InfluxDB 2 in Flux, and takes points on /kapacitor/v1/write; tests start their own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from hack.node import build
from hack.node.influx import InfluxDB
from hack.node.process import Daemon, free_port, record, stop
from hack.node.trouble import TroubleError

_READY_SECONDS = 60


@dataclass(frozen=True)
class Endpoint:
    """Of an alert's `.post().endpoint(NAME)`."""

    name: str
    url: str
    token: str

    def config(self) -> str:
        headers = f'{{ Authorization = "Bearer {self.token}" }}'
        return f'[[httppost]]\nendpoint = "{self.name}"\nurl = "{self.url}"\nheaders = {headers}\n'


class Kapacitor:
    """Data stay in `directory`. `load`: a folder with `tasks`, which it defines when it starts."""

    database = "telegraf"

    def __init__(
        self,
        directory: Path,
        *,
        influx: InfluxDB | None = None,
        load: Path | None = None,
        endpoint: Endpoint | None = None,
    ) -> None:
        self.directory = directory.resolve()
        self._listen = f"127.0.0.1:{free_port()}"
        self._influx = influx
        self._load = load
        self._endpoint = endpoint

    @property
    def url(self) -> str:
        return f"http://{self._listen}/kapacitor/v1"

    def start(self) -> None:
        config = self.directory / "kapacitor.conf"
        config.touch(mode=0o600)
        config.write_text(self._config())
        daemon = Daemon(
            name="kapacitord",
            directory=self.directory,
            command=[build.program("kapacitord"), "-config", config],
            # its client of Snowflake holds a certificate with a negative number, which Go no longer takes
            env={"HOME": str(self.directory), "GODEBUG": "x509negativeserial=1"},
        )
        daemon.start()
        with self._http() as client:
            daemon.wait_until(lambda: _ready(client, self.url) and self._has_loaded(), seconds=_READY_SECONDS)

    def stop(self) -> None:
        stop(record(self.directory, "kapacitord"), seconds=10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def define(self, name: str, script: str) -> None:
        """A stream of the points that are written."""
        task = {"id": name, "type": "stream", "dbrps": [{"db": self.database, "rp": "autogen"}], "script": script}
        with self._http() as client:
            _checked(client.post(f"{self.url}/tasks", json={**task, "status": "enabled"}))

    def _has_loaded(self) -> bool:
        """It answers before that."""
        wanted = list((self._load / "tasks").glob("*.tick")) if self._load else []
        return len([task for task in self.tasks() if task["executing"]]) >= len(wanted)

    def tasks(self) -> list[dict[str, Any]]:
        with self._http() as client:
            found: list[dict[str, Any]] = _checked(client.get(f"{self.url}/tasks"))["tasks"]
            return found

    def queried(self, task: str) -> int:
        """How many answers with rows a task has had."""
        with self._http() as client:
            stats = _checked(client.get(f"{self.url}/tasks/{task}"))["stats"]["node-stats"]
            return int(stats["queryFlux1"].get("batches_queried", 0))

    def write(self, *lines: str) -> None:
        with self._http() as client:
            _checked(
                client.post(
                    f"{self.url}/write", params={"db": self.database, "rp": "autogen"}, content="\n".join(lines)
                )
            )

    def events(self, topic: str) -> Mapping[str, Mapping[str, Any]]:
        """The state of each alert of a topic, by its id: level, message."""
        with self._http() as client:
            answer = client.get(f"{self.url}/alerts/topics/{topic}/events")
            if answer.is_server_error and "unknown topic" in answer.text:  # nothing has fired yet
                return {}
            return {event["id"]: event["state"] for event in _checked(answer)["events"]}

    def _config(self) -> str:
        at = self.directory
        return (
            f'hostname = "localhost"\ndata_dir = "{at}"\n'
            f'[http]\nbind-address = "{self._listen}"\nlog-enabled = false\n'
            f'[logging]\nfile = "STDERR"\nlevel = "WARN"\n'
            f'[replay]\ndir = "{at / "replay"}"\n[task]\ndir = "{at / "tasks"}"\n'
            f'[storage]\nboltdb = "{at / "kapacitor.db"}"\n'
            "[reporting]\nenabled = false\n[stats]\nenabled = false\n"
            + (f'[load]\nenabled = true\ndir = "{self._load}"\n' if self._load else "[load]\nenabled = false\n")
            + self._database()
            + (self._endpoint.config() if self._endpoint else "")
        )

    def _database(self) -> str:
        if self._influx is None:
            return "[[influxdb]]\nenabled = false\n"
        return (
            '[[influxdb]]\nenabled = true\ndefault = true\nname = "default"\n'
            f'urls = ["{self._influx.url}"]\ntoken = "{self._influx.token}"\n'
            'disable-subscriptions = true\ntimeout = "10s"\n'
        )

    def _http(self) -> httpx.Client:
        return httpx.Client(timeout=10, trust_env=False)


def _ready(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/ping").status_code == httpx.codes.NO_CONTENT
    except httpx.TransportError:
        return False


def _checked(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise TroubleError(f"Kapacitor answered {answer.request.url} with {answer.status_code}: {answer.text}")
    return json.loads(answer.content) if answer.content else None
