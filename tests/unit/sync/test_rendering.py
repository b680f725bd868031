"""What becomes of a commit's folder, with real repositories."""

import contextlib
import json
import time
from collections.abc import AsyncIterator

import pytest

from controller.git.remote import RefusedError, Remote
from controller.git.repository import File, Repository, opened
from controller.sync import rendering
from controller.sync.fetching import GIT_MEMORY
from controller.sync.rendering import MOST_FILE, Rendered, beside, render
from tests.git_server import Origin, git
from tests.unit.git.story import TESTED, anywhere
from tests.unit.sync import zeros


@pytest.fixture
def origin(tmp_path):
    return Origin(tmp_path / "git")


def config_map(name):
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})


@contextlib.asynccontextmanager
async def copy_of(origin: Origin) -> AsyncIterator[Repository]:
    remote = Remote(origin.url, schemes=TESTED)
    async with opened(remote, anywhere, most_blob=MOST_FILE, most_memory=GIT_MEMORY) as repository:
        yield repository


async def rendered(origin: Origin, path: str = "", before: Rendered | None = None) -> Rendered:
    async with copy_of(origin) as repository:
        return await render(repository, await repository.fetch("main", 1), path, before)


def names(found):
    return [one.name for one in found.manifests]


async def test_what_lies_under_the_path_is_read_and_what_is_hidden_is_not(origin):
    files = {
        "apps/a.yaml",
        "apps/deep/b.yml",
        "apps/deep/c.json",
        "apps/.ci/d.yaml",
        "apps/.e.yaml",
        "apps/f.txt",
        "g.yaml",
    }
    origin.commit("one", {name: config_map(name[-6].strip("./") or "x") for name in files})
    found = await rendered(origin, "apps")
    assert [one.file for one in found.manifests] == ["apps/a.yaml", "apps/deep/b.yml", "apps/deep/c.json"]
    assert found.failures == ()


async def test_a_path_that_is_not_there_has_nothing(origin):
    origin.commit("one", {"a.yaml": config_map("a")})
    found = await rendered(origin, "apps")
    assert (found.objects, found.failures) == (0, ())


