"""What may be asked of the load generator: this machine only, bounded in rate and time."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from yarl import URL

HIGHEST_RATE = 2_000.0
LONGEST_S = 600.0


class PlanError(ValueError):
    """What is asked is refused; the message says why and what is allowed."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, at the plan's address; `path` with its query, "" for that of the plan."""

    method: str = "GET"
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __post_init__(self) -> None:
        if self.path and (not self.path.startswith("/") or URL(self.path).is_absolute()):
            raise PlanError(f"{self.path}: a path begins with one /, as load goes to one address only")


@dataclass(frozen=True, slots=True)
class Plan:
    """Checked by `plan_for`, the only place that makes one."""

    url: URL
    host: str
    rate: float
    seconds: float
    fresh: float
    timeout: float
    in_flight: int


def plan_for(
    url: str,
    *,
    rate: float,
    seconds: float = LONGEST_S,
    host: str = "",
    fresh: float = 0.0,
    timeout: float = 10.0,
    in_flight: int = 2_000,
) -> Plan:
    """A plan, or PlanError.

    url        http://127.0.0.1:PORT/path, [::1] or localhost; anything else is refused
    rate       requests per second, sent whether or not earlier ones were answered
    seconds    when to stop by itself
    host       Host header, as a router tells services apart by it
    fresh      share (0..1) of requests on a new connection instead of a kept one
    timeout    seconds until a request counts as a transport error
    in_flight  bound on requests under way; what finds no room is counted as skipped
    """
    target = URL(url)
    if target.scheme != "http" or not _is_this_machine(target.host or ""):
        raise PlanError(f"{url}: load goes to this machine only: http://127.0.0.1:PORT, http://[::1]:PORT or localhost")
    for name, value, lowest, highest in (
        ("rate", rate, 0.1, HIGHEST_RATE),
        ("seconds", seconds, 0.1, LONGEST_S),
        ("fresh", fresh, 0.0, 1.0),
        ("timeout", timeout, 0.05, 60.0),
        ("in_flight", in_flight, 1, 10_000),
    ):
        if not lowest <= value <= highest:
            raise PlanError(f"{name}: {value:g} is not between {lowest:g} and {highest:g}")
    if target.host == "localhost":  # the name is not looked up: it could point anywhere
        target = target.with_host("127.0.0.1")
    return Plan(
        url=target,
        host=host or target.authority,
        rate=rate,
        seconds=seconds,
        fresh=fresh,
        timeout=timeout,
        in_flight=in_flight,
    )


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
