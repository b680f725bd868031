"""A PostgreSQL of Debian's packages: tests and benchmarks start their own, and one stands beside the native cluster.

The server refuses to run as root; started by root, it runs as the user `postgres` that the package makes. Its data
lie where that user may look, which is no folder of root's, under a short name: that of a socket is at most 107 bytes
long. Who is on this machine uses the socket. A port is open only where one is asked for, and there a password is.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from hack.node import debian
from hack.node.process import Daemon, Identity, gone, record, running, stop
from hack.node.trouble import TroubleError

USER = "postgres"
_PORT = 5432  # a part of the socket's name
_READY_SECONDS = 30


@dataclass(frozen=True)
class Listening:
    """Where it is reached from elsewhere, by whom (a network in CIDR notation), with a password."""

    address: str
    port: int
    clients: str


class Postgres:
    """`start` after `stop` or `crash` finds the data again; `remove`, or leaving the block, takes them away."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        log_in: Path | None = None,
        listening: Listening | None = None,
        durable: bool = False,
        options: Sequence[str] = (),
    ) -> None:
        """`folder`, for data and socket, is made where it is missing; without, it is a temporary one, the log in it.
        `durable`: waits for the disk at each commit, as in production. Else only a machine's end loses anything.
        """
        self.folder = folder or Path(tempfile.mkdtemp(prefix="pointsman-postgres-"))
        self.directory = log_in or self.folder
        self._port = listening.port if listening else _PORT
        self._access = "local all all trust\n"
        if listening:
            self._access += f"host all all {listening.clients} scram-sha-256\n"
        settings = {
            "listen_addresses": listening.address if listening else "",
            "port": str(self._port),
            "unix_socket_directories": str(self.folder),
            "hba_file": str(self._hba),
            "dynamic_shared_memory_type": "mmap",  # within the data, where nothing is forgotten
            "max_connections": "200",
            **({} if durable else {"fsync": "off", "full_page_writes": "off"}),
        }
        self._options = [*(f"--{name}={value}" for name, value in settings.items()), *options]

    def url(self, database: str = USER) -> str:
        return f"postgresql://{USER}@/{database}?host={quote(str(self.folder), safe='')}&port={self._port}"

    def start(self) -> None:
        daemon = self._prepare()
        daemon.start()
        daemon.wait_until(self._answers, seconds=_READY_SECONDS)

    def _prepare(self) -> Daemon:
        """Everything but the start itself. Installs the server where it is missing."""
        debian.ensure(debian.DATABASE, by="PostgreSQL")
        self.folder.mkdir(exist_ok=True)
        self._hba.write_text(self._access)
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        self.folder.chmod(0o700)
        if not self._data.exists():
            self._make()
        return self._daemon()

    def _make(self) -> None:
        begun = self.folder / "data.new"
        shutil.rmtree(begun, ignore_errors=True)  # of one that was interrupted
        # C is the collation of every machine, and all that ids, codes and hashes need.
        self._run("initdb", "--auth=trust", "--locale=C.UTF-8", f"--username={USER}", "--no-sync", str(begun))
        begun.rename(self._data)

    def _answers(self) -> bool:
        done = subprocess.run([_programs() / "pg_isready", "--quiet", *self._where], check=False, capture_output=True)
        return done.returncode == 0

    def create(self, database: str, *, template: str = "template0") -> str:
        """A copy of another, or an empty one; its URL."""
        self._run("createdb", *self._where, f"--template={template}", database)
        return self.url(database)

    def crash(self) -> None:
        """At once and with nothing put in order, as when it is killed."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """Clients are cut off."""
        self._end(signal.SIGINT)

    def remove(self) -> None:
        self.crash()  # what it would still write goes too
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def identity(self) -> Identity | None:
        """Of the running server."""
        return running(record(self.directory, USER))

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _hba(self) -> Path:
        return self.folder / "pg_hba.conf"

    @property
    def _where(self) -> list[str]:
        return [f"--host={self.folder}", f"--port={self._port}", f"--username={USER}"]

    def _daemon(self) -> Daemon:
        command = [*_as_user(), _programs() / "postgres", "-D", self._data, *self._options]
        return Daemon(name=USER, directory=self.directory, command=command)

    def _end(self, how: signal.Signals) -> None:
        if identity := self.identity:
            identity.send(how)
            gone(identity, seconds=20)
        stop(record(self.directory, USER), seconds=1)

    def _run(self, program: str, *arguments: str) -> None:
        command: list[str | Path] = [*_as_user(), _programs() / program, *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TroubleError(f"{program} failed: {done.stdout}{done.stderr}")


def _programs() -> Path:
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


def _as_user() -> list[str | Path]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]
