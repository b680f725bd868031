"""Values of Secrets, read when they are needed and kept nowhere."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Protocol

from controller.api.resources import SECRETS, Resource
from controller.api.secret import SecretRef
from controller.kube.client import InvalidError


class Secrets(Protocol):
    """The part of the API server that Secrets need."""

    async def find(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None: ...


class SecretError(Exception):
    """Names the Secret and what is wrong, and never its value."""


async def secret_value(kube: Secrets, namespace: str, ref: SecretRef) -> str:
    """Raises SecretError, KubeError."""
    where = f"Secret {namespace}/{ref.name}"
    try:
        secret = await kube.find(SECRETS, namespace, ref.name)
    except InvalidError as error:
        raise SecretError(f"{where} cannot be read; allow it with a Role: {error}") from error
    if secret is None or ref.key not in (secret.get("data") or {}):
        raise SecretError(f"{where} has no key {ref.key!r}; create it")
    try:
        return base64.b64decode(secret["data"][ref.key]).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise SecretError(f"key {ref.key!r} of {where} is not text") from error
