"""What a demo commits can be taken back by the operator, and goes on from there."""

from dataclasses import replace
from functools import partial

import pytest

from controller.git.remote import credentials_of
from hack.demonstration import invitations, worker_story
from hack.demonstration.git_server import serving
from hack.demonstration.repository import Repository
from hack.node.trouble import TroubleError
from tests.demonstrated import released
from tests.unit.git.story import carried_out

STORIES = {
    "service": (invitations.MANIFEST, None),
    "worker, blue/green": (worker_story.MANIFEST, worker_story.PATCH),
}


@pytest.fixture(params=STORIES)
def repository(request, tmp_path):
    repository = Repository(tmp_path / "git", *STORIES[request.param], host=partial(serving, address="127.0.0.1"))
    with repository.hosted():
        yield repository


async def test_a_bad_version_is_taken_back_where_the_demo_pushes_and_the_next_one_follows(repository):
    good, order = released(repository)
    credentials = credentials_of(dict(repository.server.secret))
    written = await carried_out(repository.server.url, order, credentials=credentials)
    assert written.commit, written.note
    repository.pull()
    assert repository.manifest.read_text() == good
    repository.commit("version 4", VERSION="4", ERROR_RATE="0")
    subjects = [line.partition(" ")[2] for line in repository.history()]
    assert subjects == [
        "A developer: version 4",
        f"Pointsman: Roll back {order.identity} to {order.stable}",
        *(f"A developer: version {number}" for number in (3, 2, 1)),
    ]


def test_nobody_reads_or_writes_without_the_password(tmp_path):
    repository = Repository(tmp_path / "git", invitations.MANIFEST)
    with serving(tmp_path / "server", "git.friends", address="127.0.0.1") as server:
        repository.create(replace(server, password="guessed"))  # noqa: S106 - a wrong one
        with pytest.raises(TroubleError, match="ls-remote"):
            repository.commit("version 1", VERSION="1")
