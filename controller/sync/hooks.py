"""Where forges say that somebody has pushed. A call fetches, and does nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence

from aiohttp import web

from controller.api.release_repository import RepositorySpec
from controller.kube.client import KubeClient, KubeError
from controller.kube.objects import Key
from controller.kube.secrets import SecretError, secret_value
from controller.sync.controller import RepositoryController
from controller.sync.webhook import address_of, is_signed, is_true, push_of

PATH = "/v1/hook"
_MOST_BODY = 4 << 20
"""Bytes. GitHub lists up to 2,048 commits of a push."""
_AT_ONCE = 4
_BODY_S = 10.0
_MOST_FOLLOWERS = 20
"""Of one branch, whose secrets are tried."""
_LOG = logging.getLogger(__name__)


class Hooks:
    def __init__(self, kube: KubeClient, controller: RepositoryController, leads: Callable[[], bool]) -> None:
        self._kube = kube
        self._controller = controller
        self._leads = leads
        self._places = asyncio.Semaphore(_AT_ONCE)

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self.answer)]

    async def answer(self, request: web.Request) -> web.Response:
        """Who sends no true signature learns nothing of which repositories there are."""
        if not self._leads():
            return web.Response(
                status=503, text="this process does not lead; try again\n", headers={"Retry-After": "5"}
            )
        if not is_signed(request.headers):
            return web.Response(status=401, text="no signature; set a secret in the forge's webhook\n")
        if (request.content_length or 0) > _MOST_BODY:
            return web.Response(status=413, text=f"more than {_MOST_BODY} bytes\n")
        async with self._places:
            try:
                async with asyncio.timeout(_BODY_S):
                    body = await _body(request)
            except TimeoutError:
                return web.Response(status=408, text="the body took too long\n")
            if body is None:
                return web.Response(status=413, text=f"more than {_MOST_BODY} bytes\n")
            push = await asyncio.to_thread(push_of, body)
            if push is None:
                return web.Response(text="nothing to do: no push to a branch\n")
            found = 0
            for key, spec in self._followers(push.branch, push.repositories):
                if is_true(request.headers, body, await self._secret(key, spec)):
                    self._controller.poke(key)
                    found += 1
        if not found:
            return web.Response(status=403, text="no ReleaseRepository of this url and branch has this secret\n")
        return web.Response(status=202, text=f"{found} to be fetched\n")

    def _followers(self, branch: str, addresses: frozenset[str]) -> list[tuple[Key, RepositorySpec]]:
        found = [
            (key, spec)
            for key, spec in self._controller.followers()
            if spec.webhook is not None and spec.branch == branch and address_of(spec.url) in addresses
        ]
        return fairly(found, _MOST_FOLLOWERS)

    async def _secret(self, key: Key, spec: RepositorySpec) -> str:
        """Empty: it cannot be read, and nothing is true then."""
        if spec.webhook is None:
            return ""
        account = self._kube.acting_as(key.namespace, spec.account)
        try:
            return (await secret_value(account, key.namespace, spec.webhook.secret)).strip()
        except (SecretError, KubeError) as error:
            _LOG.warning("a webhook for ReleaseRepository %s cannot be checked: %s", key, error)
            return ""


def fairly(found: Sequence[tuple[Key, RepositorySpec]], most: int) -> list[tuple[Key, RepositorySpec]]:
    """At most so many, one of each namespace before a second one of any: anybody may follow anybody's branch."""
    earlier, ranks = Counter[str](), list[int]()
    for key, _ in found:
        ranks.append(earlier[key.namespace])
        earlier[key.namespace] += 1
    order = sorted(range(len(found)), key=ranks.__getitem__)
    return [found[place] for place in order[:most]]


async def _body(request: web.Request) -> bytes | None:
    """None: it has too many bytes."""
    content = bytearray()
    async for chunk in request.content.iter_any():
        content += chunk
        if len(content) > _MOST_BODY:
            return None
    return bytes(content)
