"""`webhook`: asks a gate by HTTP whether a rollout may go on.

    POST url
    Idempotency-Key, webhook-id: the effect's id, unique for Release, attempt and step, the same for every try
    webhook-timestamp, webhook-signature: of each try, as `effects/signing.py` has them
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
import json
from collections.abc import Mapping
from typing import Any

import httpx

from controller.api.effect import Effect
from controller.api.fields import Absent, field, record
from controller.api.secret import SecretRef
from controller.api.shapes import Number, Open, Record
from controller.api.text import one_line
from controller.api.urls import HTTP_URL
from controller.effects.carrier import (
    CarriedOut,
    Carrier,
    EffectContext,
    EffectFailedError,
    Limits,
    Owner,
    payload_of,
)
from controller.effects.posting import MOST_TIMEOUT_S, post
from controller.effects.secret_values import RULE, secret_value
from controller.effects.signing import message_headers

KIND = "webhook"
_MOST_EVERY_S = 1e12  # as long as a duration can be
_MOST_ANSWER_BYTES = 16 * 1024
_MOST_MESSAGE = 512
_YES = {"result": "yes", "message": ""}

RULES = (RULE,)
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
    signing_secret: SecretRef | None = field(
        Record(SecretRef), "Where the key is that signs each call.", default=Absent(), key="signingSecretRef"
    )


class Webhook:
    def __init__(self, context: EffectContext) -> None:
        self._context = context

    async def carry_out(self, owner: Owner, effect: Effect) -> CarriedOut:
        config = payload_of(Config, effect)
        url = httpx.URL(config.url)
        try:
            async with asyncio.timeout(config.timeout_s):
                body = json.dumps({"release": owner.name, "namespace": owner.namespace, **config.body}).encode()
                headers = await self._headers(owner, config, effect.id, body)
                reply = await post(self._context.addresses, url, headers, body, reads=_MOST_ANSWER_BYTES)
                answer = _meaning(url.host, reply.content)
        except TimeoutError as error:
            raise EffectFailedError(f"{url.host} did not answer within {config.timeout_s:g} s") from error
        return CarriedOut(answer, again_in=config.every_s if answer["result"] == "wait" else None)

    async def _headers(self, owner: Owner, config: Config, call: str, body: bytes) -> dict[str, str]:
        """Secrets are read for each try: a rotated one counts at once. Raises EffectFailedError, KubeError."""
        token = await self._secret(owner, config.token_secret)
        key = await self._secret(owner, config.signing_secret)
        bearer = {} if token is None else {"Authorization": f"Bearer {token}"}
        return {"Idempotency-Key": call, **message_headers(call, body, key, self._context.clock()), **bearer}

    async def _secret(self, owner: Owner, ref: SecretRef | None) -> str | None:
        return None if ref is None else await secret_value(self._context.kube, owner.namespace, ref)


create = Webhook
_is_carrier: type[Carrier] = Webhook


def _meaning(host: str, content: bytes) -> Mapping[str, str]:
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
