"""runc for a machine whose root lacks CAP_SYS_RESOURCE, as in a sandbox: leaves out what runc would refuse there.

`docker run --privileged` asks for every capability, and for limits and an OOM score that only CAP_SYS_RESOURCE may
set. Run by containerd in runc's place, with the interpreter alone: nothing of this project is imported.
"""

import json
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

_SYS_RESOURCE = "CAP_SYS_RESOURCE"
_BIT = 24  # of capabilities(7)


def narrow(process: dict[str, Any]) -> None:
    """Changes the `process` of an OCI runtime specification."""
    for names in process.get("capabilities", {}).values():
        if _SYS_RESOURCE in names:
            names.remove(_SYS_RESOURCE)
    process.pop("rlimits", None)
    if process.get("oomScoreAdj", 0) < 0:
        del process["oomScoreAdj"]


def is_held(status: str) -> bool:
    """Whether a process of this /proc/PID/status may have the capability."""
    (bounds,) = (line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:"))
    return bool(int(bounds, 16) >> _BIT & 1)


def _rewrite(arguments: list[str]) -> None:
    for option, value in pairwise(arguments):
        if option in ("--bundle", "-b"):
            _edit(Path(value) / "config.json", within="process")
        elif option in ("--process", "-p"):
            _edit(Path(value))


def _edit(file: Path, *, within: str = "") -> None:
    content = json.loads(file.read_text())
    narrow(content[within] if within else content)
    file.write_text(json.dumps(content))


def main() -> None:
    arguments = sys.argv[1:]
    if not is_held(Path("/proc/self/status").read_text()):
        _rewrite(arguments)
    os.execvp("runc", ["runc", *arguments])  # noqa: S606


if __name__ == "__main__":
    main()
