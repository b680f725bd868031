"""Signs what is posted as https://www.standardwebhooks.com says, so that libraries can verify it.

| header | value |
|---|---|
| webhook-id | the same for every try: a receiver that knows it already has this message |
| webhook-timestamp | seconds since the epoch, of this try |
| webhook-signature | v1,BASE64(HMAC-SHA256(key, "ID.TIMESTAMP.BODY")); only where there is a key |
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from controller.effects.carrier import EffectFailedError

_PREFIX = "whsec_"


def message_headers(message_id: str, body: bytes, key: str | None, now: float) -> dict[str, str]:
    """`key`: as it stands in the Secret; None: not signed. Raises EffectFailedError."""
    timestamp = str(int(now))
    headers = {"webhook-id": message_id, "webhook-timestamp": timestamp}
    if key is not None:
        digest = hmac.digest(_bytes(key), f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def _bytes(key: str) -> bytes:
    """What follows `whsec_` is base64, as libraries want it; any other key is taken as it is."""
    if not key.startswith(_PREFIX):
        return key.encode()
    try:
        found = base64.b64decode(key.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        found = b""
    if not found:  # a receiver that decodes it otherwise, or not at all, would refuse every request
        raise EffectFailedError(
            f"the key that signingSecretRef names begins with {_PREFIX}, and no base64 follows; correct the Secret"
        )
    return found
