"""Whom the Releases of a namespace notify by default, read at most once a minute for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from controller import registry
from controller.api.notify import Notify
from controller.api.notify_default import NAME, parse_default
from controller.api.reading import SpecError
from controller.api.release import ReleaseSpec
from controller.api.resources import CONFIG_MAPS, Resource
from controller.api.what_runs import NOTIFY
from controller.kube.client import InvalidError, KubeError

_KNOWN_FOR_S = 60.0
_READ_S = 2.0
_MOST_KNOWN = 10_000
_MOST_PROBLEM = 300
_NOT_NOW = "the API server does not say whom"


@dataclass(frozen=True)
class Default:
    targets: tuple[Notify, ...] = ()
    problem: str = ""
    """Why nobody knows who they are, in a sentence."""


class _Finds(Protocol):
    """The part of the API server that this needs."""

    async def find(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None: ...


class NotifyDefaults:
    def __init__(self, kube: _Finds) -> None:
        self._kube = kube
        self._known: dict[str, tuple[float, Default]] = {}
        self._reading: dict[str, asyncio.Lock] = {}

    async def applied(self, spec: ReleaseSpec, raw: Mapping[str, Any], namespace: str) -> tuple[ReleaseSpec, str]:
        """With whom it notifies, and why that is not known. What is owed stays owed meanwhile."""
        if raw.get(NOTIFY) is not None or NOTIFY in spec.unread:
            return spec, ""
        found = await self.of(namespace)
        if found.problem:
            return replace(spec, unread=spec.unread | {NOTIFY}), found.problem
        return replace(spec, notify=found.targets), ""

    async def of(self, namespace: str) -> Default:
        now = asyncio.get_running_loop().time()
        lock = self._reading.setdefault(namespace, asyncio.Lock())
        try:
            async with lock:
                at, known = self._known.get(namespace, (-_KNOWN_FOR_S, None))
                if known is None or now - at >= _KNOWN_FOR_S:
                    found = await self._read(namespace, known)
                    if found is None:
                        return known or Default(problem=_NOT_NOW)
                    self._keep(namespace, now, found)
                    known = found
                return known
        finally:
            if not lock.locked():
                self._reading.pop(namespace, None)

    def _keep(self, namespace: str, now: float, found: Default) -> None:
        self._known.pop(namespace, None)
        self._known[namespace] = (now, found)
        while len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]

    async def _read(self, namespace: str, before: Default | None) -> Default | None:
        """None: the API server does not answer, and the next pass asks again.

        A pass may have work to take away, so it waits for this no longer than _READ_S.
        """
        where = f"ConfigMap {namespace}/{NAME}"
        try:
            async with asyncio.timeout(_READ_S):
                found = await self._kube.find(CONFIG_MAPS, namespace, NAME)
            return Default() if found is None else Default(parse_default(found, registry.kinds()))
        except SpecError as error:
            return Default(problem=f"{where}: {error}"[:_MOST_PROBLEM])
        except InvalidError as error:
            return before or Default(problem=f"{where} cannot be read: {error}"[:_MOST_PROBLEM])
        except (KubeError, TimeoutError):
            return None
