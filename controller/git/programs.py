"""Runs git and what else a rollback needs, each bounded, and with all its children."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

MOST_OUTPUT = 64 << 20
_MOST_ERRORS = 1 << 16


class FailedError(Exception):
    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


class TooMuchError(FailedError):
    """It answered with more than may be."""


async def run(
    command: Sequence[str], env: Mapping[str, str], *, limits: str, said: bytes = b"", most: int = MOST_OUTPUT
) -> bytes:
    """What it answers. It and its children end with the call, however that ends. Raises FailedError, TooMuchError.

    `limits`: a shell's commands, such as `ulimit -t 10`. `most`: bytes of the answer.
    """
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        f'{limits}; exec "$@"',
        "sh",
        *command,
        env=dict(env),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        answer, errors, _ = await asyncio.gather(
            _read(process.stdout, most, TooMuchError),
            _read(process.stderr, _MOST_ERRORS, FailedError),
            _write(process.stdin, said),
        )
        code = await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.returncode is None:
            await asyncio.shield(process.wait())
    if code:
        raise FailedError(errors.decode(errors="replace") or f"{Path(command[0]).name} ended with {code}")
    return answer


async def _read(stream: asyncio.StreamReader | None, most: int, failure: type[FailedError]) -> bytes:
    content = bytearray()
    while stream is not None and (chunk := await stream.read(1 << 16)):
        content += chunk
        if len(content) > most:
            raise failure(f"it said more than {most} bytes")
    return bytes(content)


async def _write(stream: asyncio.StreamWriter | None, said: bytes) -> None:
    if stream is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.write(said)
        await stream.drain()
    stream.close()
