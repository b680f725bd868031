"""Runs kustomize, whose input may be a stranger's: bounded, and without the network."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import tempfile

from controller.cli._files import MOST_BYTES, UnreadableError, read_text
from controller.git.kustomization import CannotBuildError, kustomization_of
from controller.git.manifests import KUSTOMIZATIONS

_PROGRAMS = (("kustomize", "build"), ("kubectl", "kustomize"))
_LONGEST_S = 60
_MOST_MEMORY = 4 * 2**30
"""Of address space, a third of which Go reserves at once."""
_MOST_SAID = 4_000
_MOST_FOLDERS = 200
_NOWHERE = "http://127.0.0.1:9"
_ENVIRONMENT = {
    "HTTP_PROXY": _NOWHERE,
    "HTTPS_PROXY": _NOWHERE,
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_TERMINAL_PROMPT": "0",
    "KUBERC": "off",
}
"""A resource that lies elsewhere would be fetched, from wherever a stranger says."""


def build(folder: str) -> bytes:
    """Raises UnreadableError."""
    program = next((one for one in _PROGRAMS if shutil.which(one[0])), None)
    if program is None:
        raise UnreadableError(folder, 1, "-k needs `kustomize` or `kubectl`, and neither is there")
    _refuse_elsewhere(folder)
    with tempfile.TemporaryFile() as made, tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603 - a program of the machine, and a folder that a person names
            [*program, os.path.join(".", folder) if folder.startswith("-") else folder],  # noqa: PTH118 - as written
            stdin=subprocess.DEVNULL,
            stdout=made,
            stderr=said,
            env={**_ENVIRONMENT, "PATH": os.environ.get("PATH", os.defpath), "HOME": os.devnull},
            start_new_session=True,
        )
        _limit(process.pid)
        try:
            code = process.wait(timeout=_LONGEST_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise UnreadableError(folder, 1, f"kustomize took more than {_LONGEST_S} s") from None
        made.seek(0)
        data = made.read(MOST_BYTES + 1)
        said.seek(0)
        sentence = said.read(_MOST_SAID).decode(errors="replace").strip() or f"exit code {code}"
    if code:
        raise UnreadableError(folder, 1, f"kustomize refuses it (remote resources are not fetched): {sentence}")
    if len(data) > MOST_BYTES:
        raise UnreadableError(folder, 1, f"kustomize makes more than {MOST_BYTES >> 20} MiB of it")
    return data


def _refuse_elsewhere(folder: str) -> None:
    """What pointsman sync and rollbacks refuse, in the folder and those that it names. Raises UnreadableError."""
    left, seen = [os.path.realpath(folder)], set[str]()
    while left and len(seen) < _MOST_FOLDERS:
        here = left.pop()
        file = next((path for name in KUSTOMIZATIONS if os.path.isfile(path := f"{here}/{name}")), "")  # noqa: PTH113
        if not file or here in seen:
            continue
        seen.add(here)
        try:
            found = kustomization_of(file.removeprefix("/"), read_text(file))
        except CannotBuildError as error:
            raise UnreadableError(folder, 1, f"is refused: /{error}") from error
        left += [f"/{entry}" for entry in found.entries]


def _limit(pid: int) -> None:
    if not hasattr(resource, "prlimit"):
        return  # macOS; the time is bounded all the same
    try:
        resource.prlimit(pid, resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (16 * MOST_BYTES, 16 * MOST_BYTES))
    except ProcessLookupError:
        return  # it has ended
