"""Where forges say that somebody has pushed. A call fetches, and does nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web

from controller.api.release_repository import RepositorySpec
from controller.kube.admission import TooLargeError, body_of
from controller.kube.client import KubeClient, KubeError
from controller.kube.objects import Key
from controller.kube.secrets import SecretError, secret_value
from controller.sync.controller import RepositoryController
from controller.sync.webhook import address_of, is_signed, is_true, named_in, push_of

PATH = "/v1/hook"
_MOST_BODY = 4 << 20
"""Bytes. GitHub lists up to 2,048 commits of a push."""
_AT_ONCE = 4
_BODY_S = 10.0
_MOST_FOLLOWERS = 20
"""Of one repository, whose secrets are tried."""
_LOG = logging.getLogger(__name__)


class Hooks:
    def __init__(self, kube: KubeClient, controller: RepositoryController, leads: Callable[[], bool]) -> None:
        self._kube = kube
        self._controller = controller
        self._leads = leads
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._parsing = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self.answer)]

    async def answer(self, request: web.Request) -> web.Response:
        """Who sends no true signature learns nothing of which repositories there are, and has nothing parsed."""
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
                    body = await body_of(request, most=_MOST_BODY)
            except TimeoutError:
                return web.Response(status=408, text="the body took too long\n")
            except TooLargeError:
                return web.Response(status=413, text=f"more than {_MOST_BODY} bytes\n")
            true = await self._believing(request.headers, body)
            if not true:
                return web.Response(status=403, text="no ReleaseRepository of this url has this secret\n")
            async with self._parsing:
                push = await asyncio.to_thread(push_of, body)
        if push is None:
            return web.Response(text="nothing to do: no push to a branch\n")
        meant = [key for key, spec in true if spec.branch == push.branch and address_of(spec.url) in push.repositories]
        if not meant:
            return web.Response(text="nothing to do: no ReleaseRepository with this secret follows the branch\n")
        delivery = hashlib.sha256(body).digest()
        found = sum(self._controller.poke(key, delivery=delivery, commit=push.commit) for key in meant)
        if not found:
            return web.Response(text="nothing to do: it was fetched already\n")
        return web.Response(status=202, text=f"{found} to be fetched\n")

    async def _believing(self, headers: Mapping[str, str], body: bytes) -> list[tuple[Key, RepositorySpec]]:
        """Followers of any repository that is named, whose secret the sender knows."""
        addresses = await asyncio.to_thread(named_in, body)
        named = [
            (key, spec)
            for key, spec in self._controller.followers()
            if spec.webhook is not None and address_of(spec.url) in addresses
        ]
        found = []
        for key, spec in fairly(named, _MOST_FOLLOWERS):
            secret = await self._secret(key, spec)
            believed = await asyncio.to_thread(is_true, headers, body, secret)
            if believed:
                found.append((key, spec))
        return found

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
