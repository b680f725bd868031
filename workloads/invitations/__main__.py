"""`python -m workloads.invitations`: the service. Its command line is `python -m workloads.invitations.cli`."""

import gc
import logging
import os
import signal
import sys

import uvicorn

from workloads.common.environment import SettingError
from workloads.common.json_logs import log_as_json
from workloads.common.tracing import ids_now
from workloads.invitations.app import create
from workloads.invitations.parts import Clock, now_ms
from workloads.invitations.punctual import punctual
from workloads.invitations.settings import Settings, read

_KEPT_S = 120
"""Longer than a gateway keeps a connection it does not use: else it may send a request into one being closed."""


def server(settings: Settings, *, clock: Clock = now_ms) -> uvicorn.Server:
    serving = settings.serving
    config = uvicorn.Config(
        create(settings, clock=clock),
        host=serving.host,
        port=serving.port,
        loop="uvloop",
        http=punctual(serving.read_s),
        timeout_keep_alive=_KEPT_S,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whom to believe is TRUSTED_PROXIES
        timeout_graceful_shutdown=round(serving.drain_s),
    )
    return uvicorn.Server(config)


def main() -> int:
    try:
        settings = read(os.environ)
    except SettingError as problem:
        print(f"invitations: {problem}", file=sys.stderr)
        return 2
    log_as_json(settings.identity.tags(), now=ids_now)
    logging.getLogger("botocore").setLevel(logging.WARNING)  # tells of each client where its settings come from
    serving = server(settings)
    # What is there now stays for ever: 90,000 objects, which a full collection would look through for 20 to 40 ms.
    gc.collect()
    gc.freeze()
    # uvicorn sends itself once more what ended it; who was asked to end, and has, ends well.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    serving.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
