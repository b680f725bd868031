"""A git repository with one Release in it, and commits that change its version: a developer's clone.

Where a server has the repository, commits are pushed to it, and what Pointsman has written there comes first.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import yaml

from hack.demonstration.git_server import GitServer, serving
from hack.install import CHECKOUT, Kubectl
from hack.node.trouble import TroubleError

_COMMIT = "pointsman.dev/commit"
_SECONDS = 60.0
_IDENTITY = ("-c", "user.name=A developer", "-c", "user.email=developer@example.com")
SECRET = "git"  # noqa: S105 - its name
_ORIGIN = """\
  configRefs: None # a version with copies of its ConfigMaps is not taken back in git
  gitOrigin:
    url: {url}
    secretRef: {{name: {secret}}}
    write: Push
{forge}"""
_KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}

Host = Callable[[Path, str], AbstractContextManager[GitServer]]
"""Serves an empty repository, which it keeps in a folder, under a name that pods call it by."""


class Repository:
    server: GitServer | None = None

    def __init__(self, directory: Path, manifest: Path, patch: Path | None = None, *, host: Host = serving) -> None:
        """`manifest` is where it begins, in the checkout; `patch` is a merge patch for it, committed beside it."""
        self._host = host
        self.directory = directory
        self._begins_with = CHECKOUT / manifest
        self._patch = None if patch is None else CHECKOUT / patch
        self.manifest = directory / "release.yaml"

    @contextmanager
    def hosted(self) -> Iterator[None]:
        """Created on a server, which ends with the block."""
        namespace = yaml.safe_load(self._begins_with.read_text())["metadata"]["namespace"]
        with self._host(self.directory.with_name(f"{self.directory.name}-server"), f"git.{namespace}") as server:
            self.create(server)
            yield

    def create(self, server: GitServer | None = None) -> None:
        """One from an earlier demo is replaced."""
        self.server = server
        if shutil.which("git") is None:
            raise TroubleError("git is needed for the demo: apt-get install git.")
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self._git("init", "--quiet", "--initial-branch=main")
        text = self._begins_with.read_text()
        if server is not None:
            self._git("remote", "add", "origin", server.url)
            forge = f"    forge: {server.forge}\n" if server.forge else ""
            text += _ORIGIN.format(url=server.pods_url, secret=SECRET, forge=forge)
        self.manifest.write_text(text)
        patches = []
        if self._patch is not None:
            patches = [{"path": self._patch.name, "target": {"kind": "Release"}}]
            patch = yaml.safe_load(self._patch.read_text())
            patch["metadata"]["name"] = "any"  # a second file with the Release would leave open which one it is
            (self.directory / self._patch.name).write_text(yaml.safe_dump(patch, sort_keys=False))
        kustomization = {**_KUSTOMIZATION, "resources": [self.manifest.name], "patches": patches}
        (self.directory / "kustomization.yaml").write_text(yaml.safe_dump(kustomization, sort_keys=False))

    def commit(self, message: str, **values: str) -> str:
        """Sets environment values of the subject, commits and pushes; returns the short hash."""
        self.pull()
        text = self.manifest.read_text()
        for name, value in values.items():
            pattern = rf'(- name: {name}\b.*\n\s+value: )".*"'
            text, found = re.subn(pattern, rf'\g<1>"{value}"', text)
            if found != 1:
                raise TroubleError(f"{self.manifest} has no variable {name}: the demo and its manifest do not fit.")
        self.manifest.write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message", message)
        if self.server is not None:
            self._git("push", "--quiet", "--set-upstream", "origin", "main")
            if self.server.protect is not None:
                self.server.protect()
        return self._git("rev-parse", "--short", "HEAD")

    def pull(self) -> None:
        """What others have pushed, such as a rollback."""
        if self.server is not None and self._git("ls-remote", "origin", "main"):
            self._git("pull", "--quiet", "--rebase", "origin", "main")

    def history(self) -> tuple[str, ...]:
        """Who wrote what, newest first."""
        return tuple(self._git("log", "--format=%h %an: %s").splitlines())

    def message(self, commit: str) -> str:
        return self._git("log", "-1", "--format=%B", commit)

    def apply(self, kubectl: Kubectl) -> None:
        """What a GitOps agent does: the manifest as committed, marked with the commit it comes from."""
        manifest = yaml.safe_load(kubectl("kustomize", self.directory))
        commit = self._git("log", "-1", "--format=%h %s")
        manifest["metadata"].setdefault("annotations", {})[_COMMIT] = commit
        kubectl.apply("-f", "-", text=yaml.safe_dump(manifest))

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.directory), *_IDENTITY, *arguments]
        env = None if self.server is None else self.server.environment
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=_SECONDS)
        if done.returncode:
            raise TroubleError(f"`git {' '.join(arguments)}` failed: {done.stderr.strip()}")
        return done.stdout.strip()
