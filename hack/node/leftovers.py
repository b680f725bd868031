"""What a node leaves outside its state directory, and processes whose pid file is lost."""

import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from hack.node import paths
from hack.node.process import Identity

_CNI_RESULTS = Path("/var/lib/cni/results")
_CONTAINER_LOGS = Path("/var/log/containers")
_KUBELET = Path("/var/lib/kubelet")
_FOLDERS = (
    _CONTAINER_LOGS,
    _CNI_RESULTS,
    _CNI_RESULTS.parent,
    _KUBELET / "device-plugins",
    _KUBELET,
    Path("/run/containerd/s"),
    Path("/run/containerd"),
    Path("/run/mount"),
)
_OF_DEBIAN = {"containerd", "containerd-shim-runc-v2", "ctr", "docker", "docker-proxy", "dockerd", "postgres"}


def end_processes(*folders: Path) -> None:
    """Programs of the cache and those of Debian that a node starts, which run within these folders.

    Both conditions: a person's shell or pager may be there too.
    """
    for identity in list(_processes(folders)):
        identity.send(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while identity.alive() and time.monotonic() < deadline:
            time.sleep(0.05)


def _processes(folders: Sequence[Path]) -> Iterator[Identity]:
    programs = paths.cache() / "bin"
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            directory, program = _target(process / "cwd"), _target(process / "exe")
            ours = program.name in _OF_DEBIAN or program.is_relative_to(programs)
            identity = Identity.of(int(process.name))
            if ours and identity and any(map(directory.is_relative_to, folders)):
                yield identity


def _target(link: Path) -> Path:
    return Path(str(link.readlink()).removesuffix(" (deleted)"))


def outside_files(state: Path) -> list[Path]:
    """Files elsewhere that the state directory still tells of; so ask before it is removed."""
    containerd = state / "containerd"
    bundles = (containerd / "state" / "io.containerd.runtime.v2.task").glob("*/*/address")
    shim_sockets = [Path(file.read_text().strip().removeprefix("unix://")) for file in bundles]
    sandboxes = (containerd / "root" / "io.containerd.grpc.v1.cri" / "sandboxes").glob("*")
    results = [file for sandbox in sandboxes for file in _CNI_RESULTS.glob(f"*-{sandbox.name}-*")]
    links = [
        link for link in _CONTAINER_LOGS.glob("*.log") if link.is_symlink() and link.readlink().is_relative_to(state)
    ]
    return [*shim_sockets, *results, *links, *_device_plugin_socket()]


def _device_plugin_socket() -> list[Path]:
    """The kubelet makes it below /var/lib whatever its --root-dir; another one would have more there."""
    alone = _KUBELET.exists() and {entry.name for entry in _KUBELET.iterdir()} == {"device-plugins"}
    return [_KUBELET / "device-plugins" / "kubelet.sock"] if alone else []


def remove_folder(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def remove(files: list[Path]) -> None:
    """And the folders that are empty then."""
    for file in files:
        file.unlink(missing_ok=True)
    for folder in _FOLDERS:
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()
