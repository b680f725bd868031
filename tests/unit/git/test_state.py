"""Branch pointsman/state: many Releases write to it at once, nobody by force, and what stands there is not trusted."""

import asyncio
import threading
from dataclasses import replace

import pytest

from controller.api.configuration import KeptConfiguration, digest_of
from controller.git import state
from controller.git.commits import content_and_commit
from controller.git.documents import documents
from controller.git.manifests import Identity
from controller.git.order import NothingError
from controller.git.place import Place
from controller.git.remote import GitError, Remote
from controller.git.repository import Author, opened
from controller.git.state import BRANCH, Record
from controller.git.version import Version
from tests.git_server import git
from tests.unit.git.story import BAD, FILE, GOOD, TESTED, WEB, anywhere, revision

AUTHOR = Author("Pointsman", "pointsman@shop.qa")
REBUILT = Identity("cluster-2", "shop", "web")
NOW = 1_800_000_000.0


def copy_of(origin):
    return opened(Remote(origin.url, schemes=TESTED), anywhere)


def version(text):
    found = revision(text)[1]
    return Version(found.template, found.document.value("spec", "service", "ports"))


def content(text):
    return version(text).content(WEB)


def place(repository, identity=WEB):
    return Place(repository, identity, "main", "apps")


async def write(origin, record, identity=WEB):
    async with copy_of(origin) as repository:
        await state.write(repository, identity, record, AUTHOR)


async def read(origin, identity=WEB):
    async with copy_of(origin) as repository:
        return await state.read(repository, identity)


async def restored(origin, record, identity=WEB):
    async with copy_of(origin) as repository:
        return await state.restored(place(repository, identity), record)


async def healthy(origin, text=GOOD, since=NOW):
    async with copy_of(origin) as repository:
        found, commit = await content_and_commit(place(repository), version(text))
    assert found == content(text)
    return Record(revision(text)[0], found, commit, since)


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


async def test_what_stands_there_is_parsed_beside_the_operator(origin, monkeypatch):
    """A quarter of a MiB of it keeps a thread busy for a second, and whoever may push writes it."""
    record, threads = await healthy(origin), set()

    def noting(text):
        threads.add(threading.current_thread())
        return documents(text)

    monkeypatch.setattr(state, "documents", noting)
    await write(origin, record)
    await write(origin, replace(record, revision="other"))
    assert (await read(origin)).revision == "other"
    assert threads
    assert threading.main_thread() not in threads


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
    back = await restored(origin, found, REBUILT)
    assert back.template["spec"]["containers"][0]["image"] == "shop/web:1"
    assert [port["port"] for port in back.ports] == [80]
    assert back.configuration is None


async def test_record_rule_1_its_own_record_counts_before_those_of_others_and_of_those_the_newest(origin):
    record = await healthy(origin)
    for number, cluster in enumerate(("old", "newer", "oldest")):
        identity = Identity(cluster, "shop", "web")
        await write(origin, replace(record, revision=cluster, since=NOW - abs(number - 1) * 60), identity)
    await write(origin, replace(record, revision="other"), Identity("newer", "shop", "api"))
    assert (await read(origin, REBUILT)).revision == "newer"
    assert (await read(origin, Identity("oldest", "shop", "web"))).revision == "oldest"


async def test_record_rule_3_a_commit_that_is_not_on_the_branch_is_not_deployed(origin):
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


async def test_record_rule_3_a_commit_that_holds_something_else_is_not_deployed(origin):
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


SETTINGS = "apps/settings.yaml"
CONFIGURED = GOOD.replace(
    "    - name: app\n", "    - name: app\n        envFrom: [{configMapRef: {name: settings}}]\n", 1
)


def settings(mode):
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{MODE: {mode}}}\n"


def configured(mode, image="shop/web:1"):
    """As the operator keeps it."""
    contents = {"settings": {"data": {"MODE": mode}}}
    kept = KeptConfiguration({name: digest_of(one) for name, one in contents.items()}, contents)
    return replace(version(CONFIGURED.replace("shop/web:1", image)), configuration=kept)


async def recorded(origin, wanted, identity=WEB):
    async with copy_of(origin) as repository:
        return await content_and_commit(place(repository, identity), wanted)


async def test_a_version_that_a_config_map_made_is_recorded_with_the_commit_of_that(origin):
    origin.commit("configured", {FILE: CONFIGURED, SETTINGS: settings("fast")})
    brought = origin.commit("another mode", {SETTINGS: settings("slow")})
    origin.commit("one more", {SETTINGS: settings("odd")})
    found, commit = await recorded(origin, configured("slow"))
    assert commit == brought
    back = await restored(origin, Record("aaaaaaaaaa", found, commit, NOW), REBUILT)
    assert back == configured("slow"), "with what the ConfigMap held then"
    assert (await recorded(origin, configured("odd")))[0] != found


async def test_a_version_whose_config_map_is_not_in_git_is_recorded_without_what_that_holds(origin):
    brought = origin.commit("configured", {FILE: CONFIGURED})
    found, commit = await recorded(origin, configured("slow"))
    assert (found, commit) == (configured("slow").plain.content(WEB), brought)
    assert await restored(origin, Record("aaaaaaaaaa", found, commit, NOW), REBUILT) == configured("slow").plain


async def test_a_version_that_git_alone_does_not_make_is_recorded_without_a_commit(origin):
    wanted = replace(version(GOOD), template={"spec": {"containers": []}})
    found, commit = await recorded(origin, wanted)
    assert (found, commit) == (wanted.content(WEB), "")
    with pytest.raises(NothingError, match="names no commit"):
        await restored(origin, Record("aaaaaaaaaa", found, commit, NOW), REBUILT)
