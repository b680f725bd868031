"""Leader election on a Lease, as client-go does it: others' clocks are never believed, only how long a record stands.

Losing the lease ends the process. A frozen one that wakes may still hold a decision, so every write carries the
version it was decided on.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Any

from controller.api import times
from controller.api.resources import LEASES
from controller.backoff import spread_s
from controller.kube.client import ConflictError, KubeClient, KubeError

_LOG = logging.getLogger(__name__)

_RENEW_WITHIN = 2 / 3
"""After this part of the duration without success the holder gives up: well before another one can have begun."""
_RETRY = 2 / 15
"""Part of the duration between two tries; client-go's 15, 10 and 2 seconds."""


class LeaseLostError(Exception):
    """Somebody else may lead now: stop at once."""


class Lease:
    def __init__(
        self,
        kube: KubeClient,
        namespace: str,
        name: str,
        identity: str,
        *,
        pod: str = "",
        duration_s: float = 15.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`pod`: this process runs alone in it; its identity is the pod's name, `_` and a word of its own."""
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._pod = pod
        self._duration = duration_s
        self._monotonic = monotonic
        self._seen: tuple[str, float] | None = None
        """resourceVersion of the record, and since when it stands on our own clock."""
        self._renewed = 0.0
        self._current: dict[str, Any] | None = None
        self.held = False

    async def acquire(self) -> None:
        """Returns once this process leads."""
        waiting = False
        while True:
            try:
                if await self._try():
                    self.held = True
                    _LOG.info("%s leads (Lease %s/%s)", self._identity, self._namespace, self._name)
                    return
            except KubeError as error:
                _LOG.warning("the Lease cannot be read: %s", error)
            if not waiting:
                waiting = True
                _LOG.info("another operator leads; standing by")
            await asyncio.sleep(spread_s(self._duration * _RETRY))

    async def keep(self) -> None:
        """Renews until that fails for too long; raises LeaseLostError."""
        while True:
            await asyncio.sleep(self._duration * _RETRY)
            if not self.is_fresh():
                # the process may have been frozen: what was true then is not looked at again
                raise LeaseLostError(f"the Lease was not renewed for {self._duration * _RENEW_WITHIN:.0f} s")
            try:
                # a request that hangs must not outlast the right to lead
                async with asyncio.timeout(self._renewed + self._duration * _RENEW_WITHIN - self._monotonic()):
                    renewed = await self._try()
            except (KubeError, TimeoutError) as error:
                _LOG.warning("the Lease could not be renewed: %s", str(error) or "no answer in time")
                continue
            if not renewed:
                raise LeaseLostError("another operator took the Lease")

    @property
    def term(self) -> int:
        """Rises each time that the Lease goes to another process."""
        return 0 if self._current is None else int(self._current["spec"]["leaseTransitions"])

    def is_fresh(self) -> bool:
        """Whether nobody else can lead yet, by this process's own clock."""
        return self._monotonic() - self._renewed < self._duration * _RENEW_WITHIN

    async def release(self) -> None:
        """Lets the next one begin at once."""
        if not self.held or self._current is None:
            return
        self.held = False
        self._current["spec"]["holderIdentity"] = ""
        self._current["spec"]["leaseDurationSeconds"] = 1
        try:
            async with asyncio.timeout(self._duration * _RETRY):  # an end that waits is no end
                await self._kube.replace(LEASES, self._current)
        except (KubeError, TimeoutError) as error:
            _LOG.info("the Lease could not be released: %s", str(error) or "no answer in time")

    async def _try(self) -> bool:
        sent_at = self._monotonic()
        lease = await self._kube.find(LEASES, self._namespace, self._name)
        if lease is None:
            return await self._write(sent_at, None)
        lease["spec"] = lease.get("spec") or {}  # somebody has emptied it: then nobody holds it
        version = lease["metadata"]["resourceVersion"]
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, sent_at)
        holder = lease["spec"].get("holderIdentity")
        if holder and holder != self._identity and not self._is_dead(holder):
            duration = float(lease["spec"].get("leaseDurationSeconds") or self._duration)
            if sent_at - self._seen[1] < duration:
                return False
        return await self._write(sent_at, lease)

    def _is_dead(self, holder: str) -> bool:
        """The process before this one in the same container: the kubelet starts none beside one that lives."""
        return bool(self._pod) and holder.rpartition("_")[0] == self._pod

    async def _write(self, sent_at: float, lease: dict[str, Any] | None) -> bool:
        now = times.to_text(time.time())
        taken_over = lease is None or lease["spec"].get("holderIdentity") != self._identity
        spec = dict(lease["spec"]) if lease is not None else {}
        spec |= {"holderIdentity": self._identity, "leaseDurationSeconds": math.ceil(self._duration), "renewTime": now}
        if taken_over:
            spec |= {"acquireTime": now, "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1}
        try:
            if lease is None:
                body = {
                    "apiVersion": LEASES.api_version,
                    "kind": LEASES.kind,
                    "metadata": {"name": self._name, "namespace": self._namespace},
                    "spec": spec,
                }
                self._current = await self._kube.create(LEASES, self._namespace, body)
            else:
                self._current = await self._kube.replace(LEASES, {**lease, "spec": spec})
        except ConflictError:
            return False
        self._seen = (self._current["metadata"]["resourceVersion"], sent_at)
        self._renewed = sent_at
        return True
