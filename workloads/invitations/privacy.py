"""Phone numbers at rest: encrypted to be sent to, hashed with a key to be looked up, masked to be shown.

AES-256-GCM with a random nonce; the invitation's id is authenticated with it, so that a number copied into another
row does not decrypt there. Keys have ids, so a new one can come while rows of the old one are still there. The key
of the hash must stay: limits and opt-outs are found by it.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_SHOWN_END = 4
_SECRET_LENGTH = 15


class SealedError(Exception):
    """A number cannot be read: its key is gone from the settings, or it was tampered with."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Of 32 bytes. The first cipher is the newest, and encrypts; all decrypt."""

    ciphers: Mapping[str, bytes] = field(repr=False)
    hashing: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sealed:
    key_id: str
    cipher: bytes


class Privacy:
    def __init__(self, keys: Keys) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.ciphers.items()}
        self._newest = next(iter(keys.ciphers))
        self._hashing = keys.hashing

    def hash(self, e164: str) -> bytes:
        """HMAC-SHA256: without the key, the ten digits of a number are found again in seconds."""
        return hmac.digest(self._hashing, b"phone " + e164.encode(), hashlib.sha256)

    def seal(self, e164: str, invitation_id: str) -> Sealed:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        cipher = self._ciphers[self._newest].encrypt(nonce, e164.encode(), invitation_id.encode())
        return Sealed(self._newest, nonce + cipher)

    def open(self, sealed: Sealed, invitation_id: str) -> str:
        """The number in E.164. Raises SealedError."""
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise SealedError(f"PHONE_KEYS has no key {sealed.key_id!r}: put it back, behind the newest")
        nonce, text = sealed.cipher[:_NONCE_BYTES], sealed.cipher[_NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, text, invitation_id.encode()).decode()
        except (InvalidTag, ValueError):  # ValueError: too short to be one
            raise SealedError(f"the number of invitation {invitation_id} is not what was stored") from None

    def secret(self, purpose: str, text: str) -> str:
        """Of a link that may be followed without signing in: 75 bits of letters and digits, short enough for a text."""
        key = hmac.digest(self._hashing, f"link {purpose}".encode(), hashlib.sha256)
        made = hmac.digest(key, text.encode(), hashlib.sha256)
        return base64.b32encode(made).decode().lower()[:_SECRET_LENGTH]


def mask(e164: str) -> str:
    """`+15551234567` → `+1•••4567`: enough to recognize an own friend's, too little to call."""
    return f"{e164[:2]}•••{e164[-_SHOWN_END:]}"
