"""The last lines of a container's log. The API server asks the node's kubelet for them, which can take for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

import aiohttp

from controller.api.resources import PODS
from controller.kube.errors import UnavailableError


class Streams(Protocol):
    """The part of the client that is needed."""

    async def stream(self, path: str, query: Mapping[str, str], *, timeout_s: float) -> aiohttp.ClientResponse: ...


async def log_tail(
    kube: Streams, namespace: str, pod: str, container: str, *, previous: bool, lines: int, most: int, within_s: float
) -> bytes:
    """At most `lines` lines and `most` bytes of them, from the first of these lines on: where the bytes do not suffice
    the newest lines are missing, as the kubelet has it. `previous`: of the run before the last restart.

    Raises KubeError.
    """
    query = {"container": container, "tailLines": str(lines), "limitBytes": str(most)}
    if previous:
        query["previous"] = "true"
    path = PODS.path(namespace, pod, "log")
    try:
        async with asyncio.timeout(within_s):
            response = await kube.stream(path, query, timeout_s=within_s)
            try:
                return await _at_most(response, most)
            finally:
                response.close()
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise UnavailableError(0, "NoAnswer", f"no answer within {within_s:g} s") from error


async def _at_most(response: aiohttp.ClientResponse, most: int) -> bytes:
    found = bytearray()
    async for piece in response.content.iter_any():
        found += piece
        if len(found) >= most:
            break
    return bytes(found[:most])
