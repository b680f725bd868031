"""Whether the API server serves the kinds that people write: their CRDs come and go with an installation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from controller.api.resources import Resource
from controller.backoff import delay_s
from controller.kube.client import METADATA_LIST, KubeClient, KubeError, NotFoundError

_LOG = logging.getLogger(__name__)
_AGAIN_S = 2.0
_GONE_WITHIN_S = 15.0
"""While CRDs go, the API server answers with errors, or as if they were there still; longer on a busy machine."""


async def until_served(kube: KubeClient, only: str | None, resources: Sequence[Resource]) -> None:
    """Waits for the CRDs: kopf looks for them once, at its start, and would be deaf to what comes later.

    It ends, and this process with it, when they are deleted. Raises KubeError.
    """
    reported: list[str] = []
    while missing := await _missing(kube, only, resources):
        if missing != reported:
            _LOG.warning("waiting for the CRDs of %s; to install them: kubectl apply -f crds/", ", ".join(missing))
            reported = missing
        await asyncio.sleep(_AGAIN_S)


async def gone(kube: KubeClient, only: str | None, resources: Sequence[Resource]) -> list[str]:
    """The kinds that are not served any longer, as soon as one is not; empty where all are served after a while."""
    loop, tries = asyncio.get_running_loop(), 0
    deadline = loop.time() + _GONE_WITHIN_S
    while True:
        try:
            missing = await _missing(kube, only, resources)
        except KubeError as error:
            _LOG.info("whether the CRDs exist cannot be read: %s", error)
            missing = []
        if missing or loop.time() >= deadline:
            return missing
        await asyncio.sleep(delay_s(tries, first_s=0.2, longest_s=2.0))
        tries += 1


async def _missing(kube: KubeClient, only: str | None, resources: Sequence[Resource]) -> list[str]:
    return [resource.plural for resource in resources if not await _is_served(kube, resource, only)]


async def _is_served(kube: KubeClient, resource: Resource, only: str | None) -> bool:
    try:
        await kube.request("GET", resource.path(only), query={"limit": "1"}, accept=METADATA_LIST)
    except NotFoundError:
        return False
    return True
