"""`python -m workloads.subject`."""

import asyncio
import os
import signal
import sys

from workloads.common.environment import SettingError
from workloads.common.json_logs import log_as_json
from workloads.subject.server import serve
from workloads.subject.settings import Settings, read


async def run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop=stop)


def main() -> int:
    try:
        settings = read(os.environ)
    except SettingError as problem:
        print(f"subject: {problem}", file=sys.stderr)
        return 2
    log_as_json(settings.identity.tags())
    asyncio.run(run(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
