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


@pytest.mark.skipif(not landlock_version(), reason="this kernel has no Landlock")
def test_a_render_process_reaches_no_secret_no_network_and_no_program(tmp_path: Path) -> None:
    """W15: it has the worker's user id, and could read its environment and token file."""
    token = tmp_path / "token"
    token.write_text("secret")
    done = subprocess.run(
        [sys.executable, "-P", "-c", _TRIES, str(token), str(os.getpid())],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert set(json.loads(done.stdout).values()) == {"refused"}, done.stdout


def test_the_worker_cannot_be_looked_into_by_processes_of_its_user() -> None:
    """W15"""
    asks = "import ctypes; from workloads.image_worker.confinement import keep_from_others; keep_from_others(); "
    asks += "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    done = subprocess.run(
        [sys.executable, "-c", asks], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "0"
