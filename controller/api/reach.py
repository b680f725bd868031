"""Fields that say by what a request reaches a version."""

from __future__ import annotations

from controller.api.fields import Absent, field, record
from controller.api.shapes import List, Record, Text

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
HOST_NAME = Text(253, 1, rf"^(\*\.)?{_LABEL}(\.{_LABEL})*$", looks="a host name in lower case such as shop.example.com")
"""The Gateway API's own pattern, so that the API server does not take here what it refuses in the route."""
_HEADER_NAME = Text(256, 1, "^[A-Za-z0-9!#$%&'*+.^_|~`-]+$", looks="the name of a header such as x-canary")
"""A token of RFC 9110, as the Gateway API has it."""


@record()
class Header:
    name: str = field(_HEADER_NAME, "Of the request's header.")
    value: str = field(Text(4096, 1), "Its whole value.")


@record(exactly_one=True)
class Preview:
    hostnames: tuple[str, ...] | None = field(
        List(HOST_NAME, 16, 1),
        "Host names that lead to the new version; none of those of spec.traffic.",
        default=Absent(),
    )
    header: Header | None = field(Record(Header), "Requests with this header get the new version.", default=Absent())


@record()
class Sticky:
    cookie: str = field(
        Text(64, 1, "^[A-Za-z0-9_-]+$", looks="the name of a cookie such as shop-version"),
        "Name of the cookie that the router sets and reads.",
    )
