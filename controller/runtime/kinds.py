"""Whether the API server serves the kinds that people write: their CRDs come and go with an installation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from controller.api.resources import RELEASES, Resource
from controller.backoff import delay_s
from controller.kube.client import METADATA_LIST, KubeClient, KubeError, NotFoundError
from controller.runtime.controller import Event
from controller.runtime.event_router import EventRouter

_LOG = logging.getLogger(__name__)
_AGAIN_S = 2.0
_GONE_WITHIN_S = 15.0
"""While CRDs go, the API server answers with errors, or as if they were there still; longer on a busy machine."""

_UNINSTALLED_WITHIN_S = 30.0
"""From the first CRD that is gone to the deletion of the next, and of the Releases with theirs."""


async def until_served(kube: KubeClient, only: str | None, resources: Sequence[Resource]) -> None:
    """Waits for the CRDs: kopf looks for them once, at its start, and would be deaf to what comes later.

    Not where a Release waits for its finalizer: it would hold its CRD, and whoever uninstalls, for ever. It ends, and
    this process with it, when they are deleted. Raises KubeError.
    """
    reported: list[str] = []
    while missing := await missing_kinds(kube, only, resources):
        if missing != reported:
            _LOG.warning("waiting for the CRDs of %s; to install them: kubectl apply -f crds/", ", ".join(missing))
            reported = missing
        if RELEASES in resources and RELEASES.plural not in missing and await _deleted(kube, only):
            return
        await asyncio.sleep(_AGAIN_S)


async def gone(kube: KubeClient, only: str | None, resources: Sequence[Resource]) -> list[str]:
    """The kinds that are not served any longer, as soon as one is not; empty where all are served after a while."""
    loop, tries = asyncio.get_running_loop(), 0
    deadline = loop.time() + _GONE_WITHIN_S
    while True:
        try:
            missing = await missing_kinds(kube, only, resources)
        except KubeError as error:
            _LOG.info("whether the CRDs exist cannot be read: %s", error)
            missing = []
        if missing or loop.time() >= deadline:
            return missing
        await asyncio.sleep(delay_s(tries, first_s=0.2, longest_s=2.0))
        tries += 1


async def until_released(event_router: EventRouter, only: str | None) -> None:
    """Lets go of Releases that are deleted, which nobody watches any longer, until their CRD is gone or none waits.

    CRDs are deleted one after another, and those of others, which nobody holds, are gone sooner than that of Releases.
    """
    loop = asyncio.get_running_loop()
    quiet_at = loop.time() + _UNINSTALLED_WITHIN_S
    seen: set[str] = set()
    while loop.time() < quiet_at:
        try:
            deleted = await _deleted(event_router.kube, only)
        except NotFoundError:
            return
        except KubeError as error:
            _LOG.info("whether Releases wait to be deleted cannot be read: %s", error)
            deleted = None
        if deleted != []:
            quiet_at = loop.time() + _UNINSTALLED_WITHIN_S
        for release in deleted or ():
            uid = release["metadata"]["uid"]
            if uid not in seen:
                seen.add(uid)
                event_router.on_event(Event(RELEASES, release))
        await asyncio.sleep(_AGAIN_S)


async def _deleted(kube: KubeClient, only: str | None) -> list[Mapping[str, Any]]:
    """The Releases that wait for a finalizer. Raises KubeError; NotFoundError where their CRD is gone."""
    return [release for release in await kube.list(RELEASES, only) if "deletionTimestamp" in release["metadata"]]


async def missing_kinds(kube: KubeClient, only: str | None, resources: Sequence[Resource]) -> list[str]:
    """Those that the API server does not serve. Raises KubeError."""
    return [resource.plural for resource in resources if not await _is_served(kube, resource, only)]


async def _is_served(kube: KubeClient, resource: Resource, only: str | None) -> bool:
    try:
        await kube.request("GET", resource.path(only), query={"limit": "1"}, accept=METADATA_LIST)
    except NotFoundError:
        return False
    return True
