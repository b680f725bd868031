"""`spec.service`: the ports of the Services that Pointsman makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.fields import Absent, Kinds, Place, Rule, field, record
from controller.api.shapes import (
    LABEL,
    Custom,
    Integer,
    List,
    Record,
    Text,
    Word,
)

_APP_PROTOCOL = r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
"""As the API server wants it: the name of a label, with or without a prefix."""


def _port_names(ports: tuple[_Port, ...], place: Place) -> None:
    names: set[str] = set()
    for index, port in enumerate(ports):
        here = place.item(index).at("name")
        if not port.name and len(ports) > 1:
            raise here.refuse("is required: each of several ports needs a name")
        if port.name and port.name in names:
            raise here.refuse(f"duplicate {port.name!r}")
        names.add(port.name)


def _target_port(value: Any, place: Place) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool):
        return Integer(1, 65535).parse(value, place)
    return Text(15, 0, LABEL).parse(value, place)


_TARGET_PORT = Custom(
    {"x-kubernetes-int-or-string": True, "minimum": 1, "maximum": 65535, "pattern": LABEL, "maxLength": 15},
    _target_port,
)


@record()
class _Port:
    port: int = field(Integer(1, 65535), "What callers call.")
    name: str = field(Text(63, 1, LABEL), "Required if there are several.", default=Absent(""))
    target_port: int | str | None = field(
        _TARGET_PORT, "Number or name of the pods' port. Default: same as `port`.", default=Absent()
    )
    protocol: str = field(Word(("TCP", "UDP", "SCTP")), "Of the transport.", default="TCP")
    app_protocol: str = field(
        Text(253, 1, _APP_PROTOCOL),
        "Of the application, such as kubernetes.io/h2c for gRPC and HTTP/2 without TLS; the router may go by it.",
        default=Absent(""),
        key="appProtocol",
    )


@dataclass(frozen=True)
class _AsWritten:
    """A list whose entries are read to see that they can be, and kept as they are: they are hashed."""

    of: List

    @property
    def needs(self) -> str:
        return self.of.needs

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        return self.of.schema(kinds)

    def parse(self, value: Any, place: Place) -> tuple[Mapping[str, Any], ...]:
        self.of.parse(value, place)
        return tuple(dict(item) for item in value)


PORTS = List(
    Record(_Port),
    20,
    1,
    unique=("port", "protocol"),
    rules=(
        Rule("each of several ports needs a name", cel="self.size() <= 1 || self.all(port, has(port.name))"),
        Rule(
            "two ports have the same name",
            cel="self.all(one, !has(one.name) || self.exists_one(other, has(other.name) && other.name == one.name))",
        ),
    ),
    checks=(_port_names,),
    needs="needs at least one port, such as {port: 80, targetPort: 8080}",
)


def is_tcp(port: Mapping[str, Any]) -> bool:
    return bool(port.get("protocol", "TCP") == "TCP")


@record()
class Service:
    ports: tuple[Mapping[str, Any], ...] = field(
        _AsWritten(PORTS), "As in a Service. A route sends to the first TCP port. A change is a new version."
    )
