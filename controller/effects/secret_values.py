"""Values of Secrets that effects need, read when they are needed and kept nowhere."""

from __future__ import annotations

import base64
import binascii

from controller.api.resources import SECRETS, Rule
from controller.api.secret import SecretRef
from controller.effects.carrier import EffectFailedError, Secrets
from controller.kube.client import InvalidError

RULE = Rule(SECRETS, ("get",), own_namespace=True)


async def secret_value(kube: Secrets, namespace: str, ref: SecretRef) -> str:
    """One line of ASCII. Raises EffectFailedError, whose sentence names the Secret and not its value, KubeError."""
    where = f"Secret {namespace}/{ref.name}"
    try:
        secret = await kube.find(SECRETS, namespace, ref.name)
    except InvalidError as error:
        raise EffectFailedError(f"{where} cannot be read; allow it with a Role: {error}") from error
    if secret is None or ref.key not in (secret.get("data") or {}):
        raise EffectFailedError(f"{where} has no key {ref.key!r}; create it")
    try:
        value = base64.b64decode(secret["data"][ref.key]).decode().strip()
    except (binascii.Error, UnicodeDecodeError):
        value = ""
    if not value.isascii() or not value.isprintable() or not value:
        raise EffectFailedError(f"key {ref.key!r} of {where} is not one line of printable ASCII")
    return value
