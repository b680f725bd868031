"""What repositories, networks and machines do to a rollback in git, and what it leaves behind."""

import asyncio
import contextlib
import os
import shlex
import subprocess
import threading
import weakref
from functools import partial
from pathlib import Path

import pytest

from controller.git import plain, repository
from controller.git.documents import documents
from controller.git.manifests import Manifest, find
from controller.git.remote import Credentials, GitError, RefusedError, Remote
from controller.git.repository import opened
from controller.git.threads import GivenUpError, in_thread
from tests.git_server import PASSWORD, USER, git, served
from tests.unit.git.story import (
    BAD,
    FILE,
    GOOD,
    ORDER,
    TESTED,
    anywhere,
    carried_out,
    manifest,
    rollback,
)


async def test_one_bad_file_of_fifty_is_passed_over(origin):
    origin.commit("noise", {f"apps/f{n}.yaml": "kind: Release\nname: web\n  x: [" for n in range(50)})
    origin.commit("bad", {FILE: BAD})
    assert (await carried_out(origin.url, ORDER)).commit


async def test_a_hostile_repository_has_no_effect(origin, tmp_path):
    bait = tmp_path / "bait"
    (origin.work / "apps" / "link.yaml").symlink_to("/etc/passwd")
    origin.commit(
        "bad",
        {
            FILE: BAD,
            ".gitattributes": "* filter=evil text eol=crlf\n",
            ".gitmodules": f'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c touch% {bait}\n',
            ".lfsconfig": f'[filter "evil"]\n\tsmudge = touch {bait}\n',
            "apps/large.yaml": "# name: web, Release\n" * 60_000,
        },
    )
    assert (await carried_out(origin.url, ORDER)).commit
    assert origin.read(FILE) == GOOD
    assert not bait.exists()


async def test_no_yaml_of_a_repository_is_worked_on_in_the_event_loop(origin, monkeypatch):
    threads = []

    def watched(real, *arguments, **named):
        threads.append(threading.current_thread())
        return real(*arguments, **named)

    for name in ("find", "revisions", "has_configuration", "undo"):
        monkeypatch.setattr(plain, name, partial(watched, getattr(plain, name)))
    origin.commit("bad", {FILE: BAD})
    assert (await carried_out(origin.url, ORDER)).commit
    assert threads
    assert threading.main_thread() not in threads


async def test_a_long_history_of_the_manifest_is_not_kept_in_memory(origin, monkeypatch):
    made: list[weakref.ref[Manifest]] = []
    most = 0

    def counted(*arguments, real=find):
        nonlocal most
        most = max(most, sum(one() is not None for one in made))
        found = real(*arguments)
        made.append(weakref.ref(found))
        return found

    monkeypatch.setattr(plain, "find", counted)
    for replicas in range(12):
        origin.commit("more pods", {FILE: manifest("shop/web:2", replicas=10 + replicas)})
    assert (await carried_out(origin.url, ORDER)).commit
    assert len(made) > 12
    assert most <= 4


@pytest.mark.parametrize("port", ["1" + ":1" * 5_000, "0x" + "f" * 5_000])
async def test_a_number_that_is_no_json_is_a_version_that_is_not_known(origin, port):
    origin.commit("bad", {FILE: BAD})
    origin.commit("odd", {FILE: BAD.replace("port: 80", f"port: {port}")})
    written = await carried_out(origin.url, ORDER)
    assert written.proposed


async def test_a_long_history_is_read_as_far_as_needed(origin):
    origin.commit("bad", {FILE: BAD})
    script = ["commit refs/heads/main\ncommitter p <p@x> 1700000000 +0000\ndata 1\nx\nfrom refs/heads/main^0\n"]
    script += [f"commit refs/heads/main\ncommitter p <p@x> {1700000000 + n} +0000\ndata 1\nx\n" for n in range(700)]
    git(origin.bare, "fast-import", "--quiet", said="".join(script))
    assert (await carried_out(origin.url, ORDER)).commit
    assert origin.read(FILE) == GOOD


async def test_over_http_with_a_password_that_is_in_no_argument_and_no_message(origin, tmp_path):
    origin.commit("bad", {FILE: BAD})
    with served(tmp_path / "git") as server:
        url = f"{server.url}/shop.git"
        with pytest.raises(GitError) as refused:
            await carried_out(url, ORDER, credentials=Credentials(USER, "wrong-password"))
        assert "wrong-password" not in str(refused.value)
        seen: set[bytes] = set()

        async def watch():
            while True:
                seen.update(await asyncio.to_thread(commands_of_git))

        watching = asyncio.create_task(watch())
        written = await carried_out(url, ORDER, credentials=Credentials(USER, PASSWORD))
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert written.commit
    assert seen
    assert not any(PASSWORD.encode() in one for one in seen)


