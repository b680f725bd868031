"""Which addresses the operator calls when a tenant names them.

The operator stands where its tenants do not: next to the API server, inside the node's link-local network with the
cloud's credentials, on its own loopback. A name is resolved here, all of its addresses are checked, and the caller
connects to one of those: a second resolution could say something else (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from controller.api.resources import ENDPOINT_SLICES, SERVICES
from controller.kube.client import InvalidError, KubeClient, KubeError
from controller.ports import TargetError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_METADATA = frozenset(map(ipaddress.ip_address, ("168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254")))
"""Clouds' metadata services outside of the link-local networks: Azure, Alibaba, and AWS and Google by IPv6."""
_RESOLVERS = 32
_KNOWN_FOR_S = 60.0


ApiServer = Callable[[], Awaitable[Collection[IPAddress]]]
"""The addresses of the API server now. Raises KubeError."""


class Addresses:
    """`listed`: networks that may be called, but for the API server, link-local addresses and metadata services in
    them; a single address that is listed may be called whatever it is. `inside`: whether addresses that the internet
    does not route may be called without being listed.
    """

    def __init__(self, api_server: ApiServer, *, listed: Collection[Network] = (), inside: bool = True) -> None:
        self._api_server = api_server
        self._listed = tuple(listed)
        self._inside = inside
        # not the loop's own: a name server that does not answer holds a thread for half a minute
        self._resolvers = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="resolve")

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        """Addresses that may be called, the resolver's preferred one first. Raises TargetError."""
        look_up = asyncio.get_running_loop().run_in_executor(self._resolvers, _look_up, host, port)
        try:
            found = await look_up
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise TargetError(f"{host} cannot be resolved: {reason or 'not a host name'}") from error
        try:
            api_server = await self._api_server()
        except (KubeError, OSError) as error:
            raise TargetError(
                f"{host} is not called while the API server's addresses are not known: {error}"
            ) from error
        for address in found:
            problem = self._problem(address, api_server)
            if problem:
                raise TargetError(f"{host} is at {address}, {problem}")
        return tuple(map(str, found))

    def _problem(self, address: IPAddress, api_server: Collection[IPAddress]) -> str:
        listing = [network for network in self._listed if address in network]
        if any(network.num_addresses == 1 for network in listing):
            return ""
        meant = tuple(_meant(address))
        if not listing and any(one.is_loopback or one.is_unspecified for one in meant):
            problem = "a loopback address"
        else:
            problem = next(filter(None, (_never(one, api_server) for one in meant)), "")
        if problem:
            return f"{problem}, which Pointsman does not call; use another url"
        if not self._inside and not listing and not all(one.is_global for one in meant):
            return "which the internet does not route; a platform administrator can list its network (--source-network)"
        return ""


def _look_up(host: str, port: int) -> tuple[IPAddress, ...]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return tuple(dict.fromkeys(ipaddress.ip_address(str(entry[4][0])) for entry in found))


def _never(address: IPAddress, api_server: Collection[IPAddress]) -> str:
    if address.is_link_local:
        return "a link-local address"
    if address in _METADATA:
        return "a cloud's metadata service"
    if address.is_multicast or (address.version == 4 and address.is_reserved):  # noqa: PLR2004 - IPv4
        return "not the address of one server"
    return "the API server" if address in api_server else ""


def _meant(address: IPAddress) -> Iterator[IPAddress]:
    """The address, and the IPv4 addresses that a translator or a tunnel would make of it."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = mapped or address
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        if address.sixtofour is not None:
            yield address.sixtofour
        if address.teredo is not None:
            yield from address.teredo
        if address in _NAT64:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def api_server_of(kube: KubeClient) -> ApiServer:
    """By its url, its Service and its endpoints; read again once a minute, because control planes are replaced."""
    known: frozenset[IPAddress] = frozenset()
    read_at: float | None = None

    async def addresses() -> frozenset[IPAddress]:
        nonlocal known, read_at
        if read_at is None or time.monotonic() - read_at > _KNOWN_FOR_S:
            known = frozenset(await _read(kube))
            read_at = time.monotonic()
        return known

    return addresses


async def _read(kube: KubeClient) -> set[IPAddress]:
    texts = {os.environ.get("KUBERNETES_SERVICE_HOST", "")}
    host = urlsplit(str(kube.configuration.host)).hostname
    if host:
        found = await asyncio.get_running_loop().getaddrinfo(host, None)
        texts |= {str(entry[4][0]) for entry in found}
    try:
        service = await kube.find(SERVICES, "default", "kubernetes") or {}
        texts |= set(service.get("spec", {}).get("clusterIPs") or ())
        slices = await kube.list(ENDPOINT_SLICES, "default", labels="kubernetes.io/service-name=kubernetes")
        texts |= {address for one in slices for end in one.get("endpoints") or () for address in end["addresses"]}
    except InvalidError as error:
        if error.status != _FORBIDDEN:
            raise
        # an operator of one namespace may not read there; the url it uses itself is known
    return {ipaddress.ip_address(text) for text in texts if _is_address(text)}


_FORBIDDEN = 403


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
