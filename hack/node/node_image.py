"""The image of kind's nodes, assembled from Debian packages, kind's own files and the programs of the cache.

kind's `build node-image` pulls its base from a registry; this is for machines that reach none.
"""

import hashlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hack.node import build, debian, mounts, paths, scratch_image
from hack.node.alone import alone
from hack.node.binaries import KIND_NODE, KUBERNETES, PROGRAMS
from hack.node.commands import output_of
from hack.node.progress import Steps
from hack.node.trouble import TroubleError

_RECIPE = "1"
"""Raise it when this file makes another image of the same parts."""
_PACKAGES = (
    "ca-certificates conntrack containerd containernetworking-plugins curl dbus ethtool iproute2 iptables jq kmod "
    "libseccomp2 mount nftables procps runc systemd systemd-sysv"
)
_ETCD = "3.6.8-0"  # with which kubeadm of this version begins
_PAUSE = "registry.k8s.io/pause:3.10"
_UNITS = ("kubelet", "containerd", "undo-mount-hacks")
_WANTED = (
    "lib/systemd/system/multi-user.target.wants/*",
    "etc/systemd/system/*.wants/*",
    "lib/systemd/system/local-fs.target.wants/*",
    "lib/systemd/system/sockets.target.wants/*udev*",
    "lib/systemd/system/sockets.target.wants/*initctl*",
    "lib/systemd/system/basic.target.wants/*",
    "lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
)
_READY_SECONDS = 30
ENTRYPOINT = ("/usr/local/bin/entrypoint", "/sbin/init")


def key() -> str:
    parts = [_RECIPE, _PACKAGES, *(PROGRAMS[name].key() for name in KIND_NODE)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]


def name() -> str:
    return f"localhost/kind-node:v{KUBERNETES}-{key()}"


def ensure() -> Path:
    """An archive of the image's files, for `docker import`."""
    archive = paths.cache() / "images" / f"kind-node-{key()}.tar"
    if not archive.exists():
        debian.ensure(debian.ENGINE_NEEDS, by="kind without a Docker engine")
        for one in (KIND_NODE[:-1], KIND_NODE[-1:]):  # kubeadm last: it needs little that the others have not compiled
            build.ensure(*one)
        archive.parent.mkdir(parents=True, exist_ok=True)
        with alone("kind-node"), Steps() as steps:
            if not archive.exists():
                _assemble(archive, steps)
    return archive


def _assemble(archive: Path, steps: Steps) -> None:
    work = paths.cache() / "work" / "kind-node"
    mounts.unmount(work)  # of one that was interrupted
    shutil.rmtree(work, ignore_errors=True)
    root = work / "root"
    work.mkdir(parents=True)
    with steps.step("node image: Debian packages", seconds=60):
        output_of(
            [
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                f"--include={','.join(_PACKAGES.split())}",
                "--aptopt=Acquire::Languages none",
                "--dpkgopt=path-exclude=/usr/share/man/*",
                "--dpkgopt=path-exclude=/usr/share/doc/*",
                "--dpkgopt=path-exclude=/usr/share/locale/*",
                "bookworm",
                str(root),
            ]
        )
    programs = {program: build.program(program) for program in KIND_NODE}
    with steps.step("node image: Kubernetes and its images", seconds=30):
        _fill(root, programs)
        _preload(root, programs, work)
    with steps.step("node image: archive", seconds=10):
        temporary = archive.with_suffix(".new")
        output_of(["tar", "--create", f"--file={temporary}", "--numeric-owner", f"--directory={root}", "."])
    for older in archive.parent.glob("kind-node-*.tar"):
        older.unlink()
    temporary.rename(archive)
    shutil.rmtree(work)


