"""Workers in the pods that a Release has: they take messages from a queue, through the gate that every worker has."""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from controller.api.names import RELEASE_LABEL, REVISION_LABEL
from controller.api.resources import PODS
from controller.kube.client import KubeClient, KubeError
from tests.beside import beside
from workloads.common.gate import Gate
from workloads.common.share_settings import gate

_SLOTS = 3
_POLL_S = 0.25
"""How long a poll is open."""


@dataclass
class Queue:
    """Messages come at a steady rate; whoever asks first gets the next one."""

    rate: float
    began: float = field(default_factory=time.monotonic)
    taken: int = 0
    _asking: deque[asyncio.Future[None]] = field(default_factory=deque)

    async def poll(self) -> bool:
        """Whether a message came."""
        asked = asyncio.get_running_loop().create_future()
        self._asking.append(asked)
        try:
            async with asyncio.timeout(_POLL_S):
                await asked
        except TimeoutError:
            if asked.done():  # in the same turn of the loop
                return True
            self._asking.remove(asked)
            return False
        return True

    async def flow(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            while self._asking and self.taken < (time.monotonic() - self.began) * self.rate:
                asked = self._asking.popleft()
                if not asked.done():
                    self.taken += 1
                    asked.set_result(None)


class Crew:
    """`works(revision)` is a job of that revision: seconds, and whether it fails."""

    def __init__(self, kube: KubeClient, namespace: str, name: str, environment: dict[str, str], rate: float) -> None:
        self._kube, self._namespace, self._name = kube, namespace, name
        self._environment = {"SERVICE_ID": f"{namespace}/{name}", **environment}
        self.queue = Queue(rate)
        self.claims: Counter[str] = Counter()
        self.last_claim: dict[str, float] = {}
        """By revision, on the monotonic clock."""
        self.works: Callable[[str], tuple[float, bool]] = lambda _: (0.02, False)
        self.done: Callable[[str, bool], None] = lambda _revision, _failed: None
        self._pods: dict[str, asyncio.Task[None]] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Crew"]:
        async with beside(self.queue.flow()), beside(self._follow_pods()):
            try:
                yield self
            finally:
                for task in self._pods.values():
                    task.cancel()
                ended = await asyncio.gather(*self._pods.values(), return_exceptions=True)
                if died := [problem for problem in ended if isinstance(problem, Exception)]:
                    raise ExceptionGroup("workers died by themselves", died)

    async def _follow_pods(self) -> None:
        while True:
            with contextlib.suppress(KubeError):
                found = await self._kube.list(PODS, self._namespace, labels=f"{RELEASE_LABEL}={self._name}")
                there = {pod["metadata"]["name"]: pod for pod in found if pod.get("status", {}).get("podIP")}
                for name, pod in there.items():
                    if name not in self._pods:
                        revision = pod["metadata"]["labels"][REVISION_LABEL]
                        self._pods[name] = asyncio.create_task(self._work(name, revision))
                for name in self._pods.keys() - there.keys():
                    if not self._pods[name].cancelling():  # once: it ends as a pod does, with a last report
                        self._pods[name].cancel()
            await asyncio.sleep(0.2)

    async def _work(self, pod: str, revision: str) -> None:
        environment = {**self._environment, "POD": pod, "REVISION": revision}
        async with gate(environment) as opened, asyncio.TaskGroup() as slots:
            for _ in range(_SLOTS):
                slots.create_task(self._slot(opened, revision))

    async def _slot(self, opened: Gate, revision: str) -> None:
        while True:
            permit = await opened.permit(1)
            came = False
            try:
                came = await self.queue.poll()
            finally:
                kept = await permit.settle(int(came))
            if not came or not kept:
                continue
            self.claims[revision] += 1
            self.last_claim[revision] = time.monotonic()
            seconds, failed = self.works(revision)
            await asyncio.sleep(seconds)
            self.done(revision, failed)

    def share(self, canary: str, before: Counter[str]) -> float:
        """The canary's part of what was claimed since `before`."""
        claimed = self.claims - before
        return claimed[canary] / max(1, claimed.total())
