"""Watches children for their metadata only, and keeps nothing of them but a resource version.

kopf keeps about 20 KiB for each object it watches, which at five children a Release would be most of the operator's
memory; and all that is asked of a child here is whether it changed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp

from controller.api.resources import Resource
from controller.kube.client import METADATA_LIST, InvalidError, KubeClient, KubeError, NotFoundError, UnavailableError

_LOG = logging.getLogger(__name__)
_ITEM = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_PAGE = "500"
_SERVER_TIMEOUT_S = 290
_CLIENT_TIMEOUT_S = 320.0
_AGAIN_S = (0.5, 1.5)
_ABSENT_S = 30.0
_GONE = 410
_KEPT = ("name", "namespace", "labels", "uid", "resourceVersion")

Seen = Callable[[Mapping[str, Any]], None]
Watched = Callable[[bool], None]
Listed = Callable[[], Awaitable[None]]


class MetadataWatch:
    """Calls `seen` with the metadata of each object that appears, changes or goes."""

    def __init__(
        self,
        kube: KubeClient,
        resource: Resource,
        labels: str,
        seen: Seen,
        *,
        namespace: str | None = None,
        watched: Watched = lambda _: None,
        listed: Listed | None = None,
    ) -> None:
        self._kube = kube
        self._path = resource.path(namespace)
        self._resource = resource
        self._labels = labels
        self._seen = seen
        self._watched = watched
        """Told whether changes are being told: not between a cut and the next list. `listed` runs once, between the
        first list and the first event.
        """
        self._known: dict[str, tuple[str, dict[str, Any]]] = {}
        self._listed = listed
        self.tried = asyncio.Event()
        """Set once the first list has come to an end, good or bad."""

    async def run(self) -> None:
        """Until cancelled; every failure ends in a new list, which finds what was missed."""
        while True:
            pause = random.uniform(*_AGAIN_S)  # noqa: S311 - jitter
            try:
                version = await self._list()
                self._watched(True)  # noqa: FBT003
                if self._listed is not None and not self.tried.is_set():
                    await self._listed()
                self.tried.set()
                while True:
                    version = await self._watch(version)
            except NotFoundError:
                # a router whose CRDs are not installed here; they may come
                pause = _ABSENT_S
            except InvalidError as error:
                # forbidden, most likely: asking every second changes nothing and fills the log
                pause = _ABSENT_S
                _LOG.warning("watching %s: %s", self._resource.plural, error)
            except KubeError as error:
                if error.status != _GONE:
                    _LOG.warning("watching %s: %s", self._resource.plural, error)
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                _LOG.warning("the watch of %s was cut: %r", self._resource.plural, error)
            self._watched(False)  # noqa: FBT003
            self.tried.set()
            await asyncio.sleep(pause)

    async def _list(self) -> str:
        found: dict[str, tuple[str, dict[str, Any]]] = {}
        query = {"labelSelector": self._labels, "limit": _PAGE}
        while True:
            page = await self._kube.request("GET", self._path, query=query, accept=METADATA_LIST)
            for item in page.get("items") or []:
                self._note(found, item["metadata"])
            token = page["metadata"].get("continue")
            if not token:
                break
            query["continue"] = token
        before, self._known = self._known, found
        for uid in before.keys() | found.keys():
            if before.get(uid, ("", {}))[0] != found.get(uid, ("", {}))[0]:
                self._seen((found.get(uid) or before[uid])[1])
        return str(page["metadata"]["resourceVersion"])

    @staticmethod
    def _note(known: dict[str, tuple[str, dict[str, Any]]], metadata: Mapping[str, Any]) -> None:
        kept = {
            name: metadata[name]
            for name in ("name", "namespace", "labels", "uid", "resourceVersion")
            if name in metadata
        }
        known[metadata["uid"]] = (metadata["resourceVersion"], kept)

    async def _watch(self, version: str) -> str:
        query = {
            "watch": "true",
            "labelSelector": self._labels,
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(_SERVER_TIMEOUT_S),
        }
        response = await self._kube.stream(self._path, query, accept=_ITEM, timeout_s=_CLIENT_TIMEOUT_S)
        async with response:
            async for line in response.content:
                version = self._take(json.loads(line))
        return version

    def _take(self, event: Mapping[str, Any]) -> str:
        item = event["object"]
        match event["type"]:
            case "BOOKMARK":
                return str(item["metadata"]["resourceVersion"])
            case "ADDED" | "MODIFIED":
                self._note(self._known, item["metadata"])
            case "DELETED":
                self._known.pop(item["metadata"]["uid"], None)
            case _:
                raise UnavailableError(int(item.get("code", 0)), str(item.get("reason")), str(item.get("message")))
        self._seen(item["metadata"])
        return str(item["metadata"]["resourceVersion"])
