"""A git repository with one Release in it, and commits that change its version."""

import re
import shutil
import subprocess
from pathlib import Path

import yaml

from hack.install import CHECKOUT, Kubectl
from hack.node.trouble import TroubleError

_COMMIT = "pointsman.dev/commit"
_KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}


class Repository:
    def __init__(self, directory: Path, manifest: Path, patch: Path | None = None) -> None:
        """`manifest` is where it begins, in the checkout; `patch` is a merge patch for it, committed beside it."""
        self.directory = directory
        self._begins_with = CHECKOUT / manifest
        self._patch = None if patch is None else CHECKOUT / patch
        self.manifest = directory / "release.yaml"

    def create(self) -> None:
        """One from an earlier demo is replaced."""
        if shutil.which("git") is None:
            raise TroubleError("git is needed for the demo: apt-get install git.")
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self._git("init", "--quiet", "--initial-branch=main")
        self.manifest.write_text(self._begins_with.read_text())
        patches = []
        if self._patch is not None:
            (self.directory / self._patch.name).write_text(self._patch.read_text())
            patches = [{"path": self._patch.name}]
        kustomization = {**_KUSTOMIZATION, "resources": [self.manifest.name], "patches": patches}
        (self.directory / "kustomization.yaml").write_text(yaml.safe_dump(kustomization, sort_keys=False))

    def commit(self, message: str, **values: str) -> str:
        """Sets environment values of the subject and commits; returns the short hash."""
        text = self.manifest.read_text()
        for name, value in values.items():
            pattern = rf'(- name: {name}\b.*\n\s+value: )".*"'
            text, found = re.subn(pattern, rf'\g<1>"{value}"', text)
            if found != 1:
                raise TroubleError(f"{self.manifest} has no variable {name}: the demo and its manifest do not fit.")
        self.manifest.write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message", message)
        return self._git("rev-parse", "--short", "HEAD")

    def apply(self, kubectl: Kubectl) -> None:
        """What a GitOps agent does: the manifest as committed, marked with the commit it comes from."""
        manifest = yaml.safe_load(kubectl("kustomize", self.directory))
        commit = self._git("log", "-1", "--format=%h %s")
        manifest["metadata"].setdefault("annotations", {})[_COMMIT] = commit
        kubectl.apply("-f", "-", text=yaml.safe_dump(manifest))

    def _git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=Pointsman demo", "-c", "user.email=demo@pointsman.invalid")
        command = ["git", "-C", str(self.directory), *identity, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TroubleError(f"`git {' '.join(arguments)}` failed: {done.stderr.strip()}")
        return done.stdout.strip()
