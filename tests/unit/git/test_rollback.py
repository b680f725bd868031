"""What git has after a rollback, by the numbered rules of "Going back", with real repositories."""

import asyncio

import pytest

from controller.api.git_origin import Write
from controller.git.remote import GitError
from controller.git.rollback import Written
from tests.git_server import git
from tests.unit.git.killed import kill_at_random
from tests.unit.git.story import (
    BAD,
    FILE,
    GOOD,
    ORDER,
    Forge,
    carried_out,
    manifest,
    revision,
    rollback,
)


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


async def test_rule_4_a_branch_on_which_others_are_always_faster_is_tried_five_times(origin):
    """Then the effect's back-off comes, and no pull request: nobody has refused anything."""
    origin.commit("bad", {FILE: BAD})
    outside = "env -u GIT_QUARANTINE_PATH -u GIT_OBJECT_DIRECTORY -u GIT_ALTERNATE_OBJECT_DIRECTORIES"
    commit = f"{outside} git -c user.name=p -c user.email=p@x commit-tree -p main -m faster main^{{tree}}"
    origin.hook("pre-receive", f"{outside} git update-ref refs/heads/main $({commit})\nexit 1")
    forge = Forge()
    with pytest.raises(GitError, match="main took none of 5 pushes"):
        await carried_out(origin.url, ORDER, forge)
    assert origin.subjects() == [*["faster"] * 5, "bad", "first"]
    assert forge.asked == []


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


@pytest.mark.parametrize(("what", "kills"), [("rollbacks", 16), ("retries", 8), ("records", 8), ("reports", 8)])
def test_rule_5_however_often_its_process_is_killed_it_is_there_once(tmp_path, what, kills):
    """`python -m tests.unit.git.killed --kills 120` is the same for longer."""
    found = kill_at_random(what, tmp_path, kills)
    assert found.kills >= kills
    assert (found.twice, found.lost) == (0, 0)


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


async def test_two_commits_that_were_pushed_together_are_both_taken_back(origin):
    good = git(origin.bare, "rev-parse", "main").strip()
    first = origin.commit("bad, one", {FILE: manifest("shop/web:2")})
    origin.commit("beside it", {"apps/api.yaml": "kind: Job\n"})
    bad = manifest("shop/web:2").replace("- name: app\n", "- name: app\n        tty: true\n")
    second = origin.commit("bad, two", {FILE: bad})
    origin.commit("more pods", {FILE: bad.replace("replicas: 3", "replicas: 5")})
    written = await carried_out(origin.url, rollback(GOOD, bad))
    assert written.commit
    assert origin.read(FILE) == manifest(replicas=5)
    message = origin.message()
    assert f"This takes back what {first[:10]} and {second[:10]} changed in the Release" in message
    assert f"Pointsman-Restored-Commit: {good}" in message
    assert [one for one in origin.subjects() if one.startswith("Roll back")] == [origin.subjects()[0]]


async def test_a_rollback_to_an_older_version_takes_back_what_came_since(origin):
    for number in (2, 3, 4):
        origin.commit(f"version {number}", {FILE: manifest(f"shop/web:{number}", replicas=number)})
    written = await carried_out(origin.url, rollback(GOOD, manifest("shop/web:4")))
    assert written.commit
    assert origin.read(FILE) == manifest(replicas=4)


async def test_of_many_commits_that_were_pushed_together_the_message_names_the_newest(origin):
    for number in range(25):
        bad = manifest(f"shop/web:bad{number}")
        last = origin.commit(f"bad {number}", {FILE: bad})
    await carried_out(origin.url, rollback(GOOD, bad))
    assert "This takes back what 5 more, " in origin.message()
    assert f" and {last[:10]} changed" in origin.message()
