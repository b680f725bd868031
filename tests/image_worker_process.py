"""An image worker that dies or stands still at a stage: `python -m tests.image_worker_process` with CHAOS as JSON.

`{"die": {"stage": "job id"}}` kills it with SIGKILL when that job comes to the stage, once: a file in `deaths` per
death says that it was. `{"random": 0.1, "stall": 0.03, "enough": 150}` kills it at random until so many files are
there. `without` leaves a protection out, to show that it is one.
"""

import functools
import json
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.httpsession import URLLib3Session

from workloads.common.job_row import State
from workloads.common.job_table import Busy, Claimed, JobTable
from workloads.common.stages import Observer, Stage
from workloads.image_worker import app, settings
from workloads.image_worker.__main__ import main as serve
from workloads.image_worker.store import Store


class UnfencedTable(JobTable):
    """Who finishes, finishes, whoever has the job."""

    def _held(self) -> str:
        asked = (("fence", ":fence"), ("claim_nonce", ":nonce"), ("#state", ":processing"))
        return " AND ".join(f"({name} = {value} OR {name} <> {value})" for name, value in asked)


class CarelessStore(Store):
    """Writes over what is there."""

    def _condition(self) -> dict[str, str]:
        return {}


class TtlLockTable(JobTable):
    """The lock is the row, and DynamoDB's TTL is to take it away when a worker dies. It does so hours later."""

    async def claim(self, job_id: str, *, created_at: float, canary: bool, tries: int = 1, digest: str = "") -> Claimed:
        row = await self.get(job_id)
        if row is not None and row.state is State.PROCESSING:
            return Busy(self.terms.lease)
        return await super().claim(job_id, created_at=created_at, canary=canary, tries=tries, digest=digest)


WITHOUT: Mapping[str, Mapping[str, Any]] = {
    "": {},
    "fence": {"table": UnfencedTable, "store": CarelessStore},
    "lease": {"table": TtlLockTable},
}


class Chaos:
    def __init__(self, plan: Mapping[str, Any], *, stall_s: float) -> None:
        self._plan = plan
        self._deaths = Path(plan["deaths"])
        self._stall_s = stall_s
        self._random = random.Random(os.getpid())  # noqa: S311

    def __call__(self, stage: Stage, job_id: str) -> None:
        if self._plan.get("die", {}).get(stage) == job_id and not (self._deaths / f"{stage}").exists():
            self._die(stage)
        if (
            self._random.random() < self._plan.get("random", 0.0)
            and len(list(self._deaths.iterdir())) < self._plan["enough"]
        ):
            self._die(f"{stage}-{secrets.token_hex(4)}")
        if stage is Stage.WORKED and self._random.random() < self._plan.get("stall", 0.0):
            time.sleep(self._stall_s)  # as a process does that is paused: heartbeats stop as well

    def _die(self, name: str) -> None:
        (self._deaths / name).touch()
        os.kill(os.getpid(), signal.SIGKILL)


def count_requests(file: Path) -> None:
    """A byte for each request that boto3 sends."""
    counted, send = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT), URLLib3Session.send

    def counting(self: Any, request: Any) -> Any:
        target = request.headers.get("X-Amz-Target", b"s3")
        target = target.decode() if isinstance(target, bytes) else target
        os.write(counted, f"{target.split('.')[-1]}\n".encode())
        return send(self, request)

    URLLib3Session.send = counting  # type: ignore[method-assign]


def work(plan: Mapping[str, Any]) -> int:
    chosen = settings.read(os.environ)
    observer: Observer = Chaos(plan, stall_s=chosen.jobs.rules.visibility * 1.2 + chosen.jobs.terms.skew)
    return serve(functools.partial(app.serve, observer=observer, **WITHOUT[plan.get("without", "")]))


def nest(plan: Mapping[str, Any]) -> int:
    """So many workers, and a new one for each that was killed; forked, as importing takes longer than working."""
    children: set[int] = set()
    ending = False

    def end(*_: object) -> None:
        nonlocal ending
        ending = True
        for child in children:
            os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    while True:
        while not ending and len(children) < plan["processes"]:
            if (child := os.fork()) == 0:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                os._exit(work(plan))
            children.add(child)
        if not children:
            return 0
        child, status = os.wait()
        children.discard(child)
        if not ending and not os.WIFSIGNALED(status):
            print(  # noqa: T201
                f"a worker ended by itself with {os.waitstatus_to_exitcode(status)}",
                file=sys.stderr,
            )
            end()


def main() -> int:
    plan = json.loads(os.environ["CHAOS"])
    if "requests" in plan:
        count_requests(Path(plan["requests"]))
    return nest(plan) if "processes" in plan else work(plan)


if __name__ == "__main__":
    sys.exit(main())
