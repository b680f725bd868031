"""What a ReleaseAction asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.api.fields import Absent, Place, Rule, field, parse, record
from controller.api.shapes import NAME, REVISION, Flag, Text, Word

ACTIONS = ("approve", "skip", "promote", "abort", "rollback", "pause", "resume", "retry")
NEED_REASON = ("abort", "promote")


@record(
    "What is asked for. Immutable; create another ReleaseAction instead.",
    rules=[
        Rule("never changes: create another ReleaseAction", cel="self == oldSelf"),
        Rule(
            "abort and promote need a reason",
            cel="!(self.action in ['abort', 'promote']) || (has(self.reason) && self.reason.trim() != '')",
            test=lambda spec: spec.action not in NEED_REASON or bool(spec.reason.strip()),
            at="reason",
        ),
        Rule(
            "only a rollback takes a version",
            cel="!has(self.to) || self.action == 'rollback'",
            test=lambda spec: not spec.to or spec.action == "rollback",
            at="to",
        ),
        Rule(
            "only an abort can be hard",
            cel="!has(self.hard) || !self.hard || self.action == 'abort'",
            test=lambda spec: not spec.hard or spec.action == "abort",
            at="hard",
        ),
        Rule(
            "is the version that the rollback leaves; name another one",
            cel="!has(self.to) || self.to != self.revision",
            test=lambda spec: spec.to != spec.revision,
            at="to",
        ),
    ],
)
class ActionSpec:
    release: str = field(Text(253, 1, NAME), "A Release of this namespace.")
    revision: str = field(
        Text(10, 0, REVISION),
        "The version this is about: the canary; with rollback the stable version that is to be left; with retry the "
        "rejected one. If another version has taken its place by then, nothing happens.",
    )
    action: str = field(
        Word(ACTIONS),
        "approve: pass the step that waits for a person. skip: pass the step in force, unproven. promote: end the "
        "judging, everything goes to the new version. abort: everything back to stable now, and the version is "
        "rejected. rollback: leave the stable version for an older one. pause, resume: stop and continue the steps. "
        "retry: clear a rejection.",
    )
    to: str = field(
        Text(10, 0, REVISION),
        "With rollback, the older version to return to. Default: the one that was stable before.",
        default=Absent(""),
    )
    hard: bool = field(
        Flag(),
        "With abort of a queue's canary: jobs it works on are stopped and handed back. Default: it finishes them.",
        default=Absent(False),  # noqa: FBT003 - what it is not to be
    )
    reason: str = field(Text(1000), "The reason, for the record. Required for abort and promote.", default=Absent(""))
    requested_by: str = field(
        Text(1024),
        "Who asks. The shipped admission policy, where installed, verifies it.",
        default=Absent(""),
    )


def parse_action(spec: Mapping[str, Any]) -> ActionSpec:
    """Raises SpecError."""
    return parse(ActionSpec, spec, Place("spec"))
