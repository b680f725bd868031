"""`python -m hack.load --url http://127.0.0.1:18080 --host shop.localhost --rate 50 --seconds 120 [--json]`."""

import argparse
import asyncio
import json
import signal
import sys
from dataclasses import asdict

from hack.load.generator import Load
from hack.load.plan import Plan, PlanError, plan_for
from hack.load.tally import Snapshot

_REPORT_EVERY_S = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.load", description=__doc__)
    parser.add_argument("--url", required=True, help="an address of this machine")
    parser.add_argument("--host", default="", help="Host header")
    parser.add_argument("--rate", type=float, default=50, help="requests per second, at most 2,000")
    parser.add_argument("--seconds", type=float, default=60, help="at most 600")
    parser.add_argument("--fresh", type=float, default=0.0, help="share of requests on a new connection, 0 to 1")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds until a request counts as lost")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    try:
        plan = plan_for(
            options.url,
            host=options.host,
            rate=options.rate,
            seconds=options.seconds,
            fresh=options.fresh,
            timeout=options.timeout,
        )
    except PlanError as problem:
        print(f"load: {problem}", file=sys.stderr)
        return 2
    snapshot = asyncio.run(_run(plan))
    print(json.dumps(asdict(snapshot)) if options.json else _table(snapshot))
    return 0


async def _run(plan: Plan) -> Snapshot:
    load, interrupted = Load(plan), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupted.set)
    await load.start()
    ends = [asyncio.create_task(load.finished()), asyncio.create_task(interrupted.wait())]
    while not (await asyncio.wait(ends, timeout=_REPORT_EVERY_S, return_when=asyncio.FIRST_COMPLETED))[0]:
        now = load.snapshot()
        print(f"load: {now.seconds:.0f} s, {now.sent} sent, {now.failed} failed", file=sys.stderr)
    for end in ends:
        end.cancel()
    return await load.stop()


def _table(snapshot: Snapshot) -> str:
    rows = [f"{snapshot.sent} sent in {snapshot.seconds:.1f} s, {snapshot.failed} failed, {snapshot.skipped} skipped"]
    rows += [
        f"  {name:<16} {tally.answers:>8} answers {tally.bad:>6} bad" for name, tally in snapshot.revisions.items()
    ]
    rows += [f"  {kind:<16} {count:>8} without an answer" for kind, count in snapshot.transport.items()]
    rows.append("  latency " + ", ".join(f"{name} ≤ {ms:g} ms" for name, ms in snapshot.latency_ms.items()))
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