async def test_links_submodules_hooks_and_filters_have_no_effect(origin, tmp_path):
    bait = tmp_path / "bait"
    filters = "* filter=evil ident export-subst\n"
    module = f'[submodule "evil"]\n\tpath = sub.yaml\n\turl = ext::sh -c touch% {bait}\n\tupdate = !touch {bait}\n'
    origin.commit("one", {"a.yaml": config_map("a"), ".gitmodules": module})
    origin.commit("filters", {".gitattributes": filters})
    (origin.work / "link.yaml").symlink_to("/etc/passwd")
    (origin.work / "folder").symlink_to("/etc")
    git(origin.work, "config", "filter.evil.smudge", f"touch {bait}")
    git(origin.work, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub.yaml")
    git(origin.work, "add", "link.yaml", "folder")
    git(origin.work, "commit", "-q", "-m", "two")
    git(origin.work, "push", "-q", "origin", "main")
    origin.hook("post-checkout", f"touch {bait}")
    found = await rendered(origin)
    assert names(found) == ["a"]
    assert found.failures == ()
    assert not bait.exists()


async def test_a_file_that_is_too_long_is_a_sentence_and_keeps_no_other(origin):
    origin.commit("one", {"a.yaml": config_map("a"), "long.yaml": "# " + "x" * MOST_FILE})
    found = await rendered(origin)
    assert names(found) == ["a"]
    assert [(one.what, one.message) for one in found.failures] == [("long.yaml", "is longer than 4 MiB, or no UTF-8")]


async def test_a_file_larger_than_all_memory_is_a_sentence_and_keeps_no_other(origin):
    """Zeros, which take little on the way."""
    origin.commit("one", {"a.yaml": config_map("a")})
    head = "commit refs/heads/main\ncommitter a <a@shop.qa> 0 +0000\ndata 0\nfrom refs/heads/main^0\n"
    git(origin.bare, "fast-import", "--quiet", said=f"{head}M 100644 {zeros.put(origin.bare)} huge.yaml\n")
    found = await rendered(origin)
    assert names(found) == ["a"]
    assert [one.what for one in found.failures] == ["huge.yaml"]


async def test_too_many_files_are_refused_and_a_folder_beside_them_is_not(origin):
    origin.commit("one", {"apps/a.yaml": config_map("a")})
    blob = git(origin.work, "rev-parse", "HEAD:apps/a.yaml").strip()
    files = "".join(f"M 100644 {blob} many/{number // 500}/{number}.yaml\n" for number in range(100_000))
    head = "commit refs/heads/main\ncommitter a <a@shop.qa> 0 +0000\ndata 0\nfrom refs/heads/main^0\n"
    git(origin.bare, "fast-import", "--quiet", said=head + files)
    with pytest.raises(RefusedError, match="the repository has more than 5000 files; name a smaller folder"):
        await rendered(origin)
    assert names(await rendered(origin, "apps")) == ["a"]


async def test_only_what_a_commit_changed_is_read_again(origin, monkeypatch):
    origin.commit("one", {"a.yaml": config_map("a"), "b.yaml": config_map("b"), "bad.yaml": "a: ["})
    first = await rendered(origin)
    read = []
    whole = rendering.read

    async def noted(repository, files):
        read.extend(files)
        return await whole(repository, files)

    monkeypatch.setattr(rendering, "read", noted)
    origin.commit("two", {"b.yaml": None, "c.yaml": config_map("c")})
    second = await rendered(origin, before=first)
    assert sorted(read) == ["bad.yaml", "c.yaml"]
    assert names(second) == ["a", "c"]
    assert [one.what for one in second.failures] == ["bad.yaml"]


async def test_a_kustomization_in_a_folder_is_named_and_its_files_are_left_alone(origin):
    files = {"a.yaml": config_map("a"), "web/kustomization.yaml": "resources: [b.yaml]", "web/b.yaml": config_map("b")}
    origin.commit("one", files)
    found = await rendered(origin)
    assert names(found) == ["a"]
    assert [one.what for one in found.failures] == ["web/kustomization.yaml"]
    assert "set spec.path to its folder" in found.failures[0].message


async def test_without_kubectl_a_kustomization_is_a_sentence(origin, monkeypatch):
    origin.commit("one", {"apps/kustomization.yaml": "resources: [a.yaml]", "apps/a.yaml": config_map("a")})
    monkeypatch.setattr("controller.git.kustomize.program", lambda: None)
    with pytest.raises(RefusedError, match="apps cannot be built: the image has no kubectl"):
        await rendered(origin, "apps")


def test_thousands_of_nested_kustomizations_do_not_hold_the_loop():
    """Each file was compared with each kustomization: a minute, in which the Lease was lost."""
    plain = {f"p{number}/x/a.yaml": File("100644", "") for number in range(10_000)}
    began = time.process_time()
    left = beside(plain, [f"k{number}/kustomization.yaml" for number in range(10_000)])
    assert time.process_time() - began < 5.0
    assert left == plain
    assert beside(plain, ["p1/kustomization.yaml"]).keys() == plain.keys() - {"p1/x/a.yaml"}
    assert beside(plain, ["kustomization.yaml"]) == {}


@pytest.mark.parametrize("name", ["a/" * 40 + "x.yaml", ("a" * 200 + "/") * 6 + "x.yaml"])
async def test_a_file_too_deep_is_a_sentence(origin, name):
    origin.commit("one", {name: config_map("a")})
    with pytest.raises(RefusedError, match="more than 1000 characters, or 30 folders"):
        await rendered(origin)


async def test_a_ref_whose_name_ends_like_the_branch_is_not_the_branch(origin):
    """A copy of the branch as it was kept its new commits from ever being applied."""
    old = origin.commit("one", {"a.yaml": config_map("a")})
    git(origin.work, "push", "-q", "origin", f"{old}:refs/a/refs/heads/main")
    new = origin.commit("two", {"a.yaml": config_map("b")})
    async with copy_of(origin) as repository:
        assert await repository.remote_commit("main") == new
        assert await repository.remote_commit("other") == ""
