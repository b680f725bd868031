"""The worker's side of its render processes."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import workloads
from workloads.common.attempt import RefusedError
from workloads.common.aws import Step, unseen
from workloads.image_worker.frames import HEAD, Frame, FrameError, lengths
from workloads.image_worker.kinds import DEFAULT

_STREAM_LIMIT = 2**20
_TO_END_S = 1.0


class RenderError(Exception):
    """The job failed in the render process, or with it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a job: `image`, or `thumbnail`."""

    name: str
    data: bytes
    content_type: str
    extension: str
    width: int
    height: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Rendered:
    parts: tuple[Part, ...]
    hash64: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a render process: address space, and for each job processor time and time in all."""

    memory_mib: int
    cpu_s: int
    whole_s: float = 108.0
    """So that a job that hangs without using the processor ends, too."""


class _Process:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, limits: Limits) -> Self:
        top = str(Path(workloads.__file__).parents[1])
        # No credentials: what decodes files from outside has nothing to give away.
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": top, "OPENBLAS_NUM_THREADS": "1"}
        for name in ("PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "LANG", "RENDER_FONT"):
            if name in os.environ:
                environment[name] = os.environ[name]
        return cls(
            await asyncio.create_subprocess_exec(
                # -P: the working directory is not among what it may read
                *(sys.executable, "-P", "-m", "workloads.image_worker.render_process"),
                *(str(limits.memory_mib), str(limits.cpu_s)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=environment,
                limit=_STREAM_LIMIT,
                start_new_session=True,  # Ctrl-C is for the worker, which drains
            )
        )

    @property
    def lives(self) -> bool:
        return self._process.returncode is None

    async def ask(self, request: Frame) -> Frame:
        send, receive = self._process.stdin, self._process.stdout
        if send is None or receive is None:
            raise FrameError("the render process has no pipes")
        try:
            send.write(request.encode())
            await send.drain()
            about, data = lengths(await receive.readexactly(HEAD))
            head = await receive.readexactly(about)
            return Frame(json.loads(head), await receive.readexactly(data))
        except (asyncio.IncompleteReadError, OSError) as problem:
            raise FrameError("the render process ended") from problem

    async def ended(self) -> int:
        """Its exit code, or the signal that ended it, negative; it is killed if it still runs."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_TO_END_S):  # its pipes close a moment before
                await self._process.wait()
        await self.kill()
        return self._process.returncode or 0

    async def kill(self) -> None:
        if self.lives:
            self._process.kill()
        await self._process.wait()
        # a pipe whose reader was paused, as nobody read on, never sees the end
        self._process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001


class Renderer:
    """`async with`: its processes end with it. As many jobs at a time as are asked for."""

    def __init__(self, limits: Limits, *, step: Step = unseen) -> None:
        self._step = step
        self._limits = limits
        self._idle: list[_Process] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(process.kill() for process in self._idle))
        self._idle.clear()

    async def render(self, job_id: str, body: Mapping[str, Any], data: bytes = b"") -> Rendered:
        """Raises RefusedError for what can never be rendered, RenderError. Cancelled: the process is killed."""
        async with self._process() as process:
            with self._step("render", {"job.kind": str(body.get("kind", DEFAULT))}):
                answer = await self._asked(process, Frame({"job_id": job_id, "body": dict(body)}, data))
        if "refused" in answer.about:
            raise RefusedError(answer.about["refused"])
        if "error" in answer.about:
            raise RenderError(answer.about["error"])
        return _rendered(answer)

    async def _asked(self, process: _Process, request: Frame) -> Frame:
        try:
            async with asyncio.timeout(self._limits.whole_s):
                return await process.ask(request)
        except TimeoutError:
            raise RefusedError(f"took longer than {self._limits.whole_s:g} s") from None
        except FrameError as problem:
            if await process.ended() == -signal.SIGXCPU:
                raise RefusedError(f"took longer than {self._limits.cpu_s} s of processor time") from None
            raise RenderError(str(problem)) from problem

    @asynccontextmanager
    async def _process(self) -> AsyncIterator[_Process]:
        process = self._idle.pop() if self._idle else await _Process.start(self._limits)
        good = False
        try:
            yield process
            good = True
        finally:
            if good and process.lives:
                self._idle.append(process)
            else:
                await asyncio.shield(process.kill())


def _rendered(answer: Frame) -> Rendered:
    parts, start = [], 0
    for part in answer.about["parts"]:
        described = dict(part)
        length = described.pop("length")
        parts.append(Part(data=answer.data[start : start + length], **described))
        start += length
    return Rendered(tuple(parts), int(answer.about["hash"], 16))
