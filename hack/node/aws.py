"""SQS, DynamoDB and S3 on this machine: ministack, which speaks the real protocols.

Takes a free port, so tests start their own. Data are kept in memory: a new start is an empty account.
"""

import sys
from pathlib import Path
from typing import Self

import httpx

from hack.node import build
from hack.node.process import Daemon, free_port, record, stop

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
        return environment(self.url)

    @property
    def health(self) -> str:
        return f"{self.url}/_ministack/health"

    def daemon(self) -> Daemon:
        packages = build.program("ministack").parents[1]
        return Daemon(
            name="ministack",
            directory=self.directory,
            command=[sys.executable, "-m", "hypercorn", "ministack.app:app", "--workers", "0", "--bind", self._listen],
            env={"PYTHONPATH": str(packages), "MINISTACK_REGION": REGION, "PYTHONUNBUFFERED": "1"},
        )

    def start(self) -> None:
        daemon = self.daemon()
        daemon.start()
        with httpx.Client(timeout=5, trust_env=False) as client:
            daemon.wait_until(lambda: self._answers(client), seconds=_READY_SECONDS)

    def _answers(self, client: httpx.Client) -> bool:
        try:
            return client.get(self.health).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        stop(record(self.directory, "ministack"), seconds=5)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def environment(url: str) -> dict[str, str]:
    """What a program needs to use the server at `url`, which takes any key."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
