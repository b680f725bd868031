"""Guesses at codes and secrets are counted, and run out: by the address they come from, and by what is guessed at.

Only wrong ones count, so that many honest people behind one address do not use up each other's. Counts are those of
one process: with N pods somebody has N times as many guesses, which is still next to none of 887 million codes.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request

WINDOW_S = 600
WRONG = 20
"""Wrong guesses in a window, which begins with the first of them."""
_MOST_KEYS = 50_000
_IPV6_BITS = 64
"""What one customer of a provider is given; the rest of an address is theirs to choose."""


@dataclass(slots=True)
class Throttle:
    """`clock`: milliseconds since 1970."""

    clock: Callable[[], int]
    _counts: OrderedDict[str, tuple[int, int]] = field(default_factory=OrderedDict)
    """Key → end of its window, wrong guesses in it."""

    def wait_s(self, *keys: str) -> int:
        """Seconds until these may guess again, 0 for now."""
        now = self.clock()
        ends = [end for end, count in map(self._count, keys) if count >= WRONG and end > now]
        return max((-(-(end - now) // 1000) for end in ends), default=0)

    def wrong(self, *keys: str) -> int:
        """Counts a wrong guess. Answers the seconds to wait if it was one too many, and must not be answered.

        Of guesses that come at once, all are let in before the first is found wrong.
        """
        now, wait = self.clock(), self.wait_s(*keys)
        for key in keys:
            end, count = self._count(key)
            self._counts[key] = (end, count + 1) if end > now else (now + WINDOW_S * 1000, 1)
            self._counts.move_to_end(key)
        while len(self._counts) > _MOST_KEYS:
            self._counts.popitem(last=False)
        return wait

    def _count(self, key: str) -> tuple[int, int]:
        return self._counts.get(key, (0, 0))


def address_key(request: Request, *, proxies: int) -> str:
    """Of the caller. `proxies`: how many of ours add an entry to X-Forwarded-For; what stands before, anybody wrote."""
    address = request.client.host if request.client else ""
    if proxies:
        entries = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        address = entries[-proxies].strip() if len(entries) >= proxies else address
    try:
        found = ipaddress.ip_address(_without_port(address))
    except ValueError:
        return f"address {address[:64]}"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return f"address {found.ipv4_mapped}"
        return f"address {ipaddress.ip_network((found, _IPV6_BITS), strict=False)}"
    return f"address {found}"


def _without_port(address: str) -> str:
    """Some proxies write the port of the caller as well: `192.0.2.7:5012`, `[2001:db8::1]:5012`."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address
