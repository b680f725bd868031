"""References to Secrets, beside the object that names them."""

from __future__ import annotations

from controller.api.fields import field, record
from controller.api.shapes import NAME, Text


@record()
class SecretRef:
    name: str = field(Text(253, 1, NAME), "Name of the Secret.")
    key: str = field(Text(253, 1, r"^[-._a-zA-Z0-9]+$"), "Key in the Secret's data.", default="token")
