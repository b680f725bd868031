"""The operator's parts inside of the test: no Lease, no watches, and it can be killed at any of its writes.

A process takes a second of CPU to start; this takes a hundredth, so that it can be killed hundreds of times.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.api.resources import RELEASE_ACTIONS
from controller.kube.client import KubeClient, KubeError
from controller.kube.objects import Key
from controller.outward.addresses import Addresses
from controller.runtime.controller import Event
from controller.runtime.operator import Operator
from tests.beside import beside
from tests.integration.node import Node
from tests.integration.operator_fixture import Shop

_POLL_S = 0.4
"""How often the world is read again, in the place of watches."""


class KilledError(BaseException):
    """The process is gone. No Exception: nobody may catch it and go on."""


@dataclass
class Fate:
    """Which write is the last one, and whether the API server still gets it."""

    writes: int
    arrives: bool


class MortalClient(KubeClient):
    """Dies at the write that its fate names; immortal without one."""

    fate: Fate | None = None
    writes = 0
    killed: KilledError | None = None
    """An effect's write may be the last one, too; it is made beside the passes, and all end with it."""

    async def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        if method == "GET":
            return await super().request(method, path, **options)
        self.writes += 1
        last = self.fate is not None and self.writes >= self.fate.writes
        if last and self.fate is not None and not self.fate.arrives:
            self.killed = KilledError(f"before {method} {path}")
            raise self.killed
        answer = await super().request(method, path, **options)
        if last:
            self.killed = KilledError(f"after {method} {path}")
            raise self.killed
        return answer


class OperatorInProcess:
    """Works on one Release. With `dice` it is killed within every few writes, and begins anew with an empty cache."""

    def __init__(
        self,
        kubeconfig: Path,
        key: Key,
        log: Path,
        *,
        dice: random.Random | None = None,
        addresses: Addresses | None = None,
    ) -> None:
        """`addresses`: where webhooks may go; None: where they may in production, which leaves out loopback."""
        self._kubeconfig = kubeconfig
        self.key = key
        self._dice = dice
        self._addresses = addresses
        self.log = log
        log.touch()
        self.clock: Callable[[], float] = time.time
        self.kills = 0
        self.passes = 0
        self.between: Callable[[], Awaitable[None]] | None = None
        """Looks at the cluster as each kill left it."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["OperatorInProcess"]:
        async with beside(self._run()):
            yield self

    async def looks(self, times: int) -> None:
        """Returns once it has looked at the Release so often again."""
        until = self.passes + times
        async with asyncio.timeout(60):
            while self.passes < until:  # noqa: ASYNC110 - a count, and nobody who tells of it
                await asyncio.sleep(0.05)

    async def _run(self) -> None:
        connection = await KubeClient.connect(str(self._kubeconfig))
        try:
            await self._live_again_and_again(connection)
        finally:
            await connection.close()

    async def _live_again_and_again(self, connection: KubeClient) -> None:
        while True:
            kube = MortalClient(connection._api)  # what survives a kill is an open socket, and nothing else
            if self._dice is not None:
                kube.fate = Fate(self._dice.randint(1, 3), arrives=self._dice.random() < 0.5)
            try:
                await self._work(kube)
            except KilledError as killed:
                self.kills += 1
                self._note(f"killed {killed}")
            except KubeError as error:
                self._note(f"could not begin: {error}")
                await asyncio.sleep(_POLL_S)
            if self.between is not None:
                await self.between()

    async def _work(self, kube: MortalClient) -> None:
        operator = await Operator.assemble(kube, self.key.namespace, addresses=self._addresses, network_s=0)
        operator.reconciler.clock = self.clock
        try:
            async with beside(operator.analysis.run()):
                await self._reconcile(operator, kube)
        finally:
            await operator.outbox.close()  # its calls end with the process
            await operator.close()

    async def _reconcile(self, operator: Operator, kube: MortalClient) -> None:
        while True:
            if kube.killed is not None:
                raise kube.killed
            again: float | None = None
            before = kube.writes
            try:
                for action in await kube.list(RELEASE_ACTIONS, self.key.namespace):
                    if action["spec"]["release"] == self.key.name:
                        operator.event_router.on_event(Event(RELEASE_ACTIONS, action))
                operator.reconciler.cache.forget(self.key.namespace, self.key.name)  # no watch shows it changes
                again = await operator.reconciler.reconcile(self.key)
                self.passes += 1
            except (KubeError, TimeoutError) as error:
                self._note(f"failed: {error}")
            if kube.writes == before:
                await asyncio.sleep(_POLL_S if again is None else min(_POLL_S, again))

    def _note(self, text: str) -> None:
        with self.log.open("a") as log:
            log.write(f"{text}\n")


class Stall(Shop):
    """A Release with an operator of its own in the test's process; many fit into one namespace."""

    poll_s = 0.25
    operator: OperatorInProcess

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        kube: KubeClient,
        node: Node,
        kubeconfig: Path,
        log: Path,
        *,
        name: str = "web",
        seed: int | None = None,
        addresses: Addresses | None = None,
    ) -> AsyncIterator["Stall"]:
        """With a `seed` its operator is killed again and again."""
        dice = None if seed is None else random.Random(seed)  # noqa: S311 - moments, not secrets
        operator = OperatorInProcess(kubeconfig, Key(node.namespace, name), log, dice=dice, addresses=addresses)
        stall = cls(kube, node.namespace, node, operator, kubeconfig)
        stall.name = name
        async with operator.running():
            yield stall

    @property
    def key(self) -> Key:
        return Key(self.namespace, self.name)

    async def given(self, release: dict[str, Any]) -> None:
        await super().given({**release, "metadata": {"name": self.name}})
