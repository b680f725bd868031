"""Starts and ends daemons that outlive the command that started them.

A record has the daemon's pid and start time and the boot's id, written by the
process that becomes the daemon before it does. So none is ever started without
a trace, and a pid that the kernel gave to somebody else in the meantime is
recognized by its start time and left alone. `kill $(cat FILE)` takes a record
for no number, and does nothing.
"""

import os
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hack.node.trouble import TroubleError

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_LOG_LINES = 20
_POLL = 0.05

# $1: record, $2: directory to run in; the rest is the daemon. `exec` keeps pid and start time, which is field 22 of
# proc(5), the 20th behind the name in brackets.
_BECOME = """record="$1"; cd "$2" || exit; shift 2
stat=$(cat /proc/$$/stat) boot=$(cat /proc/sys/kernel/random/boot_id)
echo "pid=$$,started=$(set -- ${stat##*) }; shift 19; echo "$1"),boot=$boot" >"$record"
exec "$@"
"""
_RECORD = re.compile(r"pid=(\d+),started=(\d+),boot=(\S+)\n")


def ending_with_starter(*options: str) -> tuple[str, ...]:
    """Before a command: the kernel kills it when who has started it ends, also by being killed itself.

    For what tests start; a cluster's daemons outlive the command. `options`: more of setpriv(1)'s.
    """
    return ("setpriv", "--pdeathsig=KILL", *options, "--")


@dataclass(frozen=True)
class Identity:
    pid: int
    started: int  # clock ticks after boot
    boot: str

    @classmethod
    def parse(cls, text: str) -> "Identity | None":
        """None for a record whose writer was interrupted."""
        found = _RECORD.fullmatch(text)
        return found and cls(pid=int(found[1]), started=int(found[2]), boot=found[3])

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """None where there is no such process."""
        stat = _stat(pid)
        return None if stat is None else cls(pid=pid, started=_start_time(stat), boot=_BOOT.read_text().strip())

    def alive(self) -> bool:
        """Until its last thread has ended: the port of a process that was killed is free no sooner."""
        stat = _stat(self.pid)
        return (
            stat is not None
            and _start_time(stat) == self.started
            and (_state(stat) not in {"Z", "X"} or _threads(stat) > 1)
            and _BOOT.read_text().strip() == self.boot
        )

    def send(self, signum: signal.Signals) -> None:
        """The process may have ended meanwhile; its pid cannot have been given away within that instant."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)


def _stat(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _after_name(stat: str) -> list[str]:
    return stat[stat.rindex(")") + 2 :].split()  # the name, in brackets, may hold spaces and brackets


def _state(stat: str) -> str:
    return _after_name(stat)[0]


def _threads(stat: str) -> int:
    return int(_after_name(stat)[17])  # field 20 of proc(5)


def _start_time(stat: str) -> int:
    return int(_after_name(stat)[19])  # field 22 of proc(5)


@dataclass(frozen=True, kw_only=True, eq=False)
class Daemon:
    name: str
    command: Sequence[str | Path]
    directory: Path  # holds run/NAME.process and log/NAME.log
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def record(self) -> Path:
        return record(self.directory, self.name)

    @property
    def log(self) -> Path:
        return self.directory / "log" / f"{self.name}.log"

    def identity(self) -> Identity | None:
        """Of the running process, if there is one."""
        return running(self.record)

    def start(self) -> None:
        """Does nothing if it runs already."""
        if self.identity():
            return
        for file in (self.record, self.log):
            file.parent.mkdir(parents=True, exist_ok=True)
        self.record.unlink(missing_ok=True)
        _reap()
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                ["sh", "-c", _BECOME, "sh", self.record, self.directory, *map(str, self.command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**_environment(), **self.env},
                start_new_session=True,  # Ctrl-C at the terminal is not meant for it
            )
        _children[child.pid] = child

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Raises TroubleError with the log's last lines when it ends or is not ready in time."""
        deadline = time.monotonic() + seconds
        while not (ready() and self.identity()):  # somebody else may answer on its port
            if self._has_ended():
                raise TroubleError(f"{self.name} ended while starting; {self._log_end()}")
            if time.monotonic() > deadline:
                raise TroubleError(f"{self.name} was not ready within {seconds:.0f} s; {self._log_end()}")
            time.sleep(_POLL)

    def _has_ended(self) -> bool:
        identity = _read(self.record)
        return identity is not None and not identity.alive()

    def _log_end(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return f"its log {self.log} ends:\n" + "\n".join(lines)

    def stop(self, *, seconds: float = 10) -> None:
        stop(self.record, seconds=seconds)


def _environment() -> dict[str, str]:
    """A caller's proxies, KUBECONFIG or, within a pod, KUBERNETES_SERVICE_HOST must not lead a daemon astray."""
    places = [os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"]
    return {"PATH": ":".join(filter(None, places)), "HOME": str(Path.home())}


_children: dict[int, subprocess.Popen[bytes]] = {}  # until reaped


def _reap() -> None:
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            del _children[pid]


def record(directory: Path, name: str) -> Path:
    return directory / "run" / f"{name}.process"


def running(file: Path) -> Identity | None:
    identity = _read(file)
    return identity if identity and identity.alive() else None


def _read(file: Path) -> Identity | None:
    try:
        return Identity.parse(file.read_text())
    except FileNotFoundError:
        return None


def stop(file: Path, *, seconds: float) -> None:
    """Asks to end, and after `seconds` ends it. Stopping what does not run is fine."""
    identity = running(file)
    if identity:
        if seconds:
            identity.send(signal.SIGTERM)
        if not gone(identity, seconds=seconds):
            identity.send(signal.SIGKILL)
            gone(identity, seconds=10)
        if identity.alive():
            raise TroubleError(f"process {identity.pid} ({file.stem}) does not end; see `ps -p {identity.pid}`.")
    _reap()
    file.unlink(missing_ok=True)


def gone(identity: Identity, *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while identity.alive():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL)
    return True


_given: set[int] = set()
_PORTS = (20_000, 30_000)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on; never the same one twice from one process.

    It lies below those that outgoing connections take: while a daemon is restarted, a client that asks for it would
    else now and then be given that very port, and keep it from coming back.
    """
    while True:
        port = random.randrange(*_PORTS)  # noqa: S311 - no secret
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
