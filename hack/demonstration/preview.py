"""What a pipeline does with a version that has no work yet: it tries it, and approves or aborts by what it has seen."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.node.cluster import Cluster
from hack.node.trouble import TroubleError

JOBS = 12
_EACH_S = 0.6
_DRAW = ("/app/bin/python", "-m", "workloads.image_worker.cli", "try")
_COMMAND_S = 60.0
_POINTSMAN = Path(sys.executable).parent / "pointsman"


@dataclass(frozen=True)
class Found:
    tried: str
    """What was done, and how many of it."""
    of: int
    failed: int

    def __str__(self) -> str:
        return f"{self.failed} of {self.of} {self.tried} failed"


Tester = Callable[[str], Awaitable[Found]]
"""Tries the version of this revision."""


@dataclass(frozen=True)
class OfWorker:
    """No message comes to it before the switch, so one of its pods draws some images from no queue."""

    cluster: Cluster
    namespace: str
    name: str

    async def __call__(self, revision: str) -> Found:
        there = (f"--namespace={self.namespace}", f"deployment/{self.name}-{revision}")
        draw = (*_DRAW, f"--count={JOBS}", f"--every={_EACH_S}", "--json")
        code, said = await _run(str(self.cluster.kubectl), ("exec", *there, "--", *draw), self.cluster)
        drawn = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        if len(drawn) != JOBS:
            raise TroubleError(
                f"{revision} cannot be tried: `kubectl exec {' '.join(there)}` ended with {code}: {said}"
            )
        return Found("images that a new pod drew for trial", JOBS, sum(bool(one["wrong"]) for one in drawn))


async def answer(cluster: Cluster, *, namespace: str, name: str, found: Found) -> str:
    """Asks for what follows, as `pointsman` on a command line does; returns what was typed."""
    chosen: Sequence[str] = ("abort", name, "--reason", str(found)) if found.failed else ("approve", name)
    code, said = await _run(str(_POINTSMAN), (*chosen, f"--namespace={namespace}"), cluster)
    if code:
        raise TroubleError(f"`pointsman {chosen[0]} {name}` failed: {said}")
    return f"pointsman {chosen[0]}"


async def _run(program: str, arguments: Sequence[str], cluster: Cluster) -> tuple[int, str]:
    """Exit code, and all it printed."""
    process = await asyncio.create_subprocess_exec(
        program, *arguments,
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_COMMAND_S):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise TroubleError(f"`{Path(program).name} {arguments[0]}` took more than {_COMMAND_S:g} s.") from None
    return process.returncode or 0, output.decode()
