"""Makes tokens as an app's own sign-in would: for development, seeding and smoke tests. Only with a shared secret."""

import time

import jwt

from workloads.common.environment import SettingError
from workloads.invitations.tokens import Algorithm, Trust


class Signer:
    """Raises SettingError where tokens are signed by a key that this service does not have."""

    def __init__(self, trust: Trust) -> None:
        if trust.algorithm is not Algorithm.HS256:
            raise SettingError(
                f"JWT_ALGORITHM is {trust.algorithm}: only its issuer makes such tokens; give one instead"
            )
        self._trust = trust

    def token(self, user: str, *, name: str, seconds: float) -> str:
        trust = self._trust
        optional = {"iss": trust.issuer, "aud": trust.audience, "scope": trust.scope}
        claims = {
            "sub": user,
            trust.name_claim: name,
            "exp": int(time.time() + seconds),
            **{claim: value for claim, value in optional.items() if value},
        }
        return jwt.encode(claims, trust.secret, algorithm=trust.algorithm)
