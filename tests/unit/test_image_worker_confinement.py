"""What a render process that was taken over could do: tried from inside."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workloads.image_worker.confinement import landlock_version

CHECKOUT = Path(__file__).resolve().parents[2]
_TRIES = """
import ctypes, json, os, socket, subprocess, sys
from workloads.image_worker.confinement import confine
token, parent = sys.argv[1], int(sys.argv[2])
tries = {
    "the token file": lambda: open(token).read(),
    "the worker's environment": lambda: open(f"/proc/{parent}/environ", "rb").read(),
    "the worker's memory": lambda: open(f"/proc/{parent}/mem", "rb").read(1),
    "its own environment's files": lambda: os.listdir("/etc"),
    "a file written": lambda: open(token + ".new", "w"),
    "the network": lambda: socket.socket(),
    "a unix socket": lambda: socket.socket(socket.AF_UNIX),
    "a program": lambda: os.execv("/bin/true", ["true"]),
}
confine()
told = {}
for name, attempt in tries.items():
    try:
        attempt()
        told[name] = "done"
    except PermissionError:
        told[name] = "refused"
import wave  # of the standard library, and not loaded before
print(json.dumps(told))
"""


_REACHED_BY_CALLS_ALONE = {"the network", "a unix socket", "a program"}
"""What seccomp refuses, also where the kernel has no Landlock."""


def test_a_render_process_reaches_no_secret_no_network_and_no_program(tmp_path: Path) -> None:
    """W15: it has the worker's user id, and could read its environment and token file."""
    token = tmp_path / "token"
    token.write_text("secret")
    done = subprocess.run(
        [sys.executable, "-P", "-c", _TRIES, str(token), str(os.getpid())],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    tried = json.loads(done.stdout)
    expected = set(tried) if landlock_version() else _REACHED_BY_CALLS_ALONE
    assert {name for name, outcome in tried.items() if outcome == "refused"} >= expected, done.stdout


@pytest.mark.parametrize(("protection", "found"), [("keep_from_others()", ""), ("", "a secret")])
def test_the_worker_cannot_be_looked_into_by_processes_of_its_user(protection: str, found: str) -> None:
    """W15: tried as a user without rights; without the protection the secret is found."""
    user = 65532 if os.geteuid() == 0 else None
    python = [sys._base_executable, "-I", "-c"]  # type: ignore[attr-defined]  # the user need not read this checkout
    source = (CHECKOUT / "workloads/image_worker/confinement.py").read_text()
    worker = subprocess.Popen(
        [*python, f"{source}\n{protection}\nprint('ready', flush=True)\nsys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, user=user, cwd="/", env={"TOKEN": "a secret"},
    )  # fmt: skip
    with worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        looks = f"print(open('/proc/{worker.pid}/environ').read())"
        looked = subprocess.run(
            [*python, looks], user=user, cwd="/", env={}, capture_output=True, text=True, timeout=60, check=False
        )
        worker.communicate("")
    assert (found in looked.stdout, "a secret" in looked.stdout) == (True, bool(found))
    assert ("PermissionError" in looked.stderr) is not bool(found)
