"""`hack/release`, with an engine and a signer that note what is asked of them: no test machine has a registry."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hack.sbom import NAMES
from tests.checkout import checkout_copy
from workloads.pin import CHECKOUT

DOCKER = """#!/usr/bin/env bash
echo "docker $*" >>"$SEEN"
case $1 in
  build) [ "${BROKEN:-}" = "" ] || exit 1 ;;
  image) echo "other.example.com/x@sha256:0000"; echo "${5%:*}@sha256:$(basename "${5%:*}" | sha256sum | cut -c1-64)" ;;
esac
"""
COSIGN = """#!/usr/bin/env bash
read -r password # as it does where it asks for one
echo "cosign $* ($password)" >>"$SEEN"
"""


@pytest.fixture
def release(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """`hack/release 0.2.0 registry.example.com/p`, with an engine and a signer that note what is asked of them."""
    checkout, programs, seen = tmp_path / "checkout", tmp_path / "programs", tmp_path / "seen"
    environment = checkout_copy(checkout)
    shutil.copytree(CHECKOUT / "controller", checkout / "controller", ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / ".gitignore").write_text("dist/\n.venv/\n")
    programs.mkdir()
    for name, text in (("docker", DOCKER), ("cosign", COSIGN)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    git = ["git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *arguments], check=True, timeout=60)
    told = {**os.environ, **environment, "PATH": f"{programs}:{os.environ['PATH']}", "SEEN": str(seen)}

    def run(**more: str) -> tuple[int, str]:
        done = subprocess.run(
            [checkout / "hack/release", "0.2.0", "registry.example.com/p", "--key", "cosign.key"],
            env={**told, **more}, input="secret\n" * 8, capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + (seen.read_text() if seen.exists() else "")

    return run


def test_a_release_signs_each_image_and_its_sbom_by_the_digest_that_was_pushed(
    release: Callable[..., tuple[int, str]],
) -> None:
    code, seen = release(BUILDER="docker")
    assert code == 0, seen
    for name in NAMES.values():
        digest = hashlib.sha256(f"{name}\n".encode()).hexdigest()
        by_digest = f"registry.example.com/p/{name}@sha256:{digest}"
        assert re.search(rf"cosign sign --yes --key \S*cosign.key {by_digest} \(secret\)", seen)
        assert re.search(rf"cosign attest .*--predicate dist/0.2.0/{name}.cdx.json {by_digest} \(secret\)", seen)
        assert f"registry.example.com/p/{name}:0.2.0@sha256:{digest}\n" in seen


def test_a_build_that_fails_signs_nothing(release: Callable[..., tuple[int, str]]) -> None:
    code, seen = release(BUILDER="docker", BROKEN="1")
    assert code != 0
    assert "push" not in seen
    assert "cosign" not in seen
