"""HTTP to addresses that were checked: the connection goes to one of those, under the name that the url has."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

import httpx
from aiohttp.abc import AbstractResolver, ResolveResult

from controller.outward.leaving import LeavingTransport
from controller.ports import Resolve

_ADDRESSES_TRIED = 3
_CONNECT_S = 2.0


def transport(resolve: Resolve | None, tls: ssl.SSLContext, limits: httpx.Limits) -> httpx.AsyncBaseTransport:
    if resolve is None:
        return LeavingTransport(tls, limits)
    return CheckedTransport(resolve, tls, limits)


class CheckedTransport(httpx.AsyncBaseTransport):
    """Raises TargetError besides httpx's own errors. A proxy of the environment is not used: it would resolve anew."""

    def __init__(self, resolve: Resolve, tls: ssl.SSLContext, limits: httpx.Limits | None = None) -> None:
        self._resolve = resolve
        self._transport = LeavingTransport(tls, limits or httpx.Limits())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        request.extensions = {**request.extensions, "sni_hostname": url.host}
        problem: httpx.ConnectError | httpx.ConnectTimeout | None = None
        addresses = (await self._resolve(url.host, port))[:_ADDRESSES_TRIED]
        if len(addresses) > 1:
            _connect_sooner(request)
        for address in addresses:
            request.url = url.copy_with(host=address)
            try:
                return await self._transport.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                problem = error
        raise problem or httpx.ConnectError(f"{url.host} has no address")

    async def aclose(self) -> None:
        await self._transport.aclose()


async def read_at_most(response: httpx.Response, most: int) -> bytes | None:
    """The body, as it came over the wire; None: it has more than `most` bytes. Raises httpx.HTTPError."""
    content = b""
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > most:
            return None
    return content


def _connect_sooner(request: httpx.Request) -> None:
    """One address that swallows what is sent there must not use up the time of the others."""
    timeout = request.extensions.get("timeout", {})
    connect = min(timeout.get("connect") or _CONNECT_S, _CONNECT_S)
    request.extensions = {**request.extensions, "timeout": {**timeout, "connect": connect}}


class CheckedResolver(AbstractResolver):
    """The same for aiohttp, which asks no resolver about a host that looks like an address: `check` is for those."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    async def check(self, url: str) -> None:
        """Raises TargetError."""
        host = urlsplit(url).hostname or ""
        if ":" in host or host.replace(".", "").isdigit():
            await self._resolve(host, 0)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = [_result(host, address, port) for address in await self._resolve(host, port)]
        return [one for one in found if family in (socket.AF_UNSPEC, one["family"])]

    async def close(self) -> None:
        """It holds nothing."""


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
