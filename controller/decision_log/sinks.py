"""Where an installation wants decisions to go. Nowhere, unless it says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from controller.decision_log.entry import Sink
from controller.decision_log.places import Annotations, Bucket

DECISIONS_TOKEN, ANNOTATIONS_TOKEN = "POINTSMAN_DECISIONS_TOKEN", "POINTSMAN_ANNOTATIONS_TOKEN"


class SinkSettingsError(Exception):
    """One sentence with the option, or the variable, and what is wrong with it."""


@dataclass(frozen=True)
class SinkSettings:
    decisions: Bucket | None = None
    annotations: Annotations | None = None

    def sinks(self, cluster: str) -> Iterator[Sink]:
        # importing their libraries takes a second, which only installations with a sink should pay
        from controller.decision_log.grafana import GrafanaSink  # noqa: PLC0415
        from controller.decision_log.influxdb import InfluxSink  # noqa: PLC0415

        if self.decisions is not None:
            yield InfluxSink(self.decisions, cluster)
        if self.annotations is not None:
            yield GrafanaSink(self.annotations)


NOWHERE = SinkSettings()


def sink_settings(
    *, decisions_url: str, decisions_org: str, decisions_bucket: str, annotations_url: str, environ: Mapping[str, str]
) -> SinkSettings:
    """Tokens are in the environment alone: arguments are read by everybody on the machine. Raises SinkSettingsError."""
    return SinkSettings(
        _bucket(decisions_url, decisions_org, decisions_bucket, environ),
        _annotations(annotations_url, environ),
    )


def _bucket(url: str, org: str, bucket: str, environ: Mapping[str, str]) -> Bucket | None:
    if not url:
        if org or bucket:
            raise SinkSettingsError("--decisions-org and --decisions-bucket need --decisions-url")
        return None
    for option, value in (("--decisions-org", org), ("--decisions-bucket", bucket)):
        if not value:
            raise SinkSettingsError(f"--decisions-url needs {option}")
    return Bucket(_url("--decisions-url", url), org, bucket, _token(DECISIONS_TOKEN, "--decisions-url", environ))


def _annotations(url: str, environ: Mapping[str, str]) -> Annotations | None:
    if not url:
        return None
    return Annotations(_url("--annotations-url", url), _token(ANNOTATIONS_TOKEN, "--annotations-url", environ))


def _url(option: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        sound = False
    if not sound or not url.isprintable() or " " in url:
        raise SinkSettingsError(f"{option} is not an address such as http://influxdb.monitoring:8086")
    if parts.username is not None or parts.query or parts.fragment:
        raise SinkSettingsError(f"{option} holds more than an address; the token belongs into the environment")
    return url.rstrip("/")


def _token(name: str, option: str, environ: Mapping[str, str]) -> str:
    token = environ.get(name, "").strip()  # a Secret that was made from a file keeps its last newline
    if not token:
        raise SinkSettingsError(f"{option} needs a token in the environment variable {name}")
    if not token.isascii() or not token.isprintable():
        raise SinkSettingsError(f"{name} is not a token")
    return token
