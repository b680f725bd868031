"""Runs what an image is for, without starting it: on this machine's processor, or on an emulated one.

Nothing of an image is made by emulation. This shows before anybody pulls it that it loads what it has to.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hack.node import debian
from hack.node.commands import output_of
from hack.node.trouble import TroubleError
from hack.publish import checks, tree
from hack.publish.layout import Image
from hack.publish.machines import Machine, here

_LOAD = """\
import importlib, json, sys
failed = {}
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:  # PIL has a part for tkinter, which the image does without
        if (error.name or name).partition(".")[0] == name.partition(".")[0]:
            failed[name] = f"{type(error).__name__}: {error}"
    except Exception as error:
        failed[name] = f"{type(error).__name__}: {error}"
print(json.dumps(failed))
"""
_SECONDS = 300
_SCRIPT_LINE = 200
_EMULATOR = "qemu"


def run(image: Image, machine: Machine, work: Path, *, programs: Sequence[Sequence[str]] = ()) -> int:
    """How many programs and compiled modules have been loaded; as root. Raises TroubleError if one cannot be."""
    files = image.files()
    root = work / "root"
    shutil.rmtree(root, ignore_errors=True)
    _unpack(files, root)
    (root / "dev" / "null").touch()  # a file will do
    (root / "dev" / "null").chmod(0o666)
    settings = image.config["config"]
    environment = dict(setting.split("=", 1) for setting in settings["Env"])
    start = _Start(files, root, environment, () if machine == here() else _emulator(machine, root))
    commands = [_without_starting(settings["Entrypoint"]), *programs]
    for command in commands:
        start(command)
    modules = list(checks.compiled_modules(files))
    failed = json.loads(start(("/app/bin/python", "-c", _LOAD, json.dumps(modules))))
    if failed:
        raise TroubleError(f"modules that cannot be loaded: {failed}")
    shutil.rmtree(root)
    return len(commands) + len(modules)


class _Start:
    def __init__(self, files: tree.Tree, root: Path, environment: Mapping[str, str], emulator: Sequence[str]) -> None:
        self._files = files
        self._root = root
        self._environment = environment
        self._emulator = emulator

    def __call__(self, command: Sequence[str]) -> str:
        done = subprocess.run(
            ["chroot", "--userspec=65532:65532", self._root, *self._emulator, *self._interpreter(command), *command],
            env=dict(self._environment), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=_SECONDS,
        )  # fmt: skip
        if done.returncode:
            raise TroubleError(f"`{' '.join(command)}` in the image failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def _interpreter(self, command: Sequence[str]) -> Sequence[str]:
        """Of a script: an emulator does not look for it."""
        place = tree.resolved(self._files, command[0].lstrip("/")) or ""
        first, _, _ = self._files[place].content(_SCRIPT_LINE).partition(b"\n")
        return first[2:].decode().split() if first.startswith(b"#!") else ()


def _without_starting(entrypoint: Sequence[str]) -> Sequence[str]:
    if "-m" in entrypoint:
        python, *_, module = entrypoint
        return (python, "-c", f"import {module}.__main__")
    return (*entrypoint, "--help")


def _emulator(machine: Machine, root: Path) -> tuple[str, ...]:
    """In the image's root, as the kernel is asked to know nothing of another processor."""
    name = f"qemu-{machine.triplet.partition('-')[0]}-static"
    shutil.copy(debian.unpacked(["qemu-user-static"]) / "usr" / "bin" / name, root / _EMULATOR)
    return (f"/{_EMULATOR}",)


def _unpack(files: tree.Tree, root: Path) -> None:
    archive = root.with_suffix(".tar")
    root.mkdir(parents=True)
    with archive.open("wb") as stream:
        tree.write(dict(_without_devices(files)), stream)
    output_of(["tar", "--extract", "--numeric-owner", "--same-permissions", f"--file={archive}", f"--directory={root}"])
    archive.unlink()


def _without_devices(files: tree.Tree) -> Iterator[tuple[str, tree.File]]:
    for path, file in files.items():
        if not file.info.isdev():
            yield path, file
