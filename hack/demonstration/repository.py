"""A developer's clone: one Release and what stands beside it, and commits that change its version.

Commits are pushed to a server; what Pointsman has written there comes first.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import yaml

from hack.demonstration.git_server import GitServer, serving
from hack.install import CHECKOUT
from hack.node.trouble import TroubleError

GITOPS = CHECKOUT / "gitops"
_SECONDS = 60.0
_IDENTITY = ("-c", "user.name=A developer", "-c", "user.email=developer@example.com")
_POINTSMAN = "^Pointsman "
SECRET = "git"  # noqa: S105 - its name
_ORIGIN = """\
  configRefs: None # a version with copies of its ConfigMaps is not taken back in git
  gitOrigin:
    url: {url}
    path: {path}
    secretRef: {{name: {secret}}}
    write: Push
"""
_ON_A_FORGE = """\
    forge: {forge}
    report: StatusAndComment
"""
_KUSTOMIZATION = "kustomization.yaml"
_NAMESPACE = "namespace.yaml"
"""It is the cluster's, and the repository is the namespace's."""

Host = Callable[[Path, str], AbstractContextManager[GitServer]]
"""Serves an empty repository, which it keeps in a folder, under a name that pods call it by."""


class Repository:
    server: GitServer

    def __init__(self, directory: Path, folder: Path, patch: Path | None = None, *, host: Host = serving) -> None:
        """`folder`: a kustomization below gitops/, to begin with; `patch`: one more merge patch of the Release."""
        self._host = host
        self._folder = folder
        self._patch = patch
        self.directory = directory
        self.path = str(folder.relative_to(GITOPS))
        """Of what the cluster follows, in the repository."""
        self.manifest = directory / self.path / "release.yaml"

    @contextmanager
    def hosted(self) -> Iterator[GitServer]:
        """Created on a server, which ends with the block."""
        namespace = yaml.safe_load((self._folder / self.manifest.name).read_text())["metadata"]["namespace"]
        with self._host(self.directory.with_name(f"{self.directory.name}-server"), f"git.{namespace}") as server:
            self.create(server)
            yield server

    def create(self, server: GitServer) -> None:
        """One from an earlier demo is replaced."""
        self.server = server
        if shutil.which("git") is None:
            raise TroubleError("git is needed for the demo: apt-get install git.")
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self._git("init", "--quiet", "--initial-branch=main")
        self._git("remote", "add", "origin", server.url)
        self._copy(self._folder)
        origin = _ORIGIN.format(url=server.pods_url, path=self.path, secret=SECRET)
        if server.forge is not None:
            origin += _ON_A_FORGE.format(forge=server.forge.name)
        self.manifest.write_text(self.manifest.read_text() + origin)
        if self._patch is not None:
            self._add(self._patch)

    def commit(self, message: str, **values: str) -> str:
        """Sets environment values of the subject, commits, and pushes or opens a pull request; returns the hash."""
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
        self._push(message)
        return self.head()

    def _push(self, message: str) -> None:
        """To the branch, or where it is protected beside it."""
        forge = self.server.forge
        if forge is None or forge.takes_push():
            self._git("push", "--quiet", "--set-upstream", "origin", "main")
        else:
            branch = f"change-{self.head()[:7]}"
            self._git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
            forge.bring(branch, message)

    def pull(self) -> None:
        """What others have pushed, such as a rollback."""
        if self._git("ls-remote", "origin", "main"):
            self._git("pull", "--quiet", "--rebase", "origin", "main")

    def head(self) -> str:
        return self._git("rev-parse", "HEAD")

    def history(self) -> tuple[str, ...]:
        """Who wrote what, newest first."""
        return tuple(self._git("log", "--format=%h %an: %s").splitlines())

    def rollback(self) -> str:
        """The newest commit of Pointsman's, as people read it; empty: there is none."""
        return self._git("log", "-1", f"--author={_POINTSMAN}", "--unified=0", "--patch", "--format=%h %an%n%n%B")

    def message(self, commit: str) -> str:
        return self._git("log", "-1", "--format=%B", commit)

    def _copy(self, folder: Path) -> None:
        """What its kustomization names, the bases included, in the same places as below gitops/."""
        into = self.directory / folder.relative_to(GITOPS)
        into.mkdir(parents=True)
        kustomization = yaml.safe_load((folder / _KUSTOMIZATION).read_text())
        resources = [name for name in kustomization["resources"] if name != _NAMESPACE]
        for name in (*resources, *(patch["path"] for patch in kustomization.get("patches", ()))):
            if (folder / name).is_dir():
                self._copy((folder / name).resolve())
            else:
                shutil.copyfile(folder / name, into / name)
        _write(into / _KUSTOMIZATION, {**kustomization, "resources": resources})

    def _add(self, patch: Path) -> None:
        into = self.directory / self.path
        content = yaml.safe_load(patch.read_text())
        content["metadata"]["name"] = "any"  # a second file with the Release would leave open which one it is
        _write(into / patch.name, content)
        kustomization = yaml.safe_load((into / _KUSTOMIZATION).read_text())
        kustomization["patches"] += [{"path": patch.name, "target": {"kind": "Release"}}]
        _write(into / _KUSTOMIZATION, kustomization)

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.directory), *_IDENTITY, *arguments]
        done = subprocess.run(
            command, env=self.server.environment, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
        if done.returncode:
            raise TroubleError(f"`git {' '.join(arguments)}` failed: {done.stderr.strip()}")
        return done.stdout.strip()


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(yaml.safe_dump(content, sort_keys=False))
