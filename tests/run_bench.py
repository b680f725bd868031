"""Runs a benchmark as a person does."""

import asyncio
import json
import os
import sys
from pathlib import Path

_CHECKOUT = Path(__file__).parents[1]
_PATIENCE_S = 280.0


async def small(name: str, *, seconds: float = _PATIENCE_S) -> dict[str, float]:
    """The figures of its small size, after what holds of every report."""
    code, said, progress = await bench(name, "--small", "--json", seconds=seconds)
    assert code == 0, progress[-3000:] + said[-3000:]
    assert progress, "nothing was said while it ran"
    report = json.loads(said.splitlines()[-1])
    assert (report["name"], report["size"]) == (name, "small")
    assert report["measures"]
    assert report["met"] is (True if report["targets"] else None)
    figures: dict[str, float] = report["figures"]
    return figures


async def bench(*arguments: str, seconds: float = _PATIENCE_S) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench", *arguments),
        cwd=_CHECKOUT,
        env={**os.environ, "COLUMNS": "120"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            said, progress = await process.communicate()
    except TimeoutError:
        process.terminate()  # its servers end with it
        await process.wait()
        raise AssertionError(f"{arguments} is not done after {seconds:g} s") from None
    return process.returncode or 0, said.decode(), progress.decode()
