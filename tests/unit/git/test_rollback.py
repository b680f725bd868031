"""What git has after a rollback, by the numbered rules of "Going back", with real repositories."""

import asyncio
import contextlib
import os
import random
import shlex
import subprocess
import threading
import weakref
from functools import partial
from pathlib import Path

import pytest

from controller.api.git_origin import Write
from controller.git import rollback as rolling
from controller.git.remote import Credentials, GitError, RefusedError, Remote
from controller.git.repository import opened
from controller.git.rollback import Written
from tests.git_server import PASSWORD, USER, Origin, git, served
from tests.unit.git.story import FILE, TESTED, Forge, anywhere, carried_out, manifest, revision, rollback

GOOD, BAD = manifest(), manifest("shop/web:2")
ORDER = rollback(GOOD, BAD)


@pytest.fixture
def origin(tmp_path):
    origin = Origin(tmp_path / "git")
    origin.commit("first", {FILE: GOOD, "apps/api.yaml": "kind: Deployment\n", "other/x.yaml": "a: 1\n"})
    return origin


async def test_rule_1_the_bad_commit_is_the_one_that_brought_the_rejected_revision(origin):
    restored = git(origin.bare, "rev-parse", "main").strip()
    origin.commit("bad", {FILE: BAD})
    origin.commit("more pods", {FILE: manifest("shop/web:2", replicas=5)})
    origin.commit("beside it", {"apps/api.yaml": "kind: Job\n"})
    written = await carried_out(origin.url, ORDER)
    assert f"Pointsman-Restored-Commit: {restored}" in origin.message(written.commit)


async def test_rule_2_only_what_the_bad_commit_did_is_undone_and_later_good_edits_stay(origin):
    origin.commit("bad, and something good", {FILE: manifest("shop/web:2", replicas=4), "other/x.yaml": "a: 2\n"})
    origin.commit("more pods", {FILE: manifest("shop/web:2", replicas=5)})
    await carried_out(origin.url, ORDER)
    assert origin.read(FILE) == manifest(replicas=5)
    assert origin.read("other/x.yaml") == "a: 2\n"


async def test_rule_2_where_the_result_is_not_stable_a_pull_request_says_so(origin):
    origin.commit("bad", {FILE: BAD})
    origin.commit("and more", {FILE: BAD.replace("- name: app\n", "- name: app\n        tty: true\n")})
    forge = Forge()
    written = await carried_out(origin.url, ORDER, forge)
    assert written.pull_request == forge.url
    assert origin.subjects()[0] == "and more"
    assert "other commits changed the version" in forge.asked[0][2]
    assert "tty: true" in origin.read(FILE, written.proposed)
    assert "shop/web:1" in origin.read(FILE, written.proposed)


async def test_rule_3_one_commit_says_what_and_why_with_trailers(origin):
    origin.commit("bad", {FILE: BAD})
    written = await carried_out(origin.url, ORDER)
    assert origin.subjects() == [f"Roll back shop/web to {ORDER.stable}", "bad", "first"]
    message = origin.message(written.commit)
    assert "errors 12/240 vs 3/4600" in message
    trailers = git(origin.bare, "log", "-1", "--format=%(trailers:only,unfold)", written.commit).splitlines()
    assert trailers[:2] == [
        f"Pointsman-Rejected-Revision: {ORDER.rejected}",
        "Pointsman-Release: cluster-1/shop/web",
    ]
    assert "Pointsman-Evidence: AnalysisRun web-x-4" in trailers
    assert git(origin.bare, "log", "-1", "--format=%an <%ae>", "main").strip() == "Pointsman <pointsman@shop.qa>"


async def test_rule_4_ten_writers_race_a_rollback_and_no_commit_is_lost(origin, tmp_path):
    origin.commit("bad", {FILE: BAD})

    async def write(number):
        folder = tmp_path / f"writer{number}"
        await asyncio.to_thread(git, tmp_path, "clone", "-q", str(origin.bare), str(folder))
        (folder / f"by-{number}.yaml").write_text("a: 1\n")
        await asyncio.to_thread(git, folder, "add", "-A")
        await asyncio.to_thread(git, folder, "commit", "-qm", f"by {number}")
        for _ in range(50):
            try:
                await asyncio.to_thread(git, folder, "push", "-q", "origin", "HEAD:main")
            except AssertionError:
                await asyncio.to_thread(git, folder, "pull", "-q", "--rebase", "origin", "main")
            else:
                return

    async def ours():
        while True:
            try:
                return await carried_out(origin.url, ORDER)
            except GitError:
                continue  # as the outbox tries again

    *_, written = await asyncio.gather(*(write(number) for number in range(10)), ours())
    assert written.commit
    assert origin.read(FILE) == GOOD
    assert sorted(one for one in origin.subjects() if one.startswith("by ")) == sorted(f"by {n}" for n in range(10))
    assert sum(one.startswith("Roll back") for one in origin.subjects()) == 1


