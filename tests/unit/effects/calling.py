"""A webhook, called as the outbox calls it."""

import base64
from typing import Any

import pytest

from controller.api.effect import Effect
from controller.api.resources import SECRETS
from controller.effects.carrier import EffectContext, EffectFailedError
from controller.effects.webhook import EXAMPLE, Webhook
from controller.kube.objects import Key
from controller.outward.addresses import Addresses, Network
from tests.gate import LOOPBACK_NETWORK, gate

WEB = Key("shop", "web")


class NoPods:
    """Of an API server that is asked for nothing of pods, and for no Job."""

    async def get(self, resource, namespace, name):
        raise AssertionError(f"{resource.plural} must not be asked for")

    async def create(self, resource, namespace, body, *, strict=False):
        raise AssertionError(f"{resource.plural} must not be made")

    async def delete(self, resource, namespace, name, *, seen=None):
        raise AssertionError(f"{resource.plural} must not be deleted")

    async def first_page(self, resource, namespace, *, labels, fields, most):
        raise AssertionError(f"{resource.plural} must not be asked for")

    async def stream(self, path, query, *, timeout_s):
        raise AssertionError(f"{path} must not be asked for")


class FakeSecrets(NoPods):
    def __init__(self, data: dict[str, str] | None = None, error: Exception | None = None) -> None:
        self._data, self._error = data, error

    async def find(self, resource, namespace, name) -> dict[str, Any] | None:
        assert (resource, namespace, name) == (SECRETS, "shop", "gate-token")
        if self._error is not None:
            raise self._error
        if self._data is None:
            return None
        return {"data": {key: base64.b64encode(value.encode()).decode() for key, value in self._data.items()}}


async def no_api_server():
    return frozenset()


def world(*, listed: tuple[Network, ...] = (LOOPBACK_NETWORK,), secrets: FakeSecrets | None = None) -> EffectContext:
    return EffectContext(secrets or FakeSecrets(), Addresses(no_api_server, listed=listed))


def effect(url: str, **changes: Any) -> Effect:
    payload = {**EXAMPLE, "url": url, "timeoutSeconds": 5, **changes}
    return Effect("webhook.bbbbbbbbbb.1.2", "webhook", payload)


async def ask(url: str, *, within: EffectContext | None = None, **changes: Any):
    return await Webhook(within or world()).carry_out(WEB, effect(url, **changes))


async def failure(reply: bytes, **changes: Any) -> str:
    async with gate(reply) as it:
        with pytest.raises(EffectFailedError) as error:
            await ask(it.url, **changes)
    return str(error.value)
