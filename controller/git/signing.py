"""Signs commits with an SSH key: git has `ssh-keygen` do it, which reads the key from a temporary file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from controller.git.programs import FailedError, run
from controller.git.remote import GitError

KEYS = ("identity", "ssh-privatekey")
"""In the Secret: Flux's word, and that of Secrets of type kubernetes.io/ssh-auth."""
NO_QUESTIONS = {"SSH_ASKPASS": "/bin/false", "SSH_ASKPASS_REQUIRE": "force"}
"""For ssh-keygen, which would wait at a terminal for a passphrase."""
_LIMITS = "ulimit -f 2048; ulimit -v 262144; ulimit -t 10"
_MOST_KEY = 16_384


@dataclass(frozen=True)
class SigningKey:
    private: str = field(repr=False)
    secret: str
    """Name of its Secret, for sentences."""


def signing_key(data: Mapping[str, str], secret: str) -> SigningKey:
    """Raises GitError."""
    found = next((data[key] for key in KEYS if data.get(key)), "")
    if not found:
        more = "; OpenPGP keys are not used" if "git.asc" in data else ""
        raise GitError(f"Secret {secret} needs a private SSH key to sign with under {' or '.join(KEYS)}; add it{more}")
    return SigningKey(found, secret)


async def settings(folder: Path, key: SigningKey) -> dict[str, str]:
    """Git's configuration. The key stands in a file of `folder`. Raises GitError."""
    if shutil.which("ssh-keygen") is None:
        raise GitError("the operator's image has no ssh-keygen, which signs commits; add OpenSSH's client")
    path = folder / "signing"
    path.touch(mode=0o600)
    path.write_text(key.private[:_MOST_KEY].replace("\r\n", "\n").rstrip() + "\n")
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "LC_ALL": "C", **NO_QUESTIONS}
    try:
        # an empty passphrase: the public key of a private one that has none
        await run(("ssh-keygen", "-y", "-P", "", "-f", str(path)), env, limits=_LIMITS)
    except FailedError as error:
        if "passphrase" in error.said:
            raise GitError(f"the key in Secret {key.secret} has a passphrase; put one without into it") from error
        raise GitError(f"the key in Secret {key.secret} is no private SSH key; `ssh-keygen` makes one") from error
    return {"gpg.format": "ssh", "gpg.ssh.program": "ssh-keygen", "user.signingKey": str(path)}
