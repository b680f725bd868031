"""What notifiers have in common whose address is a secret: who has it can write to the channel."""

from __future__ import annotations

from collections.abc import Mapping

from controller.api.fields import field, record
from controller.api.secret import SecretRef
from controller.api.shapes import Record


@record()
class SecretUrl:
    """A `Config` that is one of these has a description of its own, and may have further fields."""

    url_secret: SecretRef = field(
        Record(SecretRef),
        "The webhook's URL, in a Secret of the Release's namespace that the operator may read.",
        key="urlSecretRef",
    )

    def secrets(self) -> Mapping[str, SecretRef]:
        return {"url": self.url_secret}
