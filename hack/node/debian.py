"""The programs that come from Debian: for containers, their network and images; a database and a browser for tests."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hack.node import paths
from hack.node.alone import alone
from hack.node.trouble import TroubleError

# What a package is needed for: a file that tells whether it is installed.
CLUSTER = {
    "buildah": "/usr/bin/buildah",
    "conntrack": "/usr/sbin/conntrack",
    "containerd": "/usr/bin/containerd",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "iproute2": "/usr/sbin/ip",
    "mmdebstrap": "/usr/bin/mmdebstrap",
    "nftables": "/usr/sbin/nft",
    "openssl": "/usr/bin/openssl",
    "runc": "/usr/sbin/runc",
    "util-linux": "/usr/bin/nsenter",
}
BROWSER = {"chromium": "/usr/bin/chromium", "fonts-dejavu-core": "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"}
DATABASE = {"postgresql": "/usr/lib/postgresql/*/bin/postgres"}
CLUSTER_AND_BESIDE = CLUSTER | DATABASE
"""Of a cluster and its database, in one installation: two take twice as long."""
ENGINE = ("docker.io", "tini")
"""Not installed: the engine would be the machine's, and packages of Docker's own conflict with Debian's."""
ENGINE_NEEDS = CLUSTER | {
    "iptables": "/usr/sbin/iptables",  # for the name server that each container has
    "libdevmapper1.02.1": "/usr/lib/*/libdevmapper.so.1.02.1",
    "libsystemd0": "/usr/lib/*/libsystemd.so.0",
}
PROMETHEUS = {"prometheus": "/usr/bin/prometheus"}
ALERTMANAGER = {"prometheus-alertmanager": "/usr/bin/prometheus-alertmanager"}
INFLUXDB_1 = {"influxdb": "/usr/bin/influxd"}
_POLICY = Path("/usr/sbin/policy-rc.d")
_NO_FIRST_DATABASE = Path("/etc/postgresql-common/createcluster.d/pointsman.conf")


def missing(packages: Mapping[str, str] = CLUSTER) -> list[str]:
    absent = [name for name, file in packages.items() if not any(Path("/").glob(file[1:]))]
    # Docker's own packages bring the same programs and conflict with Debian's.
    elsewhere = {"containerd": "containerd", "runc": "runc"}
    return [name for name in absent if name not in elsewhere or shutil.which(elsewhere[name]) is None]


def ensure(needed: Mapping[str, str] = CLUSTER, *, by: str = "the native cluster") -> None:
    """Installs what is missing; raises TroubleError where that is not possible."""
    if missing(needed):
        with alone("debian"):  # tests run as several processes, of which the others find it installed
            _install(missing(needed), by)


def _install(packages: Sequence[str], by: str) -> None:
    if not packages:
        return
    wanted = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise TroubleError(f"{by} needs {wanted}, by their Debian names: install them and run it again.")
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0:
        raise TroubleError(f"{by} needs {wanted}: run `sudo {' '.join(command)}`.")
    print(f"installing {wanted} from Debian", file=sys.stderr, flush=True)
    with _no_services(), _no_first_database():
        failure = _apt(command)
        if failure:
            # Lists are missing in a fresh image, or name versions that are gone.
            failure = _apt(["apt-get", "update"]) or _apt(command)
    if failure:
        raise TroubleError(f"`{' '.join(command)}` failed, and {by} does not go without. It said:\n{failure}")
    if "containerd" in packages and Path("/run/systemd/system").exists():
        subprocess.run(["systemctl", "--quiet", "disable", "containerd"], check=True)


def unpacked(packages: Sequence[str]) -> Path:
    """A folder with the packages' files, which are not installed. Fetched once."""
    place = paths.cache() / "debian" / "+".join(packages)
    if not place.exists():
        with alone("debian"):
            if not place.exists():
                _unpack(packages, place)
    return place


def _unpack(packages: Sequence[str], place: Path) -> None:
    if shutil.which("apt-get") is None:
        raise TroubleError("this needs packages of Debian, and there is no apt-get: start a Docker engine instead.")
    work = place.with_suffix(".new")
    shutil.rmtree(work, ignore_errors=True)
    archives = work / "archives"
    archives.mkdir(parents=True)
    command = ["apt-get", "download", "--quiet", *packages]
    print(f"fetching {' '.join(packages)} from Debian", file=sys.stderr, flush=True)
    failure = _apt(command, cwd=archives)
    if failure:
        failure = _apt(["apt-get", "update"]) or _apt(command, cwd=archives)
    if failure:
        raise TroubleError(f"`{' '.join(command)}` failed. It said:\n{failure}")
    for archive in archives.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", archive, work / "files"], check=True)
    (work / "files").rename(place)
    shutil.rmtree(work)


def _apt(command: Sequence[str], *, cwd: Path | None = None) -> str:
    """What it said, if it failed."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr if done.returncode else ""


@contextmanager
def _no_services() -> Iterator[None]:
    """Debian starts a daemon when it installs one; the cluster runs its own containerd."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()


@contextmanager
def _no_first_database() -> Iterator[None]:
    """Debian makes a database when it installs the server, and starts it at each boot; tests make their own."""
    if any(Path("/etc/postgresql").glob("*/*")):  # somebody's own are there: the package adds none
        yield
        return
    _NO_FIRST_DATABASE.parent.mkdir(parents=True, exist_ok=True)
    _NO_FIRST_DATABASE.write_text("create_main_cluster = false\n")
    try:
        yield
    finally:
        _NO_FIRST_DATABASE.unlink()
