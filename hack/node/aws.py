"""SQS, DynamoDB and S3 on this machine: ministack, which speaks the real protocols.

Takes a free port, so tests start their own. Data are kept in memory: a new start is an empty account.
"""

import sys
from pathlib import Path
from typing import Self

import httpx

from hack.node import build
from hack.node.process import Daemon, free_port, pid_file, stop

REGION = "eu-central-1"
_READY_SECONDS = 30


class LocalAws:
    """`environment` is what a program needs to use it instead of AWS."""

    def __init__(self, directory: Path, *, address: str = "127.0.0.1", port: int = 0) -> None:
        self.directory = directory.resolve()
        self._listen = f"{address}:{port or free_port()}"

    @property
    def url(self) -> str:
        return f"http://{self._listen}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        packages = build.program("ministack").parents[1]
        daemon = Daemon(
            name="ministack",
            directory=self.directory,
            command=[sys.executable, "-m", "hypercorn", "ministack.app:app", "--bind", self._listen],
            env={"PYTHONPATH": str(packages), "MINISTACK_REGION": REGION, "PYTHONUNBUFFERED": "1"},
        )
        daemon.start()
        with httpx.Client(base_url=self.url, timeout=5, trust_env=False) as client:
            daemon.wait_until(lambda: _answers(client), seconds=_READY_SECONDS)

    def stop(self) -> None:
        stop(pid_file(self.directory, "ministack"), seconds=5)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/_ministack/health").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
