"""Files to manifests, in a process of its own: see `_yaml_process.py`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.api.text import one_line
from controller.sync.manifests import Failure, Manifest

_PROGRAM = Path(__file__).with_name("_yaml_process.py")
_TIMEOUT_S = 60.0
_FILE_S = 20.0
_MOST_DEATHS = 5
_LINE_BYTES = 17 << 20
MOST_BYTES = 32 << 20
MOST_VALUES = 600_000
"""Of all answers: what is read lies in this process's memory, and aliases make more of it than the files have."""
TOO_MUCH_IN_ALL = f"the manifests together have more than {MOST_BYTES >> 20} MiB, or {MOST_VALUES} values"
_MOST_MESSAGE = 500


@dataclass(frozen=True)
class Parsed:
    manifests: tuple[Manifest, ...]
    failures: tuple[Failure, ...]
    values: Mapping[str, int]
    """How many each file has."""


async def parsed(files: Mapping[str, str]) -> Parsed:
    """One file that cannot be read keeps none of the others."""
    manifests, failures = list[Manifest](), list[Failure]()
    left = list(files)
    values: dict[str, int] = {}
    deaths = size = counted = 0
    async with contextlib.AsyncExitStack() as stack:
        reader: _Reader | None = None
        deadline = asyncio.get_running_loop().time() + _TIMEOUT_S
        while left:
            name = left.pop(0)
            if asyncio.get_running_loop().time() > deadline or deaths > _MOST_DEATHS:
                failures.append(Failure(name, "was not read: other files took too long"))
                continue
            if reader is None:
                reader = await stack.enter_async_context(_reading())
            answer = await reader.read(files[name])
            size += reader.answered
            if answer is None:
                deaths += 1
                reader = None
                failures.append(Failure(name, "takes more time or memory than any manifest needs"))
            elif "problem" in answer:
                failures.append(Failure(name, one_line(str(answer["problem"]), _MOST_MESSAGE)))
            elif size > MOST_BYTES or counted + answer["values"] > MOST_VALUES:
                failures.append(Failure(name, TOO_MUCH_IN_ALL))
            else:
                values[name] = answer["values"]
                counted += answer["values"]
                manifests += [Manifest(name, raw) for raw in answer["objects"]]
    return Parsed(tuple(manifests), tuple(failures), values)


class _Reader:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.answered = 0
        """Bytes of the last answer."""

    async def read(self, text: str) -> Mapping[str, Any] | None:
        """None: it took too much, and the process is gone."""
        stdin, stdout = self._process.stdin, self._process.stdout
        self.answered = 0
        if stdin is None or stdout is None:
            return None
        try:
            async with asyncio.timeout(_FILE_S):
                stdin.write(json.dumps(text).encode() + b"\n")
                await stdin.drain()
                line = await stdout.readline()
        except (TimeoutError, OSError, ValueError):
            return None
        self.answered = len(line)
        answer: Mapping[str, Any] | None = json.loads(line) if line.endswith(b"\n") else None
        return answer


@contextlib.asynccontextmanager
async def _reading() -> AsyncIterator[_Reader]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(_PROGRAM),
        env={"LC_ALL": "C.UTF-8"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=_LINE_BYTES,
        start_new_session=True,
    )
    try:
        yield _Reader(process)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())
