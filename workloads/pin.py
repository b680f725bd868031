"""Writes each image's requirements.txt from uv.lock: `uv run python -m workloads.pin [--check]`.

Images install with pip alone, so that any base image with Python will do; the
versions and hashes are still those of the lock that the tests ran with.
"""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
IMAGES: dict[str, Collection[str]] = {
    "controller/requirements.txt": (),  # all that the project depends on
    "workloads/subject/requirements.txt": ("aiohttp",),
}
_HEAD = "# Generated from uv.lock by `uv run python -m workloads.pin`; do not edit.\n"
_NAME = re.compile(r"^[a-z0-9][a-z0-9-]*", re.MULTILINE)


def requirements(names: Collection[str]) -> str:
    """The locked versions, with hashes, of these packages and what they need; of no names: of the whole project."""
    exported = subprocess.run(  # noqa: S603 - fixed arguments
        [  # `uv run` says in UV where it lies itself
            os.environ.get("UV", "uv"),
            *("export", "--frozen", "--offline", "--quiet", "--no-dev", "--no-emit-project"),
            *("--no-annotate", "--no-header"),
        ],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    entries = re.split(r"^(?=[a-z0-9])", exported, flags=re.MULTILINE)[1:]
    wanted = _closure(names)
    return _HEAD + "".join(entry for entry in entries if not names or _name(entry) in wanted)


def _name(entry: str) -> str:
    found = _NAME.match(entry)
    return found.group() if found else ""


def _closure(names: Collection[str]) -> set[str]:
    lock = tomllib.loads((CHECKOUT / "uv.lock").read_text())
    needs = {package["name"]: [need["name"] for need in package.get("dependencies", ())] for package in lock["package"]}
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += needs[name]
    return found


def main() -> int:
    stale = {path: text for path, names in IMAGES.items() if (text := requirements(names)) != _read(path)}
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path} does not follow uv.lock: run `uv run python -m workloads.pin`", file=sys.stderr)
        return 1 if stale else 0
    for path, text in stale.items():
        (CHECKOUT / path).write_text(text)
    return 0


def _read(path: str) -> str:
    file = CHECKOUT / path
    return file.read_text() if file.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
