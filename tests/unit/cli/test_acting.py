"""What a command refuses by itself, before anything is created."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from controller.api.status import Rejection
from controller.cli import acting, watching
from controller.cli._cluster import CommandError
from controller.kube.client import KubeClient
from tests.unit.cli.test_explanation_picture import NOW, explanation


def release(*rejected: str) -> Mapping[str, Any]:
    return explanation(rejected=tuple(Rejection(one, "Regressed", "", "", NOW) for one in rejected)).release


@pytest.mark.parametrize("revision", ["nosuchrev", "K3VQ7MZT2A", "k3vq7mzt2a7", "k3vq7mzt2a\n"])
def test_a_revision_that_is_none_is_refused_with_those_that_were_rejected(revision):
    request = acting._ActionRequest("retry", "web", "", revision=revision)
    with pytest.raises(CommandError, match=r"is no revision \(rejected: bbbbbbbbbb, aaaaaaaaaa\)"):
        acting._revision(release("aaaaaaaaaa", "bbbbbbbbbb"), request)


def test_any_other_one_is_the_operators_to_answer():
    request = acting._ActionRequest("retry", "web", "", revision="cccccccccc")
    assert acting._revision(release("aaaaaaaaaa"), request) == "cccccccccc"


async def test_a_release_that_is_deleted_while_it_is_watched_is_said_to_be(monkeypatch):
    """It was answered with the Releases that there are, as if the name had been wrong."""
    answers = [explanation(), CommandError("no Release 'web' in namespace shop; there are none")]

    async def explanation_of(*_: object) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, CommandError):
            raise answer
        return answer

    monkeypatch.setattr(watching, "explanation_of", explanation_of)
    monkeypatch.setattr(watching, "_POLL_S", 0.0)
    kube = cast("KubeClient", None)
    with pytest.raises(CommandError, match=r"^Release 'web' was deleted while it was watched$"):
        await watching._follow(kube, "shop", "web", lambda _: None, until_done=False)
