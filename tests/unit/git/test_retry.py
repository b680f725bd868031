"""`retry` says that a rollback was a false alarm: what its commit took back comes again."""

import asyncio
import random

import pytest

from controller.api.git_origin import Write
from controller.git.rollback import Written
from tests.git_server import git
from tests.unit.git.story import BAD, FILE, GOOD, ORDER, Forge, carried_out, manifest, retry, revision, rollback

AGAIN = retry(GOOD, BAD)


@pytest.fixture
async def origin(origin):
    """The bad version was pushed, and rolled back."""
    origin.commit("bad", {FILE: BAD})
    assert (await carried_out(origin.url, ORDER)).commit
    origin.pull()
    return origin


async def test_rule_7_a_retry_takes_the_rollback_back_and_later_edits_stay(origin):
    undone = git(origin.bare, "rev-parse", "main").strip()
    origin.commit("more pods", {FILE: manifest(replicas=5)})
    written = await carried_out(origin.url, AGAIN)
    assert origin.read(FILE) == manifest("shop/web:2", replicas=5)
    assert origin.subjects()[0] == f"Try {ORDER.rejected} of shop/web again"
    message = origin.message(written.commit)
    assert f"{ORDER.rejected} is tried again: retry by ann" in message
    assert f"This takes back what {undone[:10]} changed in the Release" in message
    trailers = git(origin.bare, "log", "-1", "--format=%(trailers:only,unfold)", "main").splitlines()
    assert f"Pointsman-Retried-Revision: {ORDER.rejected}" in trailers
    assert "Pointsman-Release: cluster-1/shop/web" in trailers
    assert revision(origin.read(FILE))[0] == ORDER.rejected


async def test_a_retry_is_once_in_the_log_however_often_it_is_killed(origin):
    pauses = random.Random(11)  # noqa: S311 - any moments will do
    for _ in range(12):
        running = asyncio.create_task(carried_out(origin.url, AGAIN))
        await asyncio.wait([running], timeout=pauses.uniform(0, 0.35))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    first = await carried_out(origin.url, AGAIN)
    assert await carried_out(origin.url, AGAIN) == first
    assert sum(one.startswith("Try ") for one in origin.subjects()) == 1


async def test_a_version_that_fails_again_after_a_retry_is_taken_back_again(origin):
    await carried_out(origin.url, AGAIN)
    assert (await carried_out(origin.url, rollback(GOOD, BAD, attempt=6))).commit
    assert origin.read(FILE) == GOOD
    assert (await carried_out(origin.url, retry(GOOD, BAD, attempt=7))).commit
    assert origin.read(FILE) == BAD
    kinds = [one.split(" ")[0] for one in origin.subjects()]
    assert kinds == ["Try", "Roll", "Try", "Roll", "bad", "first"]


async def test_people_who_have_moved_on_are_left_alone(origin):
    origin.commit("better", {FILE: manifest("shop/web:3")})
    assert await carried_out(origin.url, AGAIN) == Written(
        note="somebody has changed it again since; nothing is touched"
    )
    assert origin.subjects()[0] == "better"


async def test_a_rollback_that_a_person_has_reverted_by_hand_needs_nothing(origin):
    git(origin.work, "revert", "--no-edit", "HEAD")
    git(origin.work, "push", "-q", "origin", "main")
    assert f"asks for {ORDER.rejected} already" in (await carried_out(origin.url, AGAIN)).note


async def test_a_version_that_was_never_rolled_back_in_git_needs_nothing(origin):
    origin.commit("third", {FILE: manifest("shop/web:3")})
    other = retry(GOOD, manifest("shop/web:9"))
    assert f"has no commit that rolled {other.rejected} back" in (await carried_out(origin.url, other)).note
    assert origin.subjects()[0] == "third"


@pytest.mark.parametrize("is_protected", [False, True])
async def test_where_the_branch_is_not_written_a_pull_request_brings_it_back(origin, is_protected):
    forge = Forge()
    if is_protected:
        origin.hook("update", '[ "$1" != refs/heads/main ]')
    order = AGAIN if is_protected else retry(GOOD, BAD, write=Write.PULL_REQUEST)
    written = await carried_out(origin.url, order, forge)
    branch = f"pointsman/retry-web-{ORDER.rejected}"
    assert written == Written(proposed=branch, pull_request=forge.url)
    assert origin.read(FILE, branch) == BAD
    assert origin.read(FILE) == GOOD


@pytest.mark.parametrize("is_edited", [False, True])
async def test_the_branch_of_a_rollback_that_nobody_merged_goes_unless_people_wrote_there(origin, is_edited):
    origin.commit("bad again", {FILE: BAD})
    proposed = await carried_out(origin.url, rollback(GOOD, BAD, attempt=6, write=Write.PULL_REQUEST))
    branch = proposed.proposed
    if is_edited:
        git(origin.work, "fetch", "-q", "origin", branch)
        git(origin.work, "checkout", "-q", "FETCH_HEAD")
        git(origin.work, "commit", "-q", "--allow-empty", "-m", "with a test")
        git(origin.work, "push", "-q", "origin", f"HEAD:refs/heads/{branch}")
    written = await carried_out(origin.url, retry(GOOD, BAD, attempt=6, write=Write.PULL_REQUEST))
    assert "asks for" in written.note
    left = git(origin.bare, "branch", "--list", branch).strip()
    assert bool(left) is is_edited
    assert ("is deleted" in written.note) is not is_edited


@pytest.mark.parametrize("kind", [rollback, retry])
async def test_another_attempt_leaves_the_branch_of_a_pull_request_that_people_wrote_to(origin, kind):
    if kind is rollback:
        origin.commit("bad again", {FILE: BAD})
    first = await carried_out(origin.url, kind(GOOD, BAD, attempt=6, write=Write.PULL_REQUEST))
    git(origin.work, "fetch", "-q", "origin", first.proposed)
    git(origin.work, "checkout", "-q", "FETCH_HEAD")
    git(origin.work, "commit", "-q", "--allow-empty", "-m", "with a test")
    git(origin.work, "push", "-q", "origin", f"HEAD:refs/heads/{first.proposed}")
    forge, again = Forge(), kind(GOOD, BAD, attempt=7, write=Write.PULL_REQUEST)
    second = await carried_out(origin.url, again, forge)
    assert origin.subjects(first.proposed)[0] == "with a test"
    assert second.proposed == f"{first.proposed}-7"
    assert origin.subjects(second.proposed)[0] == again.subject
    assert [one[0] for one in forge.asked] == [second.proposed]
    assert await carried_out(origin.url, again, forge) == second, "as after a crash before the status"
