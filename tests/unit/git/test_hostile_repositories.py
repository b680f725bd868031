"""Repositories that are large, odd or forced while they are worked on: each has a known end, and loses nothing."""

import os

import pytest

from controller.api.fields import Place, parse
from controller.api.git_origin import GitOrigin
from controller.api.reading import SpecError
from controller.git import repository
from controller.git.remote import GitError
from controller.git.repository import Repository
from tests.git_server import git
from tests.unit.git.story import BAD, FILE, GOOD, ORDER, carried_out, rollback

MANY = 100_000


async def test_a_branch_from_which_the_bad_commit_was_forced_away_needs_nothing(origin):
    origin.commit("bad", {FILE: BAD})
    git(origin.work, "reset", "-q", "--hard", "HEAD~1")
    git(origin.work, "push", "-q", "--force", "origin", "main")
    assert f"main asks for {ORDER.stable} already" in (await carried_out(origin.url, ORDER)).note
    assert origin.subjects() == ["first"]


async def test_a_branch_that_is_forced_while_it_is_rolled_back_keeps_what_was_forced(origin, monkeypatch):
    origin.commit("bad", {FILE: BAD})
    push = Repository.push
    forced: list[str] = []

    async def after_another(self, commit, branch, *, instead_of=None):
        if not forced:
            forced.append(git(origin.work, "commit", "-q", "--amend", "-m", "bad, reworded"))
            git(origin.work, "push", "-q", "--force", "origin", "main")
        return await push(self, commit, branch, instead_of=instead_of)

    monkeypatch.setattr(Repository, "push", after_another)
    assert (await carried_out(origin.url, ORDER)).commit
    assert origin.subjects() == [f"Roll back shop/web to {ORDER.stable}", "bad, reworded", "first"]
    assert origin.read(FILE) == GOOD


async def test_of_two_releases_in_one_file_one_is_taken_back(origin):
    other = GOOD.replace("name: web", "name: api").replace("# the shop window", "# what it is filled by")
    origin.commit("two in a file", {FILE: f"{other}---\n{GOOD}"})
    bad = other.replace("shop/web:1", "shop/web:2")
    origin.commit("bad", {FILE: f"{bad}---\n{BAD}"})
    assert (await carried_out(origin.url, ORDER)).commit
    assert origin.read(FILE) == f"{bad}---\n{GOOD}"


@pytest.mark.parametrize(("ending", "note"), [("txt", ""), ("yaml", "manifests under /, maximum is 2000")])
async def test_a_hundred_thousand_files_are_listed_and_not_read(origin, ending, note):
    origin.commit("bad", {FILE: BAD})
    files = "".join(f"M 100644 :1 files/{number // 1000}/{number}.{ending}\n" for number in range(MANY))
    commit = "commit refs/heads/main\ncommitter p <p@x> 1700000000 +0000\ndata 4\nmany\nfrom refs/heads/main^0\n"
    git(origin.bare, "fast-import", "--quiet", said=f"blob\nmark :1\ndata 5\na: 1\n\n{commit}{files}")
    written = await carried_out(origin.url, rollback(GOOD, BAD, path=""))
    assert note in written.note
    assert bool(written.commit) is not bool(note)
    assert len(git(origin.bare, "ls-tree", "-r", "--name-only", "main").splitlines()) == MANY + 3


async def test_a_history_of_which_the_bad_commit_is_no_part_any_more_is_said(origin, monkeypatch):
    monkeypatch.setattr("controller.git.history.DEPTHS", (20, 200, 2_000))
    monkeypatch.setattr("controller.git.rollback.DEPTHS", (20, 200, 2_000))
    origin.commit("bad", {FILE: BAD})
    origin.commit("newer", {FILE: BAD.replace("web:2", "web:3")})
    script = ["commit refs/heads/main\ncommitter p <p@x> 1700000000 +0000\ndata 1\nx\nfrom refs/heads/main^0\n"]
    script += [f"commit refs/heads/main\ncommitter p <p@x> {1700000000 + n} +0000\ndata 1\nx\n" for n in range(5_000)]
    git(origin.bare, "fast-import", "--quiet", said="".join(script))
    assert f"brought {ORDER.rejected}" in (await carried_out(origin.url, ORDER)).note
    assert origin.subjects()[0] == "x"


async def test_a_huge_file_among_the_manifests_is_passed_over(origin):
    """git streams what is larger than 1 MiB, and it is never read: its size is asked for first."""
    with (origin.work / "apps" / "huge.yaml").open("wb") as file:
        file.truncate(32 << 20)
    origin.commit("bad", {FILE: BAD})
    assert (await carried_out(origin.url, ORDER)).commit
    assert origin.read(FILE) == GOOD


async def test_a_repository_that_would_fill_the_disk_is_an_error_and_nothing_is_left(origin, tmp_path, monkeypatch):
    """Its copy has no file larger than 256 MiB; here it is 1 MiB."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    monkeypatch.setattr(repository, "_LIMITS", "ulimit -f 2048")
    (origin.work / "apps" / "noise.yaml").write_bytes(os.urandom(4 << 20))
    origin.commit("bad", {FILE: BAD})
    with pytest.raises(GitError, match="git fetch"):
        await carried_out(origin.url, ORDER)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert origin.subjects()[0] == "bad"


async def test_a_manifest_that_is_a_link_is_none(origin):
    (origin.work / FILE).unlink()
    (origin.work / FILE).symlink_to("../other/web.yaml")
    (origin.work / "apps" / "linked").symlink_to("/etc")
    origin.commit("bad", {"other/web.yaml": BAD})
    assert "no file under apps of main holds shop/web" in (await carried_out(origin.url, ORDER)).note
    assert origin.subjects()[0] == "bad"


async def test_a_tree_that_leads_out_of_the_repository_leads_nowhere(origin, tmp_path):
    origin.commit("bad", {FILE: BAD})
    listed = [line.split(" ")[2].split("\t") for line in git(origin.bare, "ls-tree", "main").splitlines()]
    trees = {name: tree for tree, name in listed}
    entries = [("40000", "..", trees["other"]), *(("40000", name, tree) for name, tree in sorted(trees.items()))]
    raw = b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(tree) for mode, name, tree in entries)
    (tmp_path / "tree").write_bytes(raw)
    tree = git(origin.bare, "hash-object", "-t", "tree", "--literally", "-w", str(tmp_path / "tree")).strip()
    commit = git(origin.bare, "commit-tree", tree, "-p", "main", "-m", "out").strip()
    git(origin.bare, "update-ref", "refs/heads/main", commit)
    before = sorted(tmp_path.rglob("x.yaml"))
    with pytest.raises(GitError, match="invalid path"):
        await carried_out(origin.url, ORDER)
    assert sorted(tmp_path.rglob("x.yaml")) == before
    assert origin.subjects()[0] == "out"


@pytest.mark.parametrize("where", [{"path": one} for one in ("../x", "a/../b", "/etc", "a//b", ".", "-x", ".git/x")])
def test_a_path_that_leads_out_of_the_repository_is_refused(where):
    with pytest.raises(SpecError):
        parse(GitOrigin, {"url": "https://git.qa/x.git", **where}, Place("gitOrigin"))
