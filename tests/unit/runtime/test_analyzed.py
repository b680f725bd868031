"""What of a Release is watched while an old version drains."""

from types import SimpleNamespace
from typing import cast

from controller.api.status import Attempt, Clock, Status
from controller.kube.objects import Key
from controller.rollout.observation import RevisionState
from controller.runtime.analyzed import draining_in
from controller.runtime.observer import World
from tests.unit.rollout.language import release

RUNS = RevisionState(1, 1, 1)


def test_a_baseline_at_work_does_not_keep_an_old_version_from_going():
    """Its requests would be taken for those of the version that drains."""
    attempt = Attempt("v3", Clock(0.0), baseline="b3", baseline_weight=5.0)
    status = Status(stable="v2", attempt=attempt, weight=5.0, drain_since=1000.0)
    seen = SimpleNamespace(
        status=status, target="v3", deleting=False, revisions=dict.fromkeys(("v1", "v2", "v3", "b3"), RUNS)
    )
    world = SimpleNamespace(key=Key("shop", "web"), spec=release().spec, observation=seen)
    drain = draining_in(cast("World", world))
    assert drain is not None
    assert drain.old == ("v1",)
