"""A canary's share of a queue, at 5 %: four consumer processes, a local SQS and DynamoDB, 5,000 claims a case.

The operator's allocator runs beside them. Each case ends with a rollback, after which the canary's last claim is looked
for. A canary of 50 % that fails everything is short by a constant: the second or so until a claim is reported, granted
for and spent, which is three rounds at most (queue-share's guarantee) and does not grow with the case's length.
Then two hours are simulated at four rates and five shares, with a broker that is fair and one that is not.
"""

import asyncio
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hack.node.aws import LocalAws
from tests.bench.report import Report, Target
from tests.bench.world import say
from tests.share_cases import Case, Found, played
from tests.share_simulated import RATES, SIMULATED_S, Cell, Simulated, simulated

CASES = {
    "light_healthy": Case(rate=80.0, job_s=0.02),
    "light_failing": Case(rate=80.0, job_s=0.02, canary_fails=True),
    "saturated_healthy": Case(),
    "saturated_failing": Case(canary_fails=True),
}
HALF = Case(share=0.5, rate=40.0, job_s=0.02, canary_fails=True)
WITHOUT = Case(canary_fails=True, ledger=False, claims=1500)
BROKERS = ("", "_stable_first")
SMALL_CLAIMS, SMALL_STABLE, SMALL_SIMULATED_S = 60, 1, 2.0
AT_ANY_SIZE = ("claims_too_many", "dead_lettered_good")
TARGETS: dict[str, Target] = {
    **{f"share_percent_{name}": (">=", 4.8) for name in CASES},
    **{f"missing_claims_{name}": ("<=", 10) for name in CASES},
    "missing_s_half": ("<=", 1.5),
    "missing_claims_growth_half": ("<=", 10),
    "claims_too_many": ("<=", 0),
    "dead_lettered_good": ("<=", 0),
    "last_claim_after_rollback_s": ("<=", 0.5),
    "ledger_writes_per_s_and_pod": ("<=", 2),
    "starved_s": ("<=", 10),
    "without_ledger_saturated_failing_percent": (">=", 20),
    **{f"simulated_points_off_at_{rate}_per_s{broker}": ("<=", 0.2) for rate in RATES for broker in BROKERS},
    "simulated_starved_s": ("<=", 60),
}


async def run(*, small: bool = False) -> Report:
    with tempfile.TemporaryDirectory() as directory, LocalAws(Path(directory) / "aws") as aws:
        os.environ.update(aws.environment)
        cases = CASES | {"half": HALF, "without": WITHOUT}
        found = await (_all_at_once if small else _one_by_one)(cases, Path(directory))
    half, without = found.pop("half"), found.pop("without")
    seconds = SMALL_SIMULATED_S if small else SIMULATED_S
    say(f"{seconds:g} s simulated, at each rate and share")
    of_simulated = of_cells(await asyncio.to_thread(simulated, seconds))
    targets = {name: TARGETS[name] for name in AT_ANY_SIZE} if small else TARGETS
    return Report("share", figures(found, half, without) | of_simulated, targets)


def figures(found: dict[str, Found], half: Found, without: Found) -> dict[str, float]:
    shared = [*found.values(), half]
    return {
        **{f"share_percent_{name}": round(one.percent, 3) for name, one in found.items()},
        **{f"missing_claims_{name}": round(-one.deviation, 2) for name, one in found.items()},
        **{f"claims_per_s_{name}": round(one.claims / one.seconds, 1) for name, one in found.items()},
        "claims_too_many": round(max(one.most_ahead for one in shared), 2),
        "share_percent_half": round(half.percent, 3),
        "missing_claims_half": round(sum(half.missing) / 2, 1),
        "missing_s_half": round(half.missing_s, 2),
        "missing_claims_growth_half": round(half.missing[1] - half.missing[0], 1),
        "dead_lettered_good": sum(one.dead for one in shared),
        "last_claim_after_rollback_s": round(max(one.after_rollback_s for one in shared), 3),
        "ledger_writes_per_s_and_pod": round(max(one.writes_per_s for one in shared), 2),
        "starved_s": max(one.unused_credits_s for one in shared),
        "without_ledger_saturated_failing_percent": round(without.percent, 1),
    }


def of_cells(found: dict[Cell, Simulated]) -> dict[str, float]:
    percents = {f"simulated_percent_{cell.name}": round(one.percent, 3) for cell, one in found.items()}
    worst: dict[str, float] = {}
    for cell, one in found.items():
        figure = f"simulated_points_off_at_{cell.rate}_per_s{BROKERS[cell.stable_first]}"
        worst[figure] = max(worst.get(figure, 0.0), round(abs(one.percent - cell.share), 3))
    starved = max(one.hunger_s for cell, one in found.items() if not cell.stable_first)
    return {**percents, **worst, "simulated_starved_s": starved}


async def _one_by_one(cases: Mapping[str, Case], directory: Path) -> dict[str, Found]:
    return {name: await _one(name, case, directory) for name, case in cases.items()}


async def _all_at_once(cases: Mapping[str, Case], directory: Path) -> dict[str, Found]:
    """The small size: most of a case's time is its processes' beginning and end."""
    small = [(name, replace(smaller(case, SMALL_CLAIMS), stable=SMALL_STABLE)) for name, case in cases.items()]
    found = await asyncio.gather(*(_one(name, case, directory) for name, case in small))
    return dict(zip(cases, found, strict=True))


async def _one(name: str, case: Case, directory: Path) -> Found:
    found = await played(case, directory)
    say(
        f"{name}: {found.by_revision} in {found.seconds:.0f} s, {found.percent:.3f} %, {found.deviation:+.2f}, "
        f"{found.writes_per_s:.2f} writes/s, {found.after_rollback_s:.3f} s after, {found.dead} dead, "
        f"{found.unused_credits_s:.1f} s starved"
    )
    return found


def smaller(case: Case, claims: int) -> Case:
    return replace(case, claims=claims, backlog=claims + 400)