def _fill(root: Path, programs: dict[str, Path]) -> None:
    """As the Dockerfile of kind's base image does, and its `build node-image` after it."""
    for pattern in _WANTED:
        for link in root.glob(pattern):
            link.unlink()
    shutil.copytree(programs["kind-node-files"], root, dirs_exist_ok=True, copy_function=shutil.copyfile)
    for script in (*(root / "usr/local/bin").iterdir(), *(root / "kind/bin").iterdir()):
        script.chmod(0o755)
    for program in ("kubeadm", "kubelet", "kubectl"):
        shutil.copy(programs[program], root / "usr/bin" / program)
        (root / "usr/bin" / program).chmod(0o755)
    (root / "kind/version").write_text(f"v{KUBERNETES}")
    for program in ("containerd", "ctr"):
        (root / "usr/local/bin" / program).symlink_to(f"/usr/bin/{program}")
    (root / "opt/cni").mkdir(parents=True)
    (root / "opt/cni/bin").symlink_to("/usr/lib/cni")
    (root / "etc/kubernetes/manifests").mkdir(parents=True)
    with (root / "etc/systemd/journald.conf").open("a") as settings:
        settings.write("ReadKMsg=no\n")
    units = root / "etc/systemd/system"
    wanted = units / "multi-user.target.wants"
    wanted.mkdir(exist_ok=True)
    for unit in _UNITS:
        (wanted / f"{unit}.service").symlink_to(f"/etc/systemd/system/{unit}.service")
    (units / "systemd-binfmt.service").unlink(missing_ok=True)
    (units / "systemd-binfmt.service").symlink_to("/dev/null")  # what it registers is the whole machine's
    (root / "etc/containerd/cri-base.json").write_text(json.dumps(_base_spec(output_of(["ctr", "oci", "spec"]))))


def _base_spec(text: str) -> dict[str, Any]:
    """Of each container: without limits that root may not be able to raise."""
    spec: dict[str, Any] = json.loads(text)
    spec["process"].pop("rlimits", None)
    return spec | {"hooks": {"createContainer": [{"path": "/kind/bin/mount-product-files.sh"}]}}


def _preload(root: Path, programs: dict[str, Path], work: Path) -> None:
    """kubeadm's images lie in the node's containerd before it runs for the first time."""
    with _containerd(root, work) as socket:
        for tag, files, entrypoint in _images(root, programs):
            archive = work / "image.tar"
            scratch_image.write(archive, name=tag, files=files, entrypoint=entrypoint, temporary=True)
            output_of(
                [
                    "ctr",
                    "--address",
                    str(socket),
                    "--namespace",
                    "k8s.io",
                    "images",
                    "import",
                    "--no-unpack",
                    str(archive),
                ]
            )
            archive.unlink()


def _images(root: Path, programs: dict[str, Path]) -> Iterator[tuple[str, dict[str, Path], tuple[str, ...]]]:
    """Name, files and entry point."""
    for program in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"):
        files = {f"usr/local/bin/{program}": programs[program]}
        if program == "kube-proxy":
            files |= _with_libraries(root, "usr/sbin/nft")
        yield f"registry.k8s.io/{program}:v{KUBERNETES}", files, ()
    yield f"registry.k8s.io/etcd:{_ETCD}", {"usr/local/bin/etcd": programs["etcd"]}, ()
    yield _PAUSE, {"pause": programs["pause"]}, ("/pause",)


def _with_libraries(root: Path, program: str) -> dict[str, Path]:
    said = output_of(["chroot", str(root), "ldd", f"/{program}"])
    paths_within = [word for line in said.splitlines() for word in line.split() if word.startswith("/")]
    found = {path.lstrip("/"): (root / path.lstrip("/")) for path in (f"/{program}", *paths_within)}
    return {path: _within(root, file) for path, file in found.items()}


def _within(root: Path, file: Path) -> Path:
    """The file itself: absolute links are of the image, not of this machine."""
    while file.is_symlink():
        target = file.readlink()
        file = root / str(target).lstrip("/") if target.is_absolute() else file.parent / target
    return file


@contextmanager
def _containerd(root: Path, work: Path) -> Iterator[Path]:
    """This machine's program on the node's data."""
    with tempfile.TemporaryDirectory(prefix="pointsman-") as place:  # a socket's name has to be short
        socket = Path(place) / "containerd.sock"
        config = work / "containerd.toml"
        config.write_text(
            f'version = 2\nroot = "{root}/var/lib/containerd"\nstate = "{place}/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\n  address = "{socket}"\n'
            f'[plugins."io.containerd.internal.v1.opt"]\n  path = "{place}/opt"\n'
        )
        with (work / "containerd.log").open("wb") as log:
            process = subprocess.Popen(["containerd", "--config", config], stdout=log, stderr=log)
        try:
            _until_answers(socket, process, work / "containerd.log")
            yield socket
        finally:
            process.terminate()
            process.wait(timeout=_READY_SECONDS)
            mounts.unmount(work)


def _until_answers(socket: Path, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    command = ["ctr", "--address", str(socket), "--connect-timeout", "1s", "version"]
    while subprocess.run(command, capture_output=True, check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            raise TroubleError(f"containerd does not start on the node image; its log ends:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)
