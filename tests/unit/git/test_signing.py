"""Commits signed with a real key, which git itself verifies, and the Secrets that say what they are for."""

import asyncio
import base64
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from controller.api.git_origin import Write
from controller.effects.git_secret import covers, git_secret
from controller.git.remote import GitError
from controller.git.signing import signing_key
from controller.kube.secrets import SecretError
from tests.openpgp import gnupg_home, gpg, openpgp_key
from tests.unit.git.story import BAD, FILE, GOOD, ORDER, carried_out, rollback
from tests.unit.git.test_rollback_faults import commands_of_git

ADDRESS = "pointsman@shop.qa"


def make_key(folder, *, kind="ed25519", passphrase=""):
    path = folder / f"key-{kind}-{len(passphrase)}"
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    return path.read_text(), path.with_suffix(".pub").read_text()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {kind: make_key(folder, kind=kind) for kind in ("ed25519", "ecdsa")} | {
        "secret": make_key(folder, passphrase="of a person")  # noqa: S106 - of nothing
    }


def is_signed(origin, tmp_path, public, name="main"):
    """As git says it. Raises where it does not."""
    signers = tmp_path / "signers"
    signers.write_text(f"{ADDRESS} {public}")
    said = ("-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-commit", "--raw", name)
    done = subprocess.run(["git", *said], cwd=origin.bare, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return f'Good "git" signature for {ADDRESS}' in done.stderr


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", ""])
async def test_git_verifies_the_commit_of_a_rollback(origin, tmp_path, keys, kind, line_end):
    private, public = keys[kind]
    text = private.replace("\n", line_end) if line_end else private.rstrip()
    origin.commit("bad", {FILE: BAD})
    signed = signing_key({"identity": text}, "shop-signing")
    assert (await carried_out(origin.url, ORDER, signed=signed)).commit
    assert is_signed(origin, tmp_path, public)
    assert origin.read(FILE) == GOOD


async def test_a_branch_that_takes_signed_commits_only_takes_it_and_a_pull_request_has_one(origin, tmp_path, keys):
    private, public = keys["ecdsa"]
    origin.commit("bad", {FILE: BAD})
    signers = tmp_path / "allowed"
    signers.write_text(f"{ADDRESS} {public}")
    verified = f'git -c gpg.ssh.allowedSignersFile={signers} verify-commit "$3"'
    origin.hook("update", f'[ "$1" != refs/heads/main ] || {verified}')
    assert (await carried_out(origin.url, ORDER)).proposed, "a person may sign it"
    signed = signing_key({"ssh-privatekey": private}, "shop-signing")
    assert (await carried_out(origin.url, ORDER, signed=signed)).commit
    proposed = rollback(GOOD, BAD, write=Write.PULL_REQUEST, attempt=5)
    origin.pull()
    origin.hook("update", "")
    origin.commit("bad again", {FILE: BAD})
    assert is_signed(origin, tmp_path, public, (await carried_out(origin.url, proposed, signed=signed)).proposed)


async def test_the_key_is_in_no_argument_and_on_no_disk_afterwards(origin, tmp_path, monkeypatch, keys):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    origin.commit("bad", {FILE: BAD})
    private = keys["ed25519"][0]
    seen: set[bytes] = set()

    async def watch():
        while True:
            seen.update(await asyncio.to_thread(commands_of_git))

    watching = asyncio.create_task(watch())
    signed = signing_key({"identity": private}, "shop-signing")
    await carried_out(origin.url, ORDER, signed=signed)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    body = private.splitlines()[1]
    assert body not in repr(signed)
    assert seen
    assert not any(body.encode() in one for one in seen)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [("not a key", "is no private SSH key"), ("", "needs a private key"), (None, "has a passphrase")],
)
async def test_a_key_that_cannot_sign_is_one_sentence_without_it(origin, keys, text, problem):
    origin.commit("bad", {FILE: BAD})
    private = keys["secret"][0] if text is None else text
    with pytest.raises(GitError, match=problem) as error:
        await carried_out(origin.url, ORDER, signed=signing_key({"identity": private}, "shop-signing"))
    assert "Secret shop-signing" in str(error.value)
    assert "\n" not in str(error.value)
    assert not any(len(line) > 20 and line in str(error.value) for line in private.splitlines())
    assert origin.subjects()[0] == "bad"