def commands_of_git():
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.add(path.read_bytes())
    return {one for one in found if b"shop.git" in one or b"pointsman-git-" in one}


async def test_a_push_that_fails_once_is_tried_again_before_anybody_is_asked(origin, tmp_path):
    origin.commit("bad", {FILE: BAD})
    failed = tmp_path / "failed"
    origin.hook("pre-receive", f"[ -e {failed} ] || {{ touch {failed}; exit 1; }}")
    assert (await carried_out(origin.url, ORDER)).commit
    assert origin.read(FILE) == GOOD


async def test_a_branch_that_was_pushed_with_force_is_read_as_it_is_now(origin):
    origin.commit("bad", {FILE: BAD})
    git(origin.work, "commit", "-q", "--amend", "-m", "bad, reworded")
    git(origin.work, "push", "-q", "--force", "origin", "main")
    await carried_out(origin.url, ORDER)
    assert origin.subjects()[1:] == ["bad, reworded", "first"]


@pytest.mark.parametrize("branch", ["gone", "main"])
async def test_a_repository_or_a_branch_that_is_away_is_an_error_to_try_again(origin, branch):
    url = origin.url if branch == "gone" else f"{origin.url}.away"
    with pytest.raises(GitError, match="git fetch"):
        await carried_out(url, rollback(GOOD, BAD, branch=branch))


