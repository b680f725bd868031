"""`webhook`: asks a gate by HTTP whether a rollout may go on.

    POST url
    Idempotency-Key: the effect's id, unique for Release, attempt and step, the same for every try
    {"release", "namespace", "stableRevision", "canaryRevision", "attempt", "step", "weight"}

| answer | means |
|---|---|
| 2xx, empty | yes |
| 2xx, `{"result": "yes" or "no" or "wait", "message": ...}` | that; `wait` is asked again after `everySeconds` |
| anything else | not an answer: tried again with back-off |

Only `no` says something about the version. A status of 4xx does not: a closed gate in Flagger's style (403), a wrong
path (404) and an expired token (401) would all reject a version that nobody has judged. So they wait, as a closed
gate does in Flagger, and the status shows them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx

from controller.api.effect import Effect
from controller.api.fields import Absent, Place, field, parse, record
from controller.api.reading import SpecError
from controller.api.resources import SECRETS, Rule
from controller.api.secret import SecretRef
from controller.api.shapes import Number, Open, Record
from controller.api.text import one_line
from controller.api.urls import HTTP_URL
from controller.effects.addresses import TargetError
from controller.effects.carrier import (
    CarriedOut,
    Carrier,
    EffectContext,
    EffectFailedError,
    EffectRefusedError,
    Limits,
    Owner,
)
from controller.kube.client import InvalidError, KubeError

KIND = "webhook"
MOST_TIMEOUT_S = 60.0
_MOST_EVERY_S = 1e12  # as long as a duration can be
_MOST_ANSWER_BYTES = 16 * 1024
_MOST_MESSAGE = 512
_ADDRESSES_TRIED = 3
_MOST_RETRY_AFTER_S = 300.0
_YES = {"result": "yes", "message": ""}

RULES = (Rule(SECRETS, ("get",), own_namespace=True),)
LIMITS = Limits(at_once=128, per_namespace=16, timeout_s=MOST_TIMEOUT_S + 5)

EXAMPLE: dict[str, Any] = {
    "url": "http://gate.qa/check",
    "timeoutSeconds": 10,
    "everySeconds": 30,
    "body": {"stableRevision": "aaaaaaaaaa", "canaryRevision": "bbbbbbbbbb", "attempt": 1, "step": 2, "weight": 25},
}


@record("A payload.")
class Config:
    url: str = field(HTTP_URL, "Gets a POST.")
    timeout_s: float = field(Number(0.1, MOST_TIMEOUT_S), "Seconds one call may take.", key="timeoutSeconds")
    every_s: float = field(
        Number(1, _MOST_EVERY_S), "Seconds until the next call when the gate says wait.", key="everySeconds"
    )
    body: Mapping[str, Any] = field(Open(), "What is sent, besides the Release's name and namespace.")
    token_secret: SecretRef | None = field(
        Record(SecretRef), "Where the bearer token is.", default=Absent(), key="tokenSecretRef"
    )


class Webhook:
    def __init__(self, context: EffectContext) -> None:
        self._context = context

    async def carry_out(self, owner: Owner, effect: Effect) -> CarriedOut:
        try:
            config = parse(Config, effect.payload, Place(effect.id))
        except SpecError as error:
            raise EffectRefusedError(str(error)) from error
        url = httpx.URL(config.url)
        try:
            async with asyncio.timeout(config.timeout_s):
                headers = {"Idempotency-Key": effect.id, "Host": url.netloc.decode()} | await self._token(owner, config)
                body = {"release": owner.name, "namespace": owner.namespace, **config.body}
                answer = _meaning(url.host, *await self._post(url, headers, body))
        except TimeoutError as error:
            raise EffectFailedError(f"{url.host} did not answer within {config.timeout_s:g} s") from error
        except KubeError as error:
            raise EffectFailedError(f"the API server cannot be asked: {error}") from error
        return CarriedOut(answer, again_in=config.every_s if answer["result"] == "wait" else None)

    async def close(self) -> None:
        """Nothing is kept open between two calls."""

    async def _token(self, owner: Owner, config: Config) -> dict[str, str]:
        """Raises EffectFailedError, KubeError."""
        if config.token_secret is None:
            return {}
        name, key = config.token_secret.name, config.token_secret.key
        where = f"Secret {owner.namespace}/{name}"
        try:
            secret = await self._context.kube.find(SECRETS, owner.namespace, name)
        except InvalidError as error:
            raise EffectFailedError(f"{where} cannot be read; allow it with a Role: {error}") from error
        if secret is None or key not in (secret.get("data") or {}):
            raise EffectFailedError(f"{where} has no key {key!r}; create it")
        try:
            token = base64.b64decode(secret["data"][key]).decode().strip()
        except (binascii.Error, UnicodeDecodeError):
            token = ""
        if not token.isascii() or not token.isprintable() or not token:
            raise EffectFailedError(f"key {key!r} of {where} holds no token that HTTP can carry")
        return {"Authorization": f"Bearer {token}"}

    async def _post(self, url: httpx.URL, headers: Mapping[str, str], body: object) -> tuple[httpx.Response, bytes]:
        """Raises EffectFailedError, KubeError."""
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            addresses = await self._context.addresses.resolve(url.host, port)
        except TargetError as error:
            raise EffectFailedError(str(error)) from error
        problem: Exception | None = None
        for address in addresses[:_ADDRESSES_TRIED]:
            try:
                return await _post_to(address, url, headers, body)
            except httpx.ConnectError as error:
                problem = error
            except httpx.HTTPError as error:
                problem = error
                break
        cause = str(problem) or type(problem).__name__
        raise EffectFailedError(f"{url.host} cannot be reached: {cause}") from problem


create = Webhook
_is_carrier: type[Carrier] = Webhook


async def _post_to(
    address: str, url: httpx.URL, headers: Mapping[str, str], body: object
) -> tuple[httpx.Response, bytes]:
    """To an address that was checked, under the url's own name: in Host, in SNI, and in the certificate.

    A client for each call: cookies, and connections that are kept by address, would be shared between tenants.
    """
    pinned = url.copy_with(host=address)
    async with (
        httpx.AsyncClient(verify=_tls(), trust_env=False, follow_redirects=False, timeout=MOST_TIMEOUT_S) as client,
        client.stream(
            "POST",
            pinned,
            json=body,
            headers={**headers, "Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "pointsman"},
            extensions={"sni_hostname": url.host},
        ) as response,
    ):
        content = b""
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > _MOST_ANSWER_BYTES:
                raise EffectFailedError(f"{url.host} answered with more than {_MOST_ANSWER_BYTES} bytes")
        return response, content


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _meaning(host: str, response: httpx.Response, content: bytes) -> Mapping[str, str]:
    """Nothing of an answer that is none is repeated: it may be another service's."""
    if response.is_redirect:
        raise EffectFailedError(f"{host} redirects ({response.status_code}), which is not followed; correct the url")
    if not response.is_success:
        text = response.headers.get("Retry-After", "")
        retry_after = min(float(text), _MOST_RETRY_AFTER_S) if text.isdecimal() else 0.0
        raise EffectFailedError(f"{host} answered {response.status_code}", retry_after=retry_after)
    if not content.strip():
        return _YES
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or said.get("result") not in ("yes", "no", "wait"):
        raise EffectFailedError(f'{host} did not answer {{"result": "yes" | "no" | "wait"}}')
    message = said.get("message")
    return {"result": said["result"], "message": one_line(message, _MOST_MESSAGE) if isinstance(message, str) else ""}
