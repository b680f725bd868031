"""One POST to an address that a tenant has named.

The address is checked, then the connection goes to it under the URL's own name. Nothing is kept between two calls:
cookies, and connections that are kept by address, would be shared between tenants.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import httpx

from controller.effects.addresses import Addresses, TargetError
from controller.effects.carrier import EffectFailedError

MOST_TIMEOUT_S = 60.0
_ADDRESSES_TRIED = 3
_MOST_RETRY_AFTER_S = 300.0
_TIMEOUT = httpx.Timeout(MOST_TIMEOUT_S).as_dict()


@dataclass(frozen=True)
class Reply:
    content: bytes
    """Of a success; as much of it as was to be read."""


async def post(addresses: Addresses, url: httpx.URL, headers: Mapping[str, str], body: bytes, *, reads: int) -> Reply:
    """The reply of a server that took it, with at most `reads` bytes of its body; 0: the body is not read.

    Nothing of any other answer is repeated: it may be another service's. Raises EffectFailedError, KubeError.
    """
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = await addresses.resolve(url.host, port)
    except TargetError as error:
        raise EffectFailedError(str(error)) from error
    problem: Exception | None = None
    for address in found[:_ADDRESSES_TRIED]:
        try:
            return await _post_to(address, url, headers, body, reads)
        except httpx.ConnectError as error:
            problem = error
        except httpx.HTTPError as error:
            problem = error
            break
    cause = str(problem) or type(problem).__name__
    if isinstance(problem, httpx.RemoteProtocolError):
        cause = "it ended the connection, or does not speak HTTP"  # the error quotes what it did not understand
    raise EffectFailedError(f"{url.host} cannot be reached: {cause}") from problem


async def _post_to(address: str, url: httpx.URL, headers: Mapping[str, str], body: bytes, reads: int) -> Reply:
    """Under the url's own name: in Host, in SNI, and in the certificate.

    By the transport and not a client, which logs each url: one of Slack's is a secret.
    """
    request = httpx.Request(
        "POST",
        url.copy_with(host=address),
        content=body,
        headers={
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": "pointsman",
            **headers,
            "Host": url.netloc.decode(),
        },
        extensions={"sni_hostname": url.host, "timeout": _TIMEOUT},
    )
    async with httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False) as transport:
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
    content = b""
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > most:
            raise EffectFailedError(f"{host} answered with more than {most} bytes")
    return content


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
