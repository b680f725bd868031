"""Values of Secrets that effects need: they go into a header or an address."""

from __future__ import annotations

from controller.api.resources import SECRETS, Rule
from controller.api.secret import SecretRef
from controller.effects.carrier import EffectFailedError
from controller.kube import secrets
from controller.kube.secrets import SecretError, Secrets

RULE = Rule(SECRETS, ("get",), own_namespace=True)


async def secret_text(kube: Secrets, namespace: str, ref: SecretRef) -> str:
    """As it is. Raises EffectFailedError, whose sentence names the Secret and not its value, KubeError."""
    try:
        return await secrets.secret_value(kube, namespace, ref)
    except SecretError as error:
        raise EffectFailedError(str(error)) from error


async def secret_value(kube: Secrets, namespace: str, ref: SecretRef) -> str:
    """One line of ASCII. Raises as `secret_text` does."""
    value = (await secret_text(kube, namespace, ref)).strip()
    if not value.isascii() or not value.isprintable() or not value:
        problem = "is not one line of printable ASCII"
        raise EffectFailedError(f"key {ref.key!r} of Secret {namespace}/{ref.name} {problem}")
    return value
