"""The command line of hack/bench."""

import argparse
import asyncio
import importlib
import inspect
import json
import pkgutil
import signal
import sys
import traceback
from collections.abc import Coroutine
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

from hack.node.trouble import TroubleError
from tests.bench.report import Report

_FRAME = {
    "__main__",
    "calls",
    "edits",
    "plane",
    "pods",
    "report",
    "simulation",
    "switching",
    "tampering",
    "tasks",
    "traffic",
    "world",
}
_EXAMPLES = """\
    examples:
      hack/bench                    the names there are
      hack/bench storm --small      a small size, in less than a minute
      hack/bench rollback           a table with figures and targets
      hack/bench rollback --json    the same as one JSON object on the last line
      hack/bench switch --rate 250  as many requests in all, at a rate that a slower machine can serve
"""


def main() -> int:
    names = sorted(
        found.name for found in pkgutil.iter_modules([str(Path(__file__).parent)]) if found.name not in _FRAME
    )
    parser = argparse.ArgumentParser(
        prog="hack/bench",
        description="Runs one benchmark and compares it with its targets. "
        "Exit code: 0 when all are met or none is claimed, 1 when one is missed, 2 when it could not be measured.",
        epilog=dedent(_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", choices=names, help="which one")
    parser.add_argument("--small", action="store_true", help="a small size, without targets for times and rates")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--rate", type=float, metavar="N", help="requests a second, in place of the benchmark's own")
    arguments = parser.parse_args()
    if arguments.name is None:
        for name in names:
            module = importlib.import_module(f"tests.bench.{name}")
            print(f"{name:<12} {_measures(module)}")
        return 0
    module = importlib.import_module(f"tests.bench.{arguments.name}")
    options = {} if arguments.rate is None else {"rate": arguments.rate}
    if options and "rate" not in inspect.signature(module.run).parameters:
        parser.error(f"{arguments.name} has no rate of requests")
    if arguments.rate is not None and arguments.rate <= 0:
        parser.error("--rate must be more than 0")
    try:
        report = asyncio.run(_until_told(module.run(small=arguments.small, **options)))
    except asyncio.CancelledError:
        print("hack/bench: told to stop", file=sys.stderr)
        return 2
    except TroubleError as trouble:
        print(f"hack/bench: {trouble}", file=sys.stderr)
        return 2
    except Exception:  # noqa: BLE001 - whatever it is, it is not a missed target
        traceback.print_exc()
        return 2
    print("\n".join(report.lines()))
    if arguments.json:
        size = "small" if arguments.small else "full"
        print(json.dumps(report.as_json(size=size, measures=_measures(module))))
    return 1 if report.met is False else 0


def _measures(module: ModuleType) -> str:
    return (module.__doc__ or "").splitlines()[0]


async def _until_told(benchmark: Coroutine[Any, Any, Report]) -> Report:
    """A SIGTERM ends it as Ctrl-C does: what was started is stopped."""
    task = asyncio.ensure_future(benchmark)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


if __name__ == "__main__":
    sys.exit(main())
