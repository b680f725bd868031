"""Why an action cannot be carried out, whatever is tried: people read it in the status."""

from __future__ import annotations

from controller.kube.client import InvalidError


class TemplateLostError(Exception):
    """A revision has to be made again, and neither the spec nor a ControllerRevision holds its template."""

    def __init__(self, revision: str, what: str = "and its ControllerRevision are gone") -> None:
        super().__init__(f"revision {revision} {what}. Put its template back into spec.template")
        self.revision = revision


class RefusedError(Exception):
    """The API server does not take what a field of the spec says; `forbidden`: by quota or admission, not by schema."""

    def __init__(self, field: str, error: InvalidError) -> None:
        super().__init__(f"{field}: {error}")
        self.forbidden = error.reason == "Forbidden"


class NameTakenError(Exception):
    """An object of another owner has the name that a child needs."""