@pytest.fixture
def scratch(monkeypatch):
    """Where copies are made. The path is short: gpg's agent has a socket there."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        yield Path(folder)


async def nothing_is_left(scratch):
    def agents():
        return [one for one in commands_of_git() if b"gpg-agent" in one and str(scratch).encode() in one]

    async with asyncio.timeout(30):
        while await asyncio.to_thread(agents):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
    assert list(scratch.iterdir()) == []


@pytest.fixture(scope="module")
def openpgp(tmp_path_factory):
    return {
        "good": openpgp_key(ADDRESS),
        "with a passphrase": openpgp_key(ADDRESS, passphrase="of a person"),  # noqa: S106 - of nothing
        "expired": openpgp_key(ADDRESS, expired=True),
        "for certificates alone": openpgp_key(ADDRESS, usage="cert"),
    }


async def test_git_verifies_a_commit_that_an_openpgp_key_signed_and_no_agent_is_left(origin, scratch, openpgp):
    origin.commit("bad", {FILE: BAD})
    private, public = openpgp["good"]
    assert (await carried_out(origin.url, ORDER, signed=signing_key({"git.asc": private}, "shop-signing"))).commit
    assert origin.read(FILE) == GOOD
    with gnupg_home() as home:
        gpg(home, "--import", said=public)
        done = subprocess.run(  # noqa: ASYNC221 - at the end
            ["git", "verify-commit", "--raw", "main"],
            cwd=origin.bare,
            env={"PATH": os.environ["PATH"], "GNUPGHOME": home},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    assert f"<{ADDRESS}>" in next(line for line in done.stderr.splitlines() if "GOODSIG" in line)
    await nothing_is_left(scratch)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("with a passphrase", "has a passphrase"),
        ("expired", "has expired"),
        ("for certificates alone", "does not sign"),
        ("public", "has 0 private OpenPGP keys under git.asc"),
        ("two", "has 2 private OpenPGP keys"),
        ("none", "has 0 private OpenPGP keys"),
    ],
)
async def test_an_openpgp_key_that_cannot_sign_is_one_sentence_without_it(origin, scratch, openpgp, kind, problem):
    origin.commit("bad", {FILE: BAD})
    others = {
        "public": openpgp["good"][1],
        "two": openpgp["good"][0] + openpgp["with a passphrase"][0],
        "none": "not a key",
    }
    private = others[kind] if kind in others else openpgp[kind][0]
    with pytest.raises(GitError, match=problem) as error:
        await carried_out(origin.url, ORDER, signed=signing_key({"git.asc": private}, "shop-signing"))
    assert "Secret shop-signing" in str(error.value)
    assert "\n" not in str(error.value)
    assert not any(len(line) > 20 and line in str(error.value) for line in private.splitlines())
    assert origin.subjects()[0] == "bad"
    await nothing_is_left(scratch)


async def test_an_image_without_gpg_is_said_in_a_sentence(origin, openpgp, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    for name in ("git", "sh"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(GitError, match="the operator's image has no gpg"):
        await carried_out(origin.url, ORDER, signed=signing_key({"git.asc": openpgp["good"][0]}, "shop-signing"))


@pytest.mark.parametrize(
    ("prefix", "url", "is_covered"),
    [
        ("https://git.qa/team", "https://git.qa/team/shop.git", True),
        ("https://git.qa", "https://git.qa/team/shop.git", True),
        ("https://git.qa:443/team/", "https://GIT.qa/team/shop.git", True),
        ("https://git.qa/team/shop.git", "https://git.qa/team/shop.git", True),
        ("ssh://git@git.qa/team", "ssh://git@git.qa:22/team/shop.git", True),
        ("https://git.qa/team", "https://git.qa/teams/shop.git", False),
        ("https://git.qa/team", "https://git.qa/other/shop.git", False),
        ("https://git.qa/team", "https://git.qa/team/../other/shop.git", False),
        ("https://git.qa/team", "https://git.qa/team/%2e%2e/other.git", False),
        ("https://git.qa/team", "https://git.qa.evil/team/shop.git", False),
        ("https://git.qa/team", "https://git.qa:8443/team/shop.git", False),
        ("https://git.qa/team", "ssh://git@git.qa/team/shop.git", False),
        ("https://", "https://git.qa/team/shop.git", False),
        ("", "https://git.qa/team/shop.git", False),
        ("https://git.qa:no/", "https://git.qa/team/shop.git", False),
    ],
)
def test_a_secret_covers_what_begins_with_its_urls(prefix, url, is_covered):
    assert covers(prefix, url) is is_covered


class Server:
    def __init__(self, **annotations):
        self.annotations = annotations

    async def find(self, resource, namespace, name):
        data = {"password": base64.b64encode(b"word-of-the-robot").decode()}
        return {"metadata": {"name": name, "annotations": self.annotations}, "data": data}


async def test_a_secret_that_is_not_marked_for_a_repository_is_not_sent_there():
    marked = Server(**{"pointsman.dev/git-urls": "https://git.qa/team, ssh://git@git.qa/x"})
    assert await git_secret(marked, "shop", "git", "https://git.qa/team/shop.git") == {"password": "word-of-the-robot"}
    for server in (marked, Server()):
        with pytest.raises(SecretError, match=r"annotate it with pointsman\.dev/git-urls") as error:
            await git_secret(server, "shop", "git", "https://evil.qa/team/shop.git")
        assert "word-of-the-robot" not in str(error.value)
