"""`hack/release` with images that are made already, a registry, and a signer that notes what is asked of it."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from hack.node import build
from hack.node.process import Daemon, ending_with_starter, free_port
from hack.publish import layout
from hack.publish.machines import ARM64
from hack.publish.release import DOCKERFILES, labels
from tests.checkout import checkout_copy
from tests.image_parts import image, layer
from workloads.pin import CHECKOUT

COSIGN = """#!/usr/bin/env bash
read -r password # as it does where it asks for one
echo "cosign $* ($password)" >>"$SEEN"
"""
ACCEPTED = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry's address."""
    address = f"127.0.0.1:{free_port()}"
    daemon = Daemon(
        name="registry",
        directory=tmp_path_factory.mktemp("registry"),
        command=[
            *ending_with_starter(),
            build.program("crane"),
            "registry",
            "serve",
            "--address",
            address,
        ],
    )
    daemon.start()
    try:
        daemon.wait_until(lambda: answers(address), seconds=30)
        yield address
    finally:
        daemon.stop(seconds=5)


def answers(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/v2/", timeout=5).is_success
    except httpx.ConnectError:
        return False


@pytest.fixture
def release(tmp_path: Path) -> Callable[[str], tuple[int, str]]:
    """`hack/release 0.2.0 REGISTRY/p`; answers its exit code, and what it and cosign were given and said."""
    checkout, programs, seen = tmp_path / "checkout", tmp_path / "programs", tmp_path / "seen"
    environment = checkout_copy(checkout)
    shutil.copytree(CHECKOUT / "controller", checkout / "controller", ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / ".gitignore").write_text("dist/\n.venv/\n")
    programs.mkdir()
    (programs / "cosign").write_text(COSIGN)
    (programs / "cosign").chmod(0o755)
    git = ["git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *arguments], check=True, timeout=60)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True, timeout=60).stdout
    for name in DOCKERFILES:
        native = image(layer({"app/name": name}))
        images = (native, native.for_machine(ARM64, native.layers))
        layout.write(
            checkout / "dist/0.2.0" / name, images,
            created="2026-12-01T00:00:00Z", labels=labels("0.2.0", head.strip()), cache=tmp_path / "layers",
        )  # fmt: skip

    def run(registry: str) -> tuple[int, str]:
        done = subprocess.run(
            [checkout / "hack/release", "0.2.0", f"{registry}/p", "--key", "cosign.key"],
            env={**os.environ, **environment, "PATH": f"{programs}:{os.environ['PATH']}", "SEEN": str(seen)},
            input="secret\n" * 32, capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr + (seen.read_text() if seen.exists() else "")

    return run


def pulled(registry: str, name: str, reference: str) -> tuple[str, dict[str, str]]:
    """The digest of what the registry has under a tag or digest, and the digests by architecture that it lists."""
    got = httpx.get(f"http://{registry}/v2/p/{name}/manifests/{reference}", headers={"Accept": ACCEPTED}, timeout=20)
    got.raise_for_status()
    listed = {each["platform"]["architecture"]: each["digest"] for each in got.json().get("manifests", ())}
    return f"sha256:{hashlib.sha256(got.content).hexdigest()}", listed


def test_a_release_signs_what_can_be_pulled_for_each_machine(
    release: Callable[[str], tuple[int, str]], registry: str
) -> None:
    code, seen = release(registry)
    assert code == 0, seen
    for name in DOCKERFILES:
        index, manifests = pulled(registry, name, "0.2.0")
        assert sorted(manifests) == ["amd64", "arm64"]
        assert f"{registry}/p/{name}:0.2.0@{index}\n" in seen
        for digest in (index, *manifests.values()):
            assert pulled(registry, name, digest)[0] == digest
            assert f"cosign.key {registry}/p/{name}@{digest} (secret)\n" in seen
        for architecture, digest in manifests.items():
            predicate = f"--type cyclonedx --predicate dist/0.2.0/{name}.{architecture}.cdx.json"
            for described in (digest, index):
                assert f"{predicate} {registry}/p/{name}@{described} (secret)\n" in seen


def test_a_push_that_fails_signs_nothing(release: Callable[[str], tuple[int, str]]) -> None:
    code, seen = release(f"127.0.0.1:{free_port()}")
    assert code != 0
    assert "refused" in seen
    assert "cosign" not in seen
