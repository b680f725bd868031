"""The Docker engine that kind's nodes run on: the machine's own where one answers, else one of Debian's packages.

The private one shares nothing with the machine: files, sockets and control groups of its own, no bridge but the
cluster's, and no firewall rule at all. So it ends without a trace, whatever was killed before.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hack.node import cgroups, debian, paths
from hack.node.process import Daemon
from hack.node.trouble import TroubleError

CGROUP = "pointsman-kind"
_PLACES = ("/etc/docker", "/run/docker")
_READY_SECONDS = 60
_ANSWER_SECONDS = 10


@dataclass(frozen=True)
class Docker:
    """Its command line; `engine` is the URL of the private one."""

    program: str = "docker"
    engine: str = ""
    config: str = ""

    @property
    def env(self) -> dict[str, str]:
        """Leads whatever starts `docker` to this one."""
        if not self.engine:
            return dict(os.environ)
        places = [str(Path(self.program).parent), os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        return {
            "PATH": ":".join(filter(None, places)),
            "HOME": str(Path.home()),
            "DOCKER_HOST": self.engine,
            "DOCKER_CONFIG": self.config,
        }

    def __call__(self, *arguments: str | Path, text: str | None = None, seconds: float = 120) -> str:
        command = [self.program, *map(str, arguments)]
        done = subprocess.run(
            command, env=self.env, input=text, capture_output=True, text=True, check=False, timeout=seconds
        )
        if done.returncode:
            raise TroubleError(f"`docker {' '.join(command[1:])}` failed: {done.stderr.strip()}")
        return done.stdout

    def answers(self) -> bool:
        try:
            self("version", "--format={{.Server.Version}}", seconds=_ANSWER_SECONDS)
        except (TroubleError, FileNotFoundError, subprocess.TimeoutExpired):
            return False
        return True


def machines_own() -> Docker | None:
    """The engine that `docker` reaches, if one answers."""
    docker = Docker()
    return docker if shutil.which("docker") and docker.answers() else None


@dataclass(frozen=True)
class PrivateEngine:
    state: Path
    parts: tuple[str, ...] = field(default=("docker-containerd", "dockerd"), init=False)

    @property
    def folder(self) -> Path:
        return self.state / "docker"

    @property
    def docker(self) -> Docker:
        programs = debian.unpacked(debian.ENGINE)
        return Docker(
            program=str(programs / "usr/bin/docker"),
            engine=f"unix://{self.folder / 'docker.sock'}",
            config=str(self.folder / "config"),
        )

    def start(self) -> Docker:
        debian.ensure(debian.ENGINE_NEEDS, by="kind without a Docker engine")
        docker = self.docker
        self.folder.mkdir(parents=True, exist_ok=True)
        self._remember()
        cgroups.create(CGROUP)
        containerd = self._containerd()
        containerd.start()
        dockerd = self._dockerd(Path(docker.program).parents[2])
        dockerd.start()
        dockerd.wait_until(docker.answers, seconds=_READY_SECONDS)
        return docker

    def _remember(self) -> None:
        """Which folders are not the machine's own: whatever its options say, the engine makes these."""
        if not self._made.exists():
            self._made.write_text("\n".join(place for place in _PLACES if not Path(place).exists()))

    @property
    def _made(self) -> Path:
        return self.folder / "made"

    def places(self) -> list[Path]:
        """Folders elsewhere that go with it; so ask before its own is removed."""
        return [Path(line) for line in self._made.read_text().splitlines()] if self._made.exists() else []

    def sockets(self) -> list[Path]:
        """Of its shims, elsewhere; so ask before its folder is removed."""
        bundles = (self.folder / "containerd" / "state" / "io.containerd.runtime.v2.task").glob("*/*/address")
        return [Path(file.read_text().strip().removeprefix("unix://")) for file in bundles]

    def _containerd(self) -> Daemon:
        folder = self.folder / "containerd"
        folder.mkdir(exist_ok=True)
        config = folder / "config.toml"
        config.write_text(containerd_config(folder))
        return Daemon(name="docker-containerd", directory=self.state, command=["containerd", "--config", config])

    def _dockerd(self, programs: Path) -> Daemon:
        settings = self.folder / "daemon.json"
        settings.write_text("{}\n")  # not the machine's own
        runc = self._runc()
        return Daemon(
            name="dockerd",
            directory=self.state,
            command=[
                programs / "usr/sbin/dockerd",
                f"--config-file={settings}",
                f"--host=unix://{self.folder / 'docker.sock'}",
                f"--data-root={self.folder / 'data'}",
                f"--exec-root={self.folder / 'exec'}",
                f"--pidfile={self.folder / 'dockerd.pid'}",
                f"--containerd={self.folder / 'containerd' / 'containerd.sock'}",
                f"--add-runtime=narrow={runc}",
                "--default-runtime=narrow",
                f"--init-path={programs / 'usr/bin/tini-static'}",
                f"--userland-proxy-path={programs / 'usr/sbin/docker-proxy'}",
                f"--cgroup-parent=/{CGROUP}",
                "--group=root",
                "--storage-driver=overlay2",
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
            ],
            env=self._paths(programs),
        )

    def _runc(self) -> Path:
        script = self.folder / "runc"
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {paths.NODE / "narrow_runc.py"} "$@"\n')
        script.chmod(0o755)
        return script

    def _paths(self, programs: Path) -> Mapping[str, str]:
        own = [str(programs / "usr/bin"), str(programs / "usr/sbin")]
        return {"PATH": ":".join([*own, os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])}


def containerd_config(folder: Path) -> str:
    return f"""\
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.internal.v1.restart",
  "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
  address = "{folder}/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
"""
