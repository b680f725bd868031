"""Which certificates are believed of a server that a tenant has named."""

from __future__ import annotations

import ssl
from functools import cache


@cache
def tls() -> ssl.SSLContext:
    """With the certificates of the image."""
    return ssl.create_default_context()


def tls_of(certificates: str) -> ssl.SSLContext:
    """Besides those of the image believes these, in PEM. Raises ValueError."""
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cadata=certificates)
    except (ssl.SSLError, ValueError, TypeError) as error:  # also of what is empty, or not ASCII
        raise ValueError("is no certificate in PEM") from error
    return context
