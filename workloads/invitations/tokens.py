"""Who calls: JSON Web Tokens that somebody else signs.

The algorithm comes from the settings and never from the token: else `alg: none`, or a public RSA key taken for an
HMAC secret, would pass.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Algorithm(StrEnum):
    HS256 = "HS256"
    RS256 = "RS256"


@dataclass(frozen=True, slots=True)
class Trust:
    """Of the secret, the public key (PEM) and the address of a key set, one is given."""

    algorithm: Algorithm
    secret: str = field(default="", repr=False)
    public_key: str = ""
    jwks_url: str = ""
    issuer: str = ""
    audience: str = ""
    name_claim: str = "name"
    scope: str = ""
    """What a token must allow, if not empty; a word of its claim `scope`."""


@dataclass(frozen=True, slots=True)
class User:
    id: str
    name: str
    """As the token says; not cleaned."""
