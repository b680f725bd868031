"""What each forge shows beside a commit: set once, commented once, and left alone when it says so."""

import pytest

from controller.api.git_origin import Forge
from controller.git.forge import reports
from controller.git.forges import calls
from controller.git.forges.calls import Comment, CommitState, CommitStatus
from controller.git.remote import Credentials, GitError, RefusedError, Remote
from tests.unit.git.story import anywhere
from tests.unit.git.strict_forge import SHA, TOKEN, StrictForge

CONTEXT = "pointsman/shop/web"
MARKER = "<!-- pointsman c/shop/web bbbbbbbbbb 3 -->"
COMMENT = Comment(SHA, f"rolled back\n\n{MARKER}\n", MARKER)


@pytest.fixture(params=list(Forge))
def server(request, monkeypatch):
    server = StrictForge(request.param)
    monkeypatch.setattr(calls, "CheckedTransport", server)
    return server


def to(server, *, url="https://git.qa/team/shop.git", token=TOKEN):
    return reports(server.forge, Remote(url, Credentials("robot", token)), anywhere)


def status(state, description, commit=SHA):
    return CommitStatus(commit, CONTEXT, state, description)


async def test_the_same_status_is_posted_once(server):
    for _ in range(3):
        await to(server).status(status(CommitState.PENDING, "5 %, step 1 of 2"))
    assert len(server.posts) == 1


async def test_a_release_ends_as_it_was_judged(server):
    await to(server).status(status(CommitState.PENDING, "5 %"))
    await to(server).status(status(CommitState.PENDING, "50 %"))
    await to(server).status(status(CommitState.FAILURE, "rolled back, errors 12/240 vs 3/4600"))
    assert server.shown[0].startswith("fail")
    assert server.shown[1] == "rolled back, errors 12/240 vs 3/4600"
    await to(server).status(status(CommitState.PENDING, "5 %"))
    await to(server).status(status(CommitState.SUCCESS, "promoted"))
    assert server.shown == ("success", "promoted")


async def test_the_status_of_others_is_not_ours(server):
    server.statuses.append({"id": 0, "state": "success", "description": "promoted", "context": "ci"})
    await to(server).status(status(CommitState.SUCCESS, "promoted"))
    assert len(server.posts) == 1


async def test_a_comment_is_found_again_among_many(server):
    key = "note" if server.forge is Forge.GITLAB else "body"
    server.comments += [{key: f"a person says {number}"} for number in range(95)]
    await to(server).comment(COMMENT)
    server.comments += [{key: f"and {number}"} for number in range(95)]
    assert await to(server).comment(COMMENT)
    assert sum(MARKER in one[key] for one in server.comments) == 1


async def test_a_comment_whose_answer_is_lost_is_not_posted_twice(server):
    server.cut_after_posts = 1
    with pytest.raises(GitError):
        await to(server).comment(COMMENT)
    await to(server).comment(COMMENT)
    assert len(server.comments) == 1


async def test_without_a_pull_request_gitea_has_no_place_for_a_comment(monkeypatch):
    server = StrictForge(Forge.GITEA)
    monkeypatch.setattr(calls, "CheckedTransport", server)
    server.pull = None
    assert not await to(server).comment(COMMENT)
    assert server.comments == []


async def test_a_commit_that_is_not_there_is_said(server):
    with pytest.raises(GitError, match="does not show commit 000000000000"):
        await to(server).status(status(CommitState.PENDING, "5 %", commit="0" * 40))
    assert server.posts == []


@pytest.mark.parametrize(
    ("refusal", "waits"),
    [
        ((429, {"Retry-After": "17"}, b""), 17),
        ((429, {}, b""), 60),
        ((403, {"Retry-After": "90000"}, b""), 3600),
        ((403, {}, b'{"message": "You have exceeded a secondary rate limit."}'), 60),
        ((403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, b""), 1),
        ((403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"}, b""), 3600),
        ((403, {"X-RateLimit-Remaining": "17"}, b""), 0),
        ((403, {"Retry-After": "soon"}, b""), 0),
        ((500, {"Retry-After": "17"}, b""), 0),
    ],
)
async def test_a_limit_says_how_long_to_wait(server, refusal, waits):
    server.refusals.append(refusal)
    with pytest.raises(GitError) as error:
        await to(server).status(status(CommitState.PENDING, "5 %"))
    assert error.value.retry_after == waits
    assert TOKEN not in str(error.value)


@pytest.mark.parametrize("where", [{"token": ""}, {"url": "ssh://git@git.qa/team/shop.git"}])
def test_without_an_api_it_is_refused_with_the_way_out(server, where):
    with pytest.raises(RefusedError, match="a Secret with a token"):
        to(server, **where)