async def test_rule_4_what_people_have_changed_to_something_else_is_not_touched(origin):
    origin.commit("bad", {FILE: BAD})
    origin.commit("better", {FILE: manifest("shop/web:3")})
    written = await carried_out(origin.url, ORDER)
    assert written == Written(note="somebody has changed it again since; nothing is touched")
    assert origin.subjects()[0] == "better"


@pytest.mark.parametrize("write", [Write.PUSH, Write.PULL_REQUEST])
async def test_rule_4_a_protected_branch_gets_a_pull_request(origin, write):
    origin.commit("bad", {FILE: BAD})
    origin.hook("update", 'if [ "$1" = refs/heads/main ]; then echo protected >&2; exit 1; fi')
    order = rollback(GOOD, BAD, write=write)
    forge = Forge()
    written = await carried_out(origin.url, order, forge)
    branch = f"pointsman/rollback-web-{order.rejected}"
    assert written == Written(proposed=branch, pull_request=forge.url)
    assert origin.subjects()[0] == "bad"
    assert origin.read(FILE, branch) == GOOD
    assert forge.asked[0][:2] == (branch, f"Roll back shop/web to {order.stable}")


async def test_a_try_again_keeps_what_people_added_to_the_branch_of_the_pull_request(origin):
    origin.commit("bad", {FILE: BAD})
    order = rollback(GOOD, BAD, write=Write.PULL_REQUEST)
    first = await carried_out(origin.url, order)
    git(origin.work, "fetch", "-q", "origin", first.proposed)
    git(origin.work, "checkout", "-q", "FETCH_HEAD")
    git(origin.work, "commit", "-q", "--allow-empty", "-m", "signed, and with a test")
    git(origin.work, "push", "-q", "origin", f"HEAD:refs/heads/{first.proposed}")
    git(origin.work, "checkout", "-q", "main")
    origin.commit("beside it", {"other/x.yaml": "a: 2\n"})
    forge = Forge()
    assert await carried_out(origin.url, order, forge) == first
    assert origin.subjects(first.proposed)[0] == "signed, and with a test"
    assert [one[0] for one in forge.asked] == [first.proposed]


async def test_rule_4_without_a_forge_a_person_is_asked_to_open_it(origin):
    origin.commit("bad", {FILE: BAD})
    written = await carried_out(origin.url, rollback(GOOD, BAD, write=Write.PULL_REQUEST), Forge(url=""))
    assert written.note == f"open a pull request from {written.proposed} to main"


async def test_rule_5_the_same_rollback_never_commits_twice(origin):
    origin.commit("bad", {FILE: BAD})
    first = await carried_out(origin.url, ORDER)
    assert await carried_out(origin.url, ORDER) == first, "as after a crash between the push and the status"
    origin.pull()
    origin.commit("the robot again", {FILE: BAD})
    assert await carried_out(origin.url, ORDER) == first
    assert sum(one.startswith("Roll back") for one in origin.subjects()) == 1


async def test_rule_5_however_often_it_is_killed_it_is_once_in_the_log(origin):
    origin.commit("bad", {FILE: BAD})
    pauses = random.Random(7)  # noqa: S311 - any moments will do
    kills = 0
    for _ in range(25):
        running = asyncio.create_task(carried_out(origin.url, ORDER))
        await asyncio.wait([running], timeout=pauses.uniform(0, 0.35))
        kills += not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    written = await carried_out(origin.url, ORDER)
    assert kills > 5
    assert written.commit or "already" in written.note
    assert origin.read(FILE) == GOOD
    assert sum(one.startswith("Roll back") for one in origin.subjects()) == 1


async def test_a_later_attempt_at_the_same_revision_is_undone_anew(origin):
    origin.commit("bad", {FILE: BAD})
    await carried_out(origin.url, ORDER)
    origin.pull()
    origin.commit("a person tries again", {FILE: BAD})
    again = await carried_out(origin.url, rollback(GOOD, BAD, attempt=5))
    assert origin.read(FILE) == GOOD
    assert origin.subjects()[0].startswith("Roll back")
    assert again.commit


