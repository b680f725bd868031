"""A PostgreSQL of Debian's packages for tests and benchmarks, with data of its own that go when it stops.

The server refuses to run as root; started by root, it runs as the user `postgres` that the package makes. Its
directory lies right below the machine's temporary one: that user may not look into a folder of root's, and the name
of a socket is at most 107 bytes long. It listens on the socket alone, so there is no port to collide on.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self
from urllib.parse import quote

from hack.node import debian
from hack.node.process import Daemon, Identity, gone, pid_file, running, stop
from hack.node.trouble import TroubleError

USER = "postgres"
_PORT = 5432  # a part of the socket's name
_READY_SECONDS = 30


class Postgres:
    """`start` after `stop` or `crash` finds the data again; `remove`, or leaving the block, takes them away."""

    def __init__(self, *, durable: bool = False, options: Sequence[str] = ()) -> None:
        """`durable`: waits for the disk at each commit, as in production. Else only a machine's end loses anything."""
        debian.ensure(debian.DATABASE, by="a PostgreSQL for tests")
        self.directory = Path(tempfile.mkdtemp(prefix="pointsman-postgres-"))
        self._programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.directory),
            "max_connections": "200",
            **({} if durable else {"fsync": "off", "full_page_writes": "off"}),
        }
        self._options = [*(f"--{name}={value}" for name, value in settings.items()), *options]
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(self.directory, user.pw_uid, user.pw_gid)

    def url(self, database: str = USER) -> str:
        return f"postgresql://{USER}@/{database}?host={quote(str(self.directory), safe='')}&port={_PORT}"

    def start(self) -> None:
        if not self._data.exists():
            # C is the collation of every machine, and all that ids, codes and hashes need.
            self._run("initdb", "--auth=trust", "--locale=C.UTF-8", f"--username={USER}", "--no-sync", str(self._data))
        daemon = self._daemon()
        daemon.start()
        daemon.wait_until(self._answers, seconds=_READY_SECONDS)

    def create(self, database: str, *, template: str = "template0") -> str:
        """A copy of another, or an empty one; its URL."""
        where = [f"--host={self.directory}", f"--username={USER}", f"--template={template}"]
        self._run("createdb", *where, database)
        return self.url(database)

    def crash(self) -> None:
        """At once and with nothing put in order, as when it is killed."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """Clients are cut off."""
        self._end(signal.SIGINT)

    def remove(self) -> None:
        self.crash()  # what it would still write goes too
        shutil.rmtree(self.directory)

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
        return running(pid_file(self.directory, USER))

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _daemon(self) -> Daemon:
        command = [*_as_user(), self._programs / "postgres", "-D", self._data, *self._options]
        return Daemon(name=USER, directory=self.directory, command=command)

    def _end(self, how: signal.Signals) -> None:
        if identity := self.identity:
            identity.send(how)
            gone(identity, seconds=20)
        stop(pid_file(self.directory, USER), seconds=1)

    def _answers(self) -> bool:
        where = [f"--host={self.directory}", f"--username={USER}"]
        done = subprocess.run([self._programs / "pg_isready", "--quiet", *where], check=False, capture_output=True)
        return done.returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        command: list[str | Path] = [*_as_user(), self._programs / program, *arguments]
        done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TroubleError(f"{program} failed: {done.stdout}{done.stderr}")


def _as_user() -> list[str | Path]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]