async def test_nothing_is_left_on_the_disk_however_it_ends(origin, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    origin.commit("bad", {FILE: BAD})
    running = asyncio.create_task(carried_out(origin.url, ORDER))
    async with asyncio.timeout(30):
        while not any((tmp_path / "scratch").iterdir()):  # noqa: ASYNC110 - a directory
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await carried_out(origin.url, ORDER)
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_what_a_killed_operator_left_goes_and_what_another_works_in_stays(origin, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    for name in ("pointsman-git-left", "pointsman-git-used", "other"):
        (scratch / name / "secrets").mkdir(parents=True)
        (scratch / name / "secrets" / "password").write_text(PASSWORD)
    for name in ("pointsman-git-left", "other"):
        os.utime(scratch / name, (1, 1))
    (tmp_path / "kept").mkdir()
    (scratch / "pointsman-git-link").symlink_to(tmp_path / "kept")
    os.utime(scratch / "pointsman-git-link", (1, 1), follow_symlinks=False)
    origin.commit("bad", {FILE: BAD})
    await carried_out(origin.url, ORDER)
    assert {one.name for one in scratch.iterdir()} == {"pointsman-git-used", "other", "pointsman-git-link"}
    assert (tmp_path / "kept").exists()


async def test_an_image_without_git_is_said_in_a_sentence(origin, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(GitError, match="the operator's image has no git; use one that has it"):
        await carried_out(origin.url, ORDER)


async def test_a_git_that_would_pass_over_the_address_that_was_checked_is_not_used(origin, tmp_path, monkeypatch):
    old = tmp_path / "bin" / "git"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho git version 2.34.1\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(old.parent), prepend=":")
    with pytest.raises(GitError, match=r"has git version 2\.34\.1; use 2\.37 or later"):
        await carried_out(origin.url, ORDER)


async def test_the_same_trouble_has_the_same_words_each_time(origin):
    said = []
    for took in (3, 7):
        async with opened(Remote(origin.url, schemes=TESTED), anywhere) as repository:
            trouble = f"fatal: {repository.folder}/x: Failed to connect to git.qa port 443 after {took} ms: refused"
            said.append(repository._masked(trouble))
    assert said[0] == said[1]
    assert "git.qa port 443: refused" in said[0]


async def test_a_path_in_the_message_or_a_line_break_makes_no_trailer(origin):
    origin.commit("bad", {FILE: BAD})
    said = "x\n\nPointsman-Release: cluster-1/shop/api\x1b[31m"
    await carried_out(origin.url, rollback(GOOD, BAD, message=said))
    trailers = git(origin.bare, "log", "-1", "--format=%(trailers:only)", "main")
    assert "shop/api" not in trailers
    assert "\x1b" not in origin.message()


async def test_ssh_gets_its_key_by_a_file_and_the_address_that_was_checked(tmp_path):
    remote = Remote("ssh://git@git.qa:2222/shop.git", Credentials(identity="KEY", known_hosts="git.qa ssh-ed25519 A"))
    config, env = await remote.settings(tmp_path, anywhere)
    command = env["GIT_SSH_COMMAND"]
    assert config == {}
    assert "KEY" not in command
    assert "HostName=127.0.0.1" in command
    assert "HostKeyAlias=git.qa" in command
    assert "StrictHostKeyChecking=yes" in command
    assert (tmp_path / "identity").stat().st_mode & 0o777 == 0o600


async def test_a_shell_runs_nothing_that_stands_in_an_ssh_url(tmp_path):
    folder = tmp_path / "it's $(touch bait) here"
    folder.mkdir()
    remote = Remote("ssh://git@$(touch${IFS}bait)/shop.git", Credentials(identity="KEY", known_hosts="x"))
    _, env = await remote.settings(folder, anywhere)
    seen = await asyncio.to_thread(
        subprocess.run,
        ["/bin/sh", "-c", f"ssh() {{ printf '%s\\n' \"$@\"; }}; {env['GIT_SSH_COMMAND']}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert not (tmp_path / "bait").exists()
    assert "HostKeyAlias=$(touch${ifs}bait)" in seen.stdout.splitlines()


@pytest.mark.parametrize(
    ("url", "known", "name"),
    [
        ("ssh://git@git.qa:2222/x.git", "[git.qa]:2222 ssh-ed25519 A", "[git.qa]:2222"),
        ("ssh://git@git.qa:2222/x.git", "|1|c2FsdA==|aGFzaA== ssh-ed25519 A", "[git.qa]:2222"),
        ("ssh://git@git.qa:2222/x.git", "other,git.qa ssh-ed25519 A", "git.qa"),
        ("ssh://git@git.qa/x.git", "git.qa ssh-ed25519 A", "git.qa"),
    ],
)
async def test_a_host_key_is_found_as_ssh_keyscan_writes_it_for_another_port(tmp_path, url, known, name):
    _, env = await Remote(url, Credentials(identity="K", known_hosts=known)).settings(tmp_path, anywhere)
    assert f"HostKeyAlias={name}" in shlex.split(env["GIT_SSH_COMMAND"])


@pytest.mark.parametrize("url", ["file:///srv/x.git", "http://git.qa/x.git", "/srv/x.git", "ext::sh -c id"])
async def test_a_tenant_gets_no_other_transport(url, tmp_path):
    with pytest.raises(RefusedError):
        await Remote(url).settings(tmp_path, anywhere)


async def test_more_manifests_than_fit_into_memory_are_refused(origin):
    origin.commit("bad, and much", {FILE: BAD} | {f"apps/m{n}.yaml": f"a: {n} {'x' * 250_000}\n" for n in range(140)})
    with pytest.raises(RefusedError, match=r"smaller folder as path"):
        await carried_out(origin.url, ORDER)


async def test_the_same_large_files_in_a_long_history_are_no_more_than_the_files_of_one_commit(origin, monkeypatch):
    monkeypatch.setattr(repository, "MOST_HELD", 60_000)
    origin.commit("bad", {FILE: BAD})
    for number in range(6):
        origin.commit("beside it", {"apps/large.yaml": f"a: {number} {'x' * 25_000}\n"})
    assert (await carried_out(origin.url, ORDER)).commit
    assert origin.read(FILE) == GOOD


async def test_a_thread_that_nobody_waits_for_ends():
    text = "# Release web\n" + "- [a, {b: c}, d]\n" * 12_000
    began, ended = threading.Event(), threading.Event()
    given_up = []

    def parse():
        began.set()
        try:
            documents(text)
        except GivenUpError as error:
            given_up.append(error)
            raise
        finally:
            ended.set()

    working = asyncio.create_task(in_thread(parse))
    await asyncio.to_thread(began.wait, 30)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert await asyncio.to_thread(ended.wait, 30)
    assert given_up, "parsing all of it takes several seconds"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (BAD.replace("metadata:", "metadata: &m").replace("spec:\n", "other: *m\nspec:\n", 1), "has a YAML alias"),
        (BAD.replace("image: shop", "image:\tshop"), "is not YAML"),
        (BAD + "x: 1\nx: 2\n", "has a key twice"),
    ],
)
async def test_a_manifest_that_cannot_be_read_is_named(origin, text, why):
    origin.commit("bad", {FILE: text})
    written = await carried_out(origin.url, ORDER)
    assert f"{FILE} {why}" in written.note
    assert origin.subjects()[0] == "bad"


async def test_a_byte_order_mark_and_the_line_ends_of_another_system_stay(origin):
    dos = [("\ufeff" + one).replace("\n", "\r\n") for one in (GOOD, BAD)]
    for name, text in zip(("good", "bad"), dos, strict=True):
        (origin.work / FILE).write_bytes(text.encode())
        git(origin.work, "commit", "-qam", name)
        git(origin.work, "push", "-q", "origin", "main")
    assert (await carried_out(origin.url, ORDER)).commit
    shown = subprocess.run(["git", "show", f"main:{FILE}"], cwd=origin.bare, capture_output=True, check=True)  # noqa: ASYNC221
    assert shown.stdout == dos[0].encode()
