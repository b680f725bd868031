"""A Gitea: a forge with git over HTTPS, pull requests, protected branches and webhooks. Tests start their own.

It refuses to run as root. Started by root it runs as `nobody`, below a folder of its own, where that user may look: it
takes its program and files along. SSH where it is given a host key; no mail, no jobs; a database of SQLite.
"""

import os
import pwd
import secrets
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import httpx

from hack.node import build
from hack.node.network import SERVICE_CIDR
from hack.node.process import Daemon, ending_with_starter, free_port, record, running, stop
from hack.node.trouble import TroubleError

_NAME = "gitea"
_PREFIX = "pointsman-gitea-"
_HOST_KEY = "ssh_host_key"
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
_UNPRIVILEGED = "nobody"
_READY_SECONDS = 60
_COMMAND_SECONDS = 60
_LEFT_AFTER_S = 600.0
_FOLDERS = ("options", "public", "templates")
ADMIN = "admin1"  # `admin` is reserved


class Gitea:
    """`start` after `stop` finds everything again; `remove`, or leaving the block, takes it all away."""

    def __init__(
        self,
        *,
        certificate: Path,
        key: Path,
        ca: Path | None = None,
        address: str = "127.0.0.1",
        root_url: str = "",
        ssh_key: Path | None = None,
    ) -> None:
        """`ca`: who signed the certificate; None: it signed itself. `root_url`: what it calls itself, in links.
        `ssh_key`: of the host; None: no SSH.
        """
        self._address = address
        self._root_url = root_url
        self._ca = ca or certificate
        _clear_left()
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        # in memory where there is that: hundreds of tables are made, and each waits for the disk several times
        self._database = _MEMORY / self.folder.name if _MEMORY.is_dir() else self.folder
        self._database.mkdir(mode=0o700, exist_ok=True)
        self._certificate = certificate
        self._key = key
        self._port = free_port()
        self._ssh_key = ssh_key
        self.ssh_port = free_port() if ssh_key else 0
        self._user = pwd.getpwnam(_UNPRIVILEGED) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self.password = secrets.token_urlsafe(16)

    @property
    def url(self) -> str:
        return f"https://{self._address}:{self._port}"

    def start(self) -> None:
        """As empty as new, but for an administrator."""
        if not self._config.exists():
            self._prepare()
        daemon = self._daemon()
        daemon.start()
        with self.http() as client:
            daemon.wait_until(lambda: _healthy(client), seconds=_READY_SECONDS)
        if not self._made.exists():
            self._add_admin()
            self._made.touch()

    def stop(self) -> None:
        stop(record(self.folder, _NAME), seconds=10)

    def remove(self) -> None:
        stop(record(self.folder, _NAME), seconds=0)  # what it would still write goes too
        for folder in {self.folder, self._database}:
            shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def http(self) -> httpx.Client:
        """As its administrator."""
        trusting = ssl.create_default_context(cafile=str(self._ca))
        return httpx.Client(
            base_url=f"{self.url}/api/v1", auth=(ADMIN, self.password), verify=trusting, timeout=120, trust_env=False
        )

    @property
    def _program(self) -> Path:
        return self.folder / _NAME

    @property
    def database(self) -> Path:
        return self._database / "gitea.db"

    @property
    def _config(self) -> Path:
        return self.folder / "app.ini"

    @property
    def _made(self) -> Path:
        return self.folder / "admin-made"

    def _prepare(self) -> None:
        files = build.program("gitea-files")
        _place(build.program("gitea"), self._program)
        for name in _FOLDERS:
            shutil.copytree(files / name, self.folder / "files" / name, copy_function=shutil.copyfile)
        secret = {"tls.crt": self._certificate, "tls.key": self._key, _HOST_KEY: self._ssh_key}
        for name, source in secret.items():
            if source is not None:
                shutil.copyfile(source, self.folder / name)
                (self.folder / name).chmod(0o600)
        self._config.touch(mode=0o600)
        self._config.write_text(self._settings())
        if os.geteuid() == 0:
            for path in (self.folder, self._database, self._config, *(self.folder / name for name in secret)):
                if path.exists():
                    os.chown(path, self._user.pw_uid, self._user.pw_gid)
        self.folder.chmod(0o700)

    def _settings(self) -> str:
        return f"""\
RUN_USER = {self._user.pw_name}
WORK_PATH = {self.folder}

[server]
PROTOCOL = https
HTTP_ADDR = {self._address}
HTTP_PORT = {self._port}
ROOT_URL = {self._root_url or self.url}/
CERT_FILE = {self.folder / "tls.crt"}
KEY_FILE = {self.folder / "tls.key"}
STATIC_ROOT_PATH = {self.folder / "files"}
{self._ssh()}
OFFLINE_MODE = true

[database]
DB_TYPE = sqlite3
PATH = {self.database}

[repository]
ROOT = {self.folder / "repositories"}

[security]
INSTALL_LOCK = true
SECRET_KEY = {secrets.token_urlsafe(32)}
INTERNAL_TOKEN = {secrets.token_urlsafe(32)}
PASSWORD_HASH_ALGO = pbkdf2$1$20

[service]
DISABLE_REGISTRATION = true

[webhook]
ALLOWED_HOST_LIST = loopback,{SERVICE_CIDR}
SKIP_TLS_VERIFY = true

[log]
MODE = console
LEVEL = warn

[session]
PROVIDER = memory

[queue]
TYPE = channel

[indexer]
ISSUE_INDEXER_TYPE = db

[oauth2]
ENABLED = false

[actions]
ENABLED = false

[packages]
ENABLED = false

[cron]
ENABLED = false
"""

    def _ssh(self) -> str:
        if self._ssh_key is None:
            return "DISABLE_SSH = true"
        return f"""\
START_SSH_SERVER = true
BUILTIN_SSH_SERVER_USER = git
SSH_DOMAIN = {self._address}
SSH_PORT = {self.ssh_port}
SSH_LISTEN_HOST = {self._address}
SSH_LISTEN_PORT = {self.ssh_port}
SSH_ROOT_PATH = {self.folder / "ssh"}
SSH_SERVER_HOST_KEYS = {self.folder / _HOST_KEY}
SSH_CREATE_AUTHORIZED_KEYS_FILE = false"""

    def _daemon(self) -> Daemon:
        command = [*self._as_user(), self._program, "web", "--config", self._config]
        return Daemon(name=_NAME, directory=self.folder, command=command, env=self._environment())

    def _add_admin(self) -> None:
        options = ("--admin", "--must-change-password=false", "--username", ADMIN, "--email", f"{ADMIN}@example.com")
        # the password is on a command line of this machine: it opens nothing but this server of a test
        self._run("admin", "user", "create", *options, "--password", self.password)

    def _run(self, *arguments: str) -> None:
        command = [*self._as_user(), self._program, "--config", self._config, *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **self._environment()},
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
        )
        if done.returncode:
            raise TroubleError(f"gitea {arguments[0]} failed: {done.stdout}{done.stderr}")

    def _environment(self) -> dict[str, str]:
        return {"HOME": str(self.folder), "USER": self._user.pw_name}

    def _as_user(self) -> Sequence[str | Path]:
        user = [f"--reuid={self._user.pw_uid}", f"--regid={self._user.pw_gid}", "--clear-groups"]
        return ending_with_starter(*(user if os.geteuid() == 0 else ()))


def _clear_left() -> None:
    """Of one whose starter was killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        old = time.time() - folder.stat().st_mtime > _LEFT_AFTER_S
        if old and folder.is_dir() and running(record(folder, _NAME)) is None:
            for left in (_MEMORY / folder.name, folder):
                shutil.rmtree(left, ignore_errors=True)


def _place(program: Path, at: Path) -> None:
    """A second name where that is possible: it is 100 MB."""
    try:
        at.hardlink_to(program)
    except OSError:
        shutil.copy(program, at)


def _healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/version", auth=None).is_success  # there is nobody yet
    except httpx.TransportError:
        return False
