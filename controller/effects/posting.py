"""One POST to an address that a tenant has named.

Nothing is kept between two calls: cookies, and connections that are kept by address, would be shared between tenants.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import httpx

from controller.effects.carrier import EffectFailedError
from controller.outward.addresses import Addresses
from controller.outward.transport import CheckedTransport, read_at_most
from controller.ports import TargetError

MOST_TIMEOUT_S = 60.0
_MOST_RETRY_AFTER_S = 300.0
_TIMEOUT = httpx.Timeout(MOST_TIMEOUT_S).as_dict()


@dataclass(frozen=True)
class Reply:
    content: bytes
    """Of a success; as much of it as was to be read."""


async def post(addresses: Addresses, url: httpx.URL, headers: Mapping[str, str], body: bytes, *, reads: int) -> Reply:
    """The reply of a server that took it, with at most `reads` bytes of its body; 0: the body is not read.

    Nothing of any other answer is repeated: it may be another service's. Raises EffectFailedError.
    """
    try:
        return await _post(addresses, url, headers, body, reads)
    except TargetError as error:
        raise EffectFailedError(str(error)) from error
    except httpx.RemoteProtocolError as error:  # the error quotes what it did not understand
        cause = "it ended the connection, or does not speak HTTP"
        raise EffectFailedError(f"{url.host} cannot be reached: {cause}") from error
    except httpx.HTTPError as error:
        raise EffectFailedError(f"{url.host} cannot be reached: {str(error) or type(error).__name__}") from error


async def _post(addresses: Addresses, url: httpx.URL, headers: Mapping[str, str], body: bytes, reads: int) -> Reply:
    """By the transport and not a client, which logs each url: one of Slack's is a secret."""
    request = httpx.Request(
        "POST",
        url,
        content=body,
        headers={
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": "pointsman",
            **headers,
        },
        extensions={"timeout": _TIMEOUT},
    )
    async with CheckedTransport(addresses.resolve, _tls()) as transport:
        response = await transport.handle_async_request(request)
        try:
            _refuse(url.host, response)
            return Reply(await _read(url.host, response, reads) if reads else b"")
        finally:
            await response.aclose()


def _refuse(host: str, response: httpx.Response) -> None:
    if response.is_redirect:
        raise EffectFailedError(f"{host} redirects ({response.status_code}), which is not followed; correct the url")
    if not response.is_success:
        text = response.headers.get("Retry-After", "")
        retry_after = min(float(text), _MOST_RETRY_AFTER_S) if text.isdecimal() else 0.0
        raise EffectFailedError(f"{host} answered {response.status_code}", retry_after=retry_after)


async def _read(host: str, response: httpx.Response, most: int) -> bytes:
    content = await read_at_most(response, most)
    if content is None:
        raise EffectFailedError(f"{host} answered with more than {most} bytes")
    return content


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
