"""`python -m workloads.image_worker`: the worker. Its command line is `python -m workloads.image_worker.cli`."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from workloads.common.environment import SettingError
from workloads.common.json_logs import log_as_json
from workloads.common.share_settings import gate
from workloads.common.tracing import ids_now
from workloads.common.worker import until_told
from workloads.image_worker.app import serve
from workloads.image_worker.confinement import keep_from_others, landlock_version
from workloads.image_worker.settings import Settings, read

log = logging.getLogger(__name__)

Serving = Callable[..., Coroutine[Any, Any, None]]


async def run(settings: Settings, serving: Serving) -> None:
    async with gate(os.environ) as share:  # outside: the last report comes after the last job
        await until_told(lambda stop: serving(settings, stop=stop, gate=share))


def main(serving: Serving = serve) -> int:
    """`serving` is for tests, whose worker dies or leaves a protection out."""
    try:
        keep_from_others()
        settings = read(os.environ)
        log_as_json(settings.jobs.identity.tags(), now=ids_now)
        logging.getLogger("botocore").setLevel(logging.WARNING)  # tells of each client where its settings come from
        if not landlock_version():
            log.warning("this kernel has no Landlock: render processes can read what the worker can")
        asyncio.run(run(settings, serving))
    except SettingError as problem:
        print(f"image worker: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
