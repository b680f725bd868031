"""Writes whose a child is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controller.api.resources import Resource
from controller.kube.cache import ObjectCache
from controller.kube.client import InvalidError
from controller.runtime.refusals import NameTakenError


async def patch_owners(
    kube: ObjectCache, resource: Resource, metadata: Mapping[str, Any], owners: Sequence[Any]
) -> None:
    """`metadata`: as it was read. Raises KubeError, NameTakenError where the API server refuses the owner."""
    namespace, name = metadata["namespace"], metadata["name"]
    patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "ownerReferences": owners}}
    try:
        await kube.patch(resource, namespace, name, patch)
    except InvalidError as error:
        where = f"{resource.kind} {namespace}/{name}"
        raise NameTakenError(f"{where} refuses the owner of spec.deletionPolicy: {error}") from error
