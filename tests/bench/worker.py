"""The image worker under chaos: 400 jobs, 6 processes, SIGKILL at six stages, double sends, stalls, failures.

Real processes, a real SQS, DynamoDB and S3 API (LocalAws). The same without fence and conditional upload, and with a
lock that only DynamoDB's TTL opens again, must go wrong, or the chaos would show nothing. Requests are counted in a
run without any of it.
"""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from hack.node.aws import LocalAws
from tests.bench.report import Report, Target
from tests.bench.world import say
from tests.image_chaos import Aftermath, Plan, suffer

JOBS = 400
CHAOS = Plan(jobs=JOBS, processes=6, deaths=160, died=0.12, stalled=0.03, failed=0.05, twice=0.1)
CALM = Plan(jobs=200, processes=2)
UNFENCED = Plan(jobs=100, processes=6, deaths=60, died=0.1, stalled=0.1, failed=0.05, twice=0.1, without="fence")
TTL_LOCK = Plan(jobs=100, processes=6, deaths=60, died=0.1, failed=0.05, twice=0.1, without="lease")
SMALL_JOBS, SMALL_DEATHS = 12, 3
AT_ANY_SIZE = ("uploaded_twice", "stuck", "lost")
TARGETS: dict[str, Target] = {
    "deaths": (">=", 150),
    "stages": (">=", 6),
    "completed": (">=", JOBS),
    "objects": (">=", JOBS),
    "uploaded_twice": ("<=", 0),
    "stuck": ("<=", 0),
    "lost": ("<=", 0),
    "requests_per_job": ("<=", 4),
    "unfenced_uploaded_twice": (">=", 1),
    "ttl_lock_stuck": (">=", 1),
}
_INDEX = ("TransactWriteItems", "Query")
_ASIDE = ("ReceiveMessage", "DeleteMessage", "s3", "GetQueueAttributes", "GetItem")


async def run(*, small: bool = False) -> Report:
    with tempfile.TemporaryDirectory() as directory, LocalAws(Path(directory) / "aws") as aws:
        os.environ.update(aws.environment)
        top = Path(directory)
        sized = _smaller if small else _as_it_is
        calm = await suffer(sized(CALM), top / "calm", seconds=240)
        _say("calm", calm)
        chaos = await suffer(sized(CHAOS), top / "chaos", seconds=900)
        _say("chaos", chaos)
        unfenced = await suffer(sized(UNFENCED), top / "unfenced", seconds=300)
        _say("without fence and If-None-Match", unfenced)
        ttl_lock = await suffer(sized(TTL_LOCK), top / "ttl", seconds=300)
        _say("locked by TTL", ttl_lock)
    figures = {
        "jobs": chaos.jobs,
        "deaths": chaos.deaths,
        "stages": len(chaos.stages),
        "completed": chaos.completed,
        "objects": chaos.objects,
        "uploaded_twice": chaos.uploaded_twice,
        "stuck": chaos.stuck,
        "lost": chaos.lost,
        "chaos_s": round(chaos.seconds, 1),
        "requests_per_job": round(_per_job(calm, without=(*_INDEX, *_ASIDE)), 2),
        "index_requests_per_job": round(_per_job(calm, only=_INDEX), 2),
        "jobs_per_s": round(calm.jobs_per_s, 1),
        "unfenced_uploaded_twice": unfenced.uploaded_twice,
        "ttl_lock_stuck": ttl_lock.stuck,
    }
    notes = [f"deaths by stage: {dict(sorted(chaos.stages.items()))}"]
    notes.append("requests_per_job: beyond receive, put and delete; the index of near images apart")
    targets = {name: TARGETS[name] for name in AT_ANY_SIZE} if small else TARGETS
    return Report("worker", figures, targets, notes)


def _as_it_is(plan: Plan) -> Plan:
    return plan


def _smaller(plan: Plan) -> Plan:
    return replace(plan, jobs=SMALL_JOBS, processes=min(3, plan.processes), deaths=min(SMALL_DEATHS, plan.deaths))


def _per_job(of: Aftermath, *, only: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> float:
    names = only or [name for name in of.requests if name not in without]
    return sum(of.requests[name] for name in names) / of.jobs


def _say(name: str, of: Aftermath) -> None:
    say(
        f"{name}: {of.completed} of {of.jobs} completed in {of.seconds:.0f} s, {of.deaths} deaths, {of.objects} "
        f"objects, {of.uploaded_twice} uploaded twice, {of.stuck} stuck, {of.lost} lost, {dict(of.requests)}"
    )
