"""Values of Secrets, read when they are needed and kept nowhere."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
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
    data = await _data(kube, namespace, ref.name)
    if data is None or ref.key not in data:
        raise SecretError(f"{where} has no key {ref.key!r}; create it")
    return _text(data, ref.key, where)


async def annotated_secret(kube: Secrets, namespace: str, name: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Its annotations, and all of its keys. Raises SecretError, KubeError."""
    where = f"Secret {namespace}/{name}"
    secret = await _secret(kube, namespace, name)
    if secret is None:
        raise SecretError(f"{where} does not exist; create it")
    data = secret.get("data") or {}
    return secret["metadata"].get("annotations") or {}, {key: _text(data, key, where) for key in data}


async def _data(kube: Secrets, namespace: str, name: str) -> Mapping[str, str] | None:
    """None: there is no such Secret."""
    secret = await _secret(kube, namespace, name)
    return None if secret is None else secret.get("data") or {}


async def _secret(kube: Secrets, namespace: str, name: str) -> Mapping[str, Any] | None:
    try:
        return await kube.find(SECRETS, namespace, name)
    except InvalidError as error:
        raise SecretError(f"Secret {namespace}/{name} cannot be read; allow it with a Role: {error}") from error


def _text(data: Mapping[str, str], key: str, where: str) -> str:
    try:
        return base64.b64decode(data[key]).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise SecretError(f"key {key!r} of {where} is not text") from error
