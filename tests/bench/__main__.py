"""The command line of hack/bench."""

import argparse
import asyncio
import importlib
import json
import pkgutil
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from textwrap import dedent
from typing import Any

from hack.node.trouble import TroubleError
from tests.bench.report import Report

_FRAME = {"__main__", "calls", "plane", "report", "tampering", "tasks", "world"}
_EXAMPLES = """\
    examples:
      hack/bench                    the names there are
      hack/bench rollback           a table with figures and targets
      hack/bench rollback --json    the same as one JSON object on the last line
"""


def main() -> int:
    names = sorted(
        found.name for found in pkgutil.iter_modules([str(Path(__file__).parent)]) if found.name not in _FRAME
    )
    parser = argparse.ArgumentParser(
        prog="hack/bench",
        description="Runs one benchmark and holds it against its targets; exit code 1 when one is missed.",
        epilog=dedent(_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", choices=names, help="which one")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    arguments = parser.parse_args()
    if arguments.name is None:
        for name in names:
            module = importlib.import_module(f"tests.bench.{name}")
            print(f"{name:<12} {(module.__doc__ or '').splitlines()[0]}")
        return 0
    try:
        report = asyncio.run(_until_told(importlib.import_module(f"tests.bench.{arguments.name}").run()))
    except asyncio.CancelledError:
        print("hack/bench: told to stop", file=sys.stderr)
        return 2
    except TroubleError as trouble:
        print(f"hack/bench: {trouble}", file=sys.stderr)
        return 2
    print("\n".join(report.lines()))
    if arguments.json:
        print(json.dumps(report.as_json()))
    return 0 if report.met else 1


async def _until_told(benchmark: Coroutine[Any, Any, Report]) -> Report:
    """A SIGTERM ends it as Ctrl-C does: what was started is stopped."""
    task = asyncio.ensure_future(benchmark)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


if __name__ == "__main__":
    sys.exit(main())
