"""OpenPGP keys, made by gpg in a folder of their own."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def gnupg_home() -> Iterator[str]:
    """Its path is short: gpg's agent has a socket there."""
    with tempfile.TemporaryDirectory(prefix="gnupg-", ignore_cleanup_errors=True) as home:
        try:
            yield home
        finally:
            subprocess.run(["gpgconf", "--kill", "all"], env=_environment(home), check=False, timeout=60)


def gpg(home: str, *arguments: str, said: str = "") -> str:
    command = ["gpg", "--batch", "--no-tty", "--quiet", *arguments]
    done = subprocess.run(
        command, env=_environment(home), input=said, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def openpgp_key(address: str, *, usage: str = "sign", expired: bool = False, passphrase: str = "") -> tuple[str, str]:
    """Private and public, in ASCII."""
    secret = ("--pinentry-mode", "loopback", "--passphrase", passphrase)
    when = ("--faked-system-time", "20200101T000000") if expired else ()
    expires = "1d" if expired else "never"
    with gnupg_home() as home:
        gpg(home, *secret, *when, "--quick-generate-key", f"Pointsman <{address}>", "ed25519", usage, expires)
        return gpg(home, *secret, "--armor", "--export-secret-keys"), gpg(home, "--armor", "--export")


def _environment(home: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "GNUPGHOME": home, "LC_ALL": "C"}
