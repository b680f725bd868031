"""Branch pointsman/state: many Releases write to it at once, nobody by force, and what stands there is not trusted."""

import asyncio
from dataclasses import replace

import pytest

from controller.git import state
from controller.git.commits import commit_that_brought
from controller.git.manifests import Identity
from controller.git.order import NothingError
from controller.git.plain import PlainView
from controller.git.remote import GitError, Remote
from controller.git.repository import Author, opened
from controller.git.state import BRANCH, Record
from tests.git_server import git
from tests.unit.git.story import BAD, FILE, GOOD, TESTED, WEB, anywhere, revision

AUTHOR = Author("Pointsman", "pointsman@shop.qa")
REBUILT = Identity("cluster-2", "shop", "web")
NOW = 1_800_000_000.0


def copy_of(origin):
    return opened(Remote(origin.url, schemes=TESTED), anywhere)


def content(text):
    found = revision(text)[1]
    return state.content_of("shop", "web", found.template, found.document.value("spec", "service", "ports"))


async def write(origin, record, identity=WEB):
    async with copy_of(origin) as repository:
        await state.write(repository, identity, record, AUTHOR)


async def read(origin, identity=WEB):
    async with copy_of(origin) as repository:
        return await state.read(repository, identity)


async def restored(origin, record, identity=WEB):
    async with copy_of(origin) as repository:
        return await state.restored(PlainView(repository, identity, "main", "apps"), record)


async def healthy(origin, text=GOOD, since=NOW):
    async with copy_of(origin) as repository:
        view = PlainView(repository, state.anywhere(WEB), "main", "apps")
        commit = await commit_that_brought(repository, view, "main", content(text))
    return Record(revision(text)[0], content(text), commit, since)


async def test_a_record_is_read_as_it_was_written_and_is_on_a_branch_of_its_own(origin):
    record = await healthy(origin)
    assert await read(origin) is None
    await write(origin, record)
    assert await read(origin) == record
    assert git(origin.bare, "rev-list", "--count", BRANCH).strip() == "1"
    assert origin.subjects() == ["first"], "the manifests' branch is left alone"
    assert git(origin.bare, "ls-tree", "-r", "--name-only", BRANCH).split() == ["cluster-1/shop/web.yaml"]


async def test_the_same_version_is_never_recorded_twice(origin):
    record = await healthy(origin)
    for _ in range(3):
        await write(origin, record)
    assert git(origin.bare, "rev-list", "--count", BRANCH).strip() == "1"
    await write(origin, replace(record, revision="aaaaaaaaaa", content="aaaaaaaaaa"))
    assert git(origin.bare, "rev-list", "--count", BRANCH).strip() == "2"


async def test_many_releases_write_at_once_and_none_is_lost(origin):
    record = await healthy(origin)
    names = [f"app-{number}" for number in range(5)]
    await asyncio.gather(*(write(origin, record, Identity("cluster-1", "shop", name)) for name in names))
    files = git(origin.bare, "ls-tree", "-r", "--name-only", BRANCH).split()
    assert files == [f"cluster-1/shop/{name}.yaml" for name in names]
    assert git(origin.bare, "rev-list", "--count", BRANCH).strip() == "5"


async def test_a_branch_that_takes_no_push_is_said(origin, monkeypatch):
    monkeypatch.setattr(state, "TRIES", 2)
    origin.hook("update", '[ "$1" != refs/heads/pointsman/state ]')
    with pytest.raises(GitError, match="pointsman/state took none of 2 pushes"):
        await write(origin, await healthy(origin))


async def test_a_rebuilt_cluster_has_another_identity_and_finds_the_record(origin):
    record = await healthy(origin)
    origin.commit("bad", {FILE: BAD})
    await write(origin, record)
    found = await read(origin, REBUILT)
    assert found == record
    template, ports = await restored(origin, found, REBUILT)
    assert template["spec"]["containers"][0]["image"] == "shop/web:1"
    assert [port["port"] for port in ports] == [80]


async def test_its_own_record_counts_before_those_of_others_and_of_those_the_newest(origin):
    record = await healthy(origin)
    for number, cluster in enumerate(("old", "newer", "oldest")):
        identity = Identity(cluster, "shop", "web")
        await write(origin, replace(record, revision=cluster, since=NOW - abs(number - 1) * 60), identity)
    await write(origin, replace(record, revision="other"), Identity("newer", "shop", "api"))
    assert (await read(origin, REBUILT)).revision == "newer"
    assert (await read(origin, Identity("oldest", "shop", "web"))).revision == "oldest"


async def test_a_commit_that_is_not_on_the_branch_is_not_deployed(origin):
    record = await healthy(origin)
    git(origin.work, "checkout", "-q", "-b", "evil")
    (origin.work / FILE).write_text(BAD)
    git(origin.work, "commit", "-q", "-am", "evil")
    git(origin.work, "push", "-q", "origin", "evil")
    evil = git(origin.work, "rev-parse", "HEAD").strip()
    with pytest.raises(NothingError, match="is not among the last"):
        await restored(origin, replace(record, commit=evil, content=content(BAD)))


async def test_a_branch_that_was_forced_since_is_said(origin):
    origin.commit("bad", {FILE: BAD})
    record = await healthy(origin, BAD)
    git(origin.work, "reset", "-q", "--hard", "HEAD~1")
    git(origin.work, "push", "-q", "--force", "origin", "main")
    with pytest.raises(NothingError, match="is not among the last"):
        await restored(origin, record)


async def test_a_commit_that_holds_something_else_is_not_deployed(origin):
    record = await healthy(origin)
    with pytest.raises(NothingError, match="does not hold the version that was recorded"):
        await restored(origin, replace(record, content="aaaaaaaaaa"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "a: &x 1\nb: *x\n",
        "content: ../../etc\nrevision: x\nsince: '2026-01-01T00:00:00Z'\n",
        "content: aaaaaaaaaa\ncommit: --upload-pack=x\nsince: '2026-01-01T00:00:00Z'\n",
        "content: aaaaaaaaaa\nsince: yesterday\n",
        "\x00",
        "{" * 5_000,
        "x" * 300_000,
    ],
    ids=range(9),
)
async def test_a_record_of_any_content_is_passed_over(origin, text):
    git(origin.work, "checkout", "-q", "--orphan", "hostile")
    path = origin.work / "cluster-1/shop/web.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    git(origin.work, "add", "-A")
    git(origin.work, "commit", "-q", "-m", "hostile")
    git(origin.work, "push", "-q", "origin", f"HEAD:{BRANCH}")
    assert await read(origin) is None
    record = Record("aaaaaaaaaa", "aaaaaaaaaa", "", NOW)
    await write(origin, record)
    assert await read(origin) == record
