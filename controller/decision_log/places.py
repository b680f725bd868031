"""Where decisions go: addresses, and tokens that no representation shows."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bucket:
    """Of an InfluxDB 2; the token may write it."""

    url: str
    org: str
    bucket: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class Annotations:
    """A Grafana, and a service account's token that may write annotations of the organization."""

    url: str
    token: str = field(repr=False)
