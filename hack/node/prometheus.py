"""Debian's Prometheus, over TLS and with a login; what it is sent by remote write stands where it says.

Needs no root where the package is installed, and takes a free port, so tests start their own.
"""

import ssl
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx

from hack.node import debian
from hack.node.pki import Authority
from hack.node.process import Daemon, free_port, record, stop

USER, PASSWORD = "admin", "test"
_HASH = "$2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay"
"""That of PASSWORD, from Prometheus's documentation."""
_READY_SECONDS = 60
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""Marks the end of a series."""
Samples = Sequence[tuple[int, float]]
"""Milliseconds since the epoch, and a value."""


class Prometheus:
    """`start` and `stop` may be called again and again; data stay in `directory`."""

    def __init__(self, directory: Path, *, scrapes: Sequence[str] = (), rules: Path | None = None) -> None:
        """`scrapes`: hosts with their ports, which answer `/metrics`."""
        self.directory = directory.resolve()
        self._scrapes = scrapes
        self._rules = rules
        self._listen = f"127.0.0.1:{free_port()}"
        self._authority = Authority(self.directory / "pki")

    @property
    def url(self) -> str:
        return f"https://{self._listen}"

    @property
    def certificates(self) -> str:
        return self._authority.pair.certificate.read_text()

    def start(self) -> None:
        debian.ensure(debian.PROMETHEUS, by="the test of Prometheus")
        self._authority.create()
        pair = self._authority.server("prometheus", names=["localhost"], addresses=["127.0.0.1"])
        config, web = self.directory / "prometheus.yml", self.directory / "web.yml"
        config.write_text(self._config())
        web.write_text(
            f"tls_server_config: {{cert_file: {pair.certificate}, key_file: {pair.key}}}\n"
            f"basic_auth_users: {{{USER}: '{_HASH}'}}\n"
        )
        daemon = Daemon(
            name="prometheus",
            directory=self.directory,
            command=[
                "/usr/bin/prometheus",
                f"--config.file={config}",
                f"--web.config.file={web}",
                f"--web.listen-address={self._listen}",
                f"--storage.tsdb.path={self.directory / 'data'}",
                "--web.enable-remote-write-receiver",
                "--log.level=warn",
            ],
        )
        daemon.start()
        with self._http() as client:
            daemon.wait_until(lambda: _ready(client), seconds=_READY_SECONDS)

    def stop(self) -> None:
        stop(record(self.directory, "prometheus"), seconds=10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def write(self, series: Iterable[tuple[Mapping[str, str], Samples]]) -> None:
        """By remote write: labels, the name as `__name__`, and samples in the order of time."""
        body = _literal(b"".join(_field(1, _series(labels, samples)) for labels, samples in series))
        headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
        with self._http() as client:
            client.post("/api/v1/write", content=body, headers=headers).raise_for_status()

    def alerts(self) -> dict[str, str]:
        """The state of each rule that has one: `pending`, `firing`."""
        with self._http() as client:
            found = client.get("/api/v1/alerts").raise_for_status().json()["data"]["alerts"]
        return {one["labels"]["alertname"]: one["state"] for one in found}

    def _config(self) -> str:
        scrapes = f"scrape_configs: [{{job_name: one, static_configs: [{{targets: {[*self._scrapes]}}}]}}]\n"
        return (
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            "storage: {tsdb: {out_of_order_time_window: 1h}}\n"  # points may come an hour late
            + (scrapes if self._scrapes else "")
            + (f"rule_files: ['{self._rules}']\n" if self._rules else "")
        )

    def _http(self) -> httpx.Client:
        tls = ssl.create_default_context(cadata=self.certificates)
        return httpx.Client(base_url=self.url, auth=(USER, PASSWORD), timeout=10, trust_env=False, verify=tls)


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


# -- protocol buffers and snappy, as far as one message takes them ---------------------------------------------------


def _series(labels: Mapping[str, str], samples: Samples) -> bytes:
    named = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in sorted(labels.items())
    )
    valued = b"".join(
        _field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(moment)) for moment, value in samples
    )
    return named + valued


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _literal(content: bytes) -> bytes:
    """A snappy block that compresses nothing."""
    parts = [content[at : at + 60_000] for at in range(0, len(content), 60_000)]
    return _varint(len(content)) + b"".join(b"\xf4" + struct.pack("<H", len(part) - 1) + part for part in parts)
