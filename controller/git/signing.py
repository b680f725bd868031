"""Signs commits with an SSH key or an OpenPGP key: git has `ssh-keygen` or `gpg` do it, with files of a folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from controller.git.programs import FailedError, run
from controller.git.remote import GitError

SSH_KEYS = ("identity", "ssh-privatekey")
"""In the Secret: Flux's word, and that of Secrets of type kubernetes.io/ssh-auth."""
OPENPGP_KEY = "git.asc"
"""Flux's word."""
_NO_QUESTIONS = {"SSH_ASKPASS": "/bin/false", "SSH_ASKPASS_REQUIRE": "force"}
"""For ssh-keygen, which would wait at a terminal for a passphrase."""
_HOME = "GNUPGHOME"
_LIMITS = "ulimit -f 2048; ulimit -v 262144; ulimit -t 10"
_MOST_KEY = 65_536
_GPG_CONF = """\
batch
no-tty
pinentry-mode error
trust-model always
no-auto-check-trustdb
no-auto-key-retrieve
no-auto-key-locate
disable-dirmngr
"""
"""It asks nobody, neither a person nor a server of keys."""
_SECRET_KEY = re.compile(r"^sec:([^:]*):.*\n(?:(?!fpr:).*\n)*fpr:+([0-9A-F]+):", re.MULTILINE)
_NOT_USABLE = {"e": "has expired", "r": "is revoked", "d": "is disabled", "i": "is invalid"}


@dataclass(frozen=True)
class SigningKey:
    private: str = field(repr=False)
    secret: str
    """Name of its Secret, for sentences."""
    is_openpgp: bool = False


def signing_key(data: Mapping[str, str], secret: str) -> SigningKey:
    """Raises GitError."""
    found = next((data[key] for key in SSH_KEYS if data.get(key)), "")
    if found:
        return SigningKey(found, secret)
    if data.get(OPENPGP_KEY):
        return SigningKey(data[OPENPGP_KEY], secret, is_openpgp=True)
    raise GitError(
        f"Secret {secret} needs a private key to sign with: SSH's under {' or '.join(SSH_KEYS)}, or OpenPGP's under "
        f"{OPENPGP_KEY}; add it"
    )


@asynccontextmanager
async def signing(folder: Path, key: SigningKey | None) -> AsyncIterator[tuple[dict[str, str], dict[str, str]]]:
    """Git's configuration and environment for it, with files in `folder`. Raises GitError."""
    if key is None:
        yield {}, {}
    elif key.is_openpgp:
        try:
            yield await _openpgp(folder, key), {_HOME: _environment(folder)[_HOME]}
        finally:
            # its agent is a process of its own, which would wait for the next signature
            for what in (("--kill", "gpg-agent"), ("--remove-socketdir",)):
                with contextlib.suppress(FailedError, OSError):
                    await run(("gpgconf", *what), _environment(folder), limits=_LIMITS)
    else:
        yield await _ssh(folder, key), _NO_QUESTIONS


async def _ssh(folder: Path, key: SigningKey) -> dict[str, str]:
    """Raises GitError."""
    if shutil.which("ssh-keygen") is None:
        raise GitError("the operator's image has no ssh-keygen, which signs commits; add OpenSSH's client")
    path = folder / "signing"
    path.touch(mode=0o600)
    path.write_text(key.private[:_MOST_KEY].replace("\r\n", "\n").rstrip() + "\n")
    try:
        # an empty passphrase: the public key of a private one that has none
        await run(("ssh-keygen", "-y", "-P", "", "-f", str(path)), _environment(folder), limits=_LIMITS)
    except FailedError as error:
        if "passphrase" in error.said:
            raise _has_passphrase(key) from error
        raise GitError(f"the key in Secret {key.secret} is no private SSH key; `ssh-keygen` makes one") from error
    return {"gpg.format": "ssh", "gpg.ssh.program": "ssh-keygen", "user.signingKey": str(path)}


async def _openpgp(folder: Path, key: SigningKey) -> dict[str, str]:
    """Raises GitError."""
    if shutil.which("gpg") is None or shutil.which("gpg-agent") is None:
        raise GitError("the operator's image has no gpg, which signs with OpenPGP keys; add gpg and gpg-agent")
    env = _environment(folder)
    _make_home(Path(env[_HOME]))
    with contextlib.suppress(FailedError):  # what it did not read is missing afterwards
        await run(("gpg", "--import"), env, limits=_LIMITS, said=key.private[:_MOST_KEY].encode())
    try:
        listed = (await run(("gpg", "--with-colons", "--list-secret-keys"), env, limits=_LIMITS)).decode()
    except FailedError as error:
        raise GitError(f"the key in Secret {key.secret} cannot be used by gpg") from error
    found = _SECRET_KEY.findall(listed)
    if len(found) != 1:
        raise GitError(
            f"Secret {key.secret} has {len(found)} private OpenPGP keys under {OPENPGP_KEY}, it needs one; "
            "`gpg --export-secret-keys --armor KEY` writes it"
        )
    ((validity, fingerprint),) = found
    if validity in _NOT_USABLE:
        raise GitError(f"the key in Secret {key.secret} {_NOT_USABLE[validity]}; put another one into it")
    try:
        await run(("gpg", "--local-user", fingerprint, "--detach-sign"), env, limits=_LIMITS, said=b"?")
    except FailedError as error:
        if "pinentry" in error.said.lower() or "passphrase" in error.said.lower():
            raise _has_passphrase(key) from error
        raise GitError(
            f"the key in Secret {key.secret} does not sign; put one with a key for signing into it"
        ) from error
    return {"gpg.format": "openpgp", "gpg.program": "gpg", "user.signingKey": fingerprint}


def _make_home(home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "gpg.conf").write_text(_GPG_CONF)


def _has_passphrase(key: SigningKey) -> GitError:
    return GitError(f"the key in Secret {key.secret} has a passphrase; put one without into it")


def _environment(folder: Path) -> dict[str, str]:
    home = {"HOME": str(folder), _HOME: str(folder / "gnupg")}
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **home, **_NO_QUESTIONS}
