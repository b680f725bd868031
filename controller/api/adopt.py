"""`spec.adopt`: what runs already, and is taken over by the first version."""

from __future__ import annotations

from controller.api.fields import Absent, field, record
from controller.api.shapes import NAME, Flag, Text


@record(
    "What runs already and is taken over by the first version: see [Adopting](../controller/docs/adopting.md). It has "
    "no effect on a Release that has a stable version."
)
class Adopt:
    deployment: str = field(
        Text(253, 1, NAME, "the name of a Deployment"),
        "The Deployment that does the work now. Its autoscaler is pointed at the Release. Once the first version is "
        "stable it is scaled to 0, and kept.",
    )
    service: bool = field(
        Flag(),
        "Whether Service NAME is taken over with its address (the default): its selector moves once the first version "
        "is ready.",
        default=Absent(value=True),
    )
