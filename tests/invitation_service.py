"""Settings of an invitation service for tests, and its databases."""

import base64
from collections.abc import Mapping

SECRET = "a secret that is only good for tests, of 32 bytes or more"  # noqa: S105
KEY = base64.b64encode(bytes(range(32))).decode()


def environment(database_url: str, **more: str) -> Mapping[str, str]:
    """Variables of an API with the sandbox provider."""
    return {
        "DATABASE_URL": database_url,
        "JWT_SECRET": SECRET,
        "PHONE_KEYS": f"k1:{KEY}",
        "PHONE_HASH_KEY": KEY,
        "ROLES": "api",
        **more,
    }