async def test_rule_6_the_commit_asks_for_stables_own_revision(origin):
    origin.commit("bad", {FILE: BAD})
    await carried_out(origin.url, ORDER)
    assert revision(origin.read(FILE))[0] == ORDER.stable


async def test_a_commit_that_touches_two_releases_is_undone_for_one(origin):
    other = GOOD.replace("name: web", "name: api")
    origin.commit("second", {"apps/two.yaml": other})
    origin.commit("bad", {FILE: BAD, "apps/two.yaml": other.replace("web:1", "web:2")})
    await carried_out(origin.url, ORDER)
    assert origin.read(FILE) == GOOD
    assert "web:2" in origin.read("apps/two.yaml")


async def test_a_file_that_the_bad_commit_moved_stays_where_it_is(origin):
    origin.commit("bad, moved", {FILE: None, "apps/shop/window.yaml": f"kind: First\n---\n{BAD}"})
    await carried_out(origin.url, ORDER)
    assert origin.read("apps/shop/window.yaml") == f"kind: First\n---\n{GOOD}"


async def test_a_tag_that_kustomize_sets_is_undone_there(origin):
    base = manifest("shop/web")
    overlay = "images:\n- name: shop/web\n  newTag: '{}'  # by the robot\n- name: api\n  newTag: '{}'\n"
    name = "apps/kustomization.yaml"
    origin.commit("kustomize", {FILE: base, name: overlay.format(1, 1)})
    origin.commit("bad", {name: overlay.format(2, 2)})
    written = await carried_out(origin.url, ORDER)
    assert written.commit
    assert origin.read(name) == overlay.format(1, 2)


async def test_a_manifest_that_kustomize_puts_into_another_namespace_is_not_touched(origin):
    good, bad = (one.replace("  namespace: shop\n", "") for one in (GOOD, BAD))
    for space in ("shop", "staging"):
        origin.commit("kustomize", {f"apps/{space}/kustomization.yaml": f"namespace: {space}\nresources: [web.yaml]\n"})
    both = ("apps/shop/web.yaml", "apps/staging/web.yaml")
    origin.commit("good", {FILE: None, **dict.fromkeys(both, good)})
    origin.commit("bad", dict.fromkeys(both, bad))
    assert (await carried_out(origin.url, ORDER)).commit
    assert [origin.read(one) for one in both] == [good, bad]
    alone = rollback(GOOD, BAD, path="apps/staging", attempt=5)
    assert "no file under apps/staging" in (await carried_out(origin.url, alone)).note


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({FILE: GOOD}, "asks for"),
        ({FILE: None}, "no file under apps"),
        ({FILE: manifest("shop/web:9")}, "brought"),
        ({"apps/again.yaml": BAD, FILE: BAD}, "or several do"),
    ],
)
async def test_what_cannot_be_undone_says_why_and_writes_nothing(origin, change, note):
    origin.commit("some", change)
    written = await carried_out(origin.url, ORDER)
    assert note in written.note
    assert not written.commit
    assert origin.subjects()[0] == "some"


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

    def watched(real, *arguments):
        threads.append(threading.current_thread())
        return real(*arguments)

    for name in ("find", "revisions", "has_configuration"):
        monkeypatch.setattr(rolling, name, partial(watched, getattr(rolling, name)))
    origin.commit("bad", {FILE: BAD})
    assert (await carried_out(origin.url, ORDER)).commit
    assert threads
    assert threading.main_thread() not in threads


async def test_a_long_history_of_the_manifest_is_not_kept_in_memory(origin, monkeypatch):
    made, most = [], 0

    def counted(*arguments, real=rolling.find):
        nonlocal most
        most = max(most, sum(one() is not None for one in made))
        found = real(*arguments)
        made.append(weakref.ref(found))
        return found

    monkeypatch.setattr(rolling, "find", counted)
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


async def test_configuration_from_config_maps_is_left_to_a_person(origin):
    bad = BAD.replace("- name: app\n", "- name: app\n        envFrom: [{configMapRef: {name: shop}}]\n")
    origin.commit("bad", {FILE: bad})
    written = await carried_out(origin.url, rollback(GOOD, bad))
    assert "ConfigMaps" in written.note
    assert origin.subjects()[0] == "bad"


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
    with pytest.raises(RefusedError, match=r"set gitOrigin\.path"):
        await carried_out(origin.url, ORDER)
