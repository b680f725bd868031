"""Writes each image's requirements.txt from uv.lock: `uv run python -m workloads.pin [--check]`.

Images install with pip alone, so that any base image with Python will do; the
versions and hashes are still those of the lock that the tests ran with.
"""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Wanted:
    """Packages by name and by dependency group; of neither: all that the project itself depends on."""

    names: Collection[str] = ()
    groups: Collection[str] = ()


IMAGES = {
    "controller/requirements.txt": Wanted(),
    "workloads/subject/requirements.txt": Wanted(names=["aiohttp"]),
    "workloads/image_worker/requirements.txt": Wanted(names=["aiohttp"], groups=["worker"]),
    "workloads/invitations/requirements.txt": Wanted(names=["aiohttp"], groups=["invitations"]),
}
_HEAD = "# Generated from uv.lock by `uv run python -m workloads.pin`; do not edit.\n"
_NAME = re.compile(r"^[a-z0-9][a-z0-9-]*")
_NEED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[(?P<extras>[^]]*)\])?")


def requirements(wanted: Wanted) -> str:
    """The locked versions, with hashes, of these packages and what they need."""
    roots = {*((name, "") for name in wanted.names), *_of_groups(wanted.groups)}
    exported = subprocess.run(  # noqa: S603 - fixed arguments
        [  # `uv run` says in UV where it lies itself
            os.environ.get("UV", "uv"),
            *("export", "--frozen", "--offline", "--quiet", "--no-emit-project"),
            *("--no-annotate", "--no-header", "--all-groups" if wanted.groups else "--no-dev"),
        ],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    entries = re.split(r"^(?=[a-z0-9])", exported, flags=re.MULTILINE)[1:]
    needed = _closure(roots)
    return _HEAD + "".join(entry for entry in entries if not roots or _name(entry) in needed)


def _name(entry: str) -> str:
    found = _NAME.match(entry)
    return found.group() if found else ""


def _of_groups(groups: Iterable[str]) -> set[tuple[str, str]]:
    """Each package with "", and once more with each of its extras."""
    declared = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["dependency-groups"]
    found = set()
    for need in (need for group in groups for need in declared[group]):
        if match := _NEED.match(need):
            extras = (match["extras"] or "").split(",")
            found |= {(match["name"].lower(), extra.strip()) for extra in ("", *extras)}
    return found


def _closure(roots: Iterable[tuple[str, str]]) -> set[str]:
    """Names of all that these packages, with these extras, need."""
    lock = tomllib.loads((CHECKOUT / "uv.lock").read_text())
    packages = {package["name"]: package for package in lock["package"]}
    found: set[tuple[str, str]] = set()
    left = list(roots)
    while left:
        name, extra = left.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        package = packages[name]
        needs = package.get("optional-dependencies", {}).get(extra, ()) if extra else package.get("dependencies", ())
        left += [(need["name"], more) for need in needs for more in ("", *need.get("extra", ()))]
    return {name for name, _ in found}


def main() -> int:
    stale = {path: text for path, wanted in IMAGES.items() if (text := requirements(wanted)) != _read(path)}
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
