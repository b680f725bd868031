"""Jobs that this version does for trial: drawn as any other, but from no queue, and nothing is kept of them.

A new version of a worker has no messages before it has a share of them. This shows beforehand that it can do its work.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from workloads.common.attempt import RefusedError
from workloads.image_worker.faults import InjectedError, Misfortune
from workloads.image_worker.renderer import Renderer, RenderError
from workloads.image_worker.settings import Settings

_PIXELS = 96


@dataclass(frozen=True, slots=True)
class Tried:
    job_id: str
    wrong: str
    """Empty: it was drawn."""
    seconds: float


async def tried(settings: Settings, count: int, *, every: float) -> AsyncIterator[Tried]:
    """One after the other, with `every` seconds in between."""
    misfortune = Misfortune(settings.faults, settings.seed)
    async with Renderer(settings.render) as renderer:
        for place in range(count):
            await asyncio.sleep(every if place else 0)
            job_id, begun = f"try-{place}", time.monotonic()
            body = {"job_id": job_id, "kind": "render", "width": _PIXELS, "height": _PIXELS}
            try:
                await misfortune.strike()
                await renderer.render(job_id, body)
            except (InjectedError, RefusedError, RenderError) as problem:
                wrong = str(problem)
            else:
                wrong = ""
            yield Tried(job_id, wrong, round(time.monotonic() - begun, 3))
