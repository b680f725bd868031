"""Which pushes are believed, and which branch of which repository they are about."""

import hashlib
import hmac
import json

import pytest

from controller.sync.webhook import address_of, is_true, named_in, push_of

SECRET = "a word of the forge"  # noqa: S105 - of a test
BODY = b'{"ref": "refs/heads/main"}'
SIGNED = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "headers",
    [{"X-Hub-Signature-256": f"sha256={SIGNED}"}, {"X-Gitea-Signature": SIGNED}, {"X-Gitlab-Token": SECRET}],
    ids=["GitHub", "Gitea", "GitLab"],
)
def test_who_knows_the_secret_is_believed(headers):
    assert is_true(headers, BODY, SECRET)
    assert not is_true(headers, BODY, "another word")
    assert not is_true(headers, BODY, "")
    ((name, value),) = headers.items()
    assert not is_true({name: value[:-1]}, BODY, SECRET)
    assert not is_true({name: f"{value}\u00e9"}, BODY, SECRET)


@pytest.mark.parametrize("name", ["X-Hub-Signature-256", "X-Gitea-Signature"])
def test_a_body_that_was_changed_is_not_believed(name):
    value = f"sha256={SIGNED}" if name.startswith("X-Hub") else SIGNED
    assert not is_true({name: value}, BODY + b" ", SECRET)


def test_without_a_signature_nothing_is_believed():
    assert not is_true({}, BODY, SECRET)


@pytest.mark.parametrize(
    "url",
    [
        "https://git.qa/team/shop.git",
        "https://git.qa/team/shop",
        "https://GIT.qa:8443/team/shop.git/",
        "ssh://git@git.qa:2222/team/shop.git",
        "git@git.qa:team/shop.git",
    ],
)
def test_one_repository_has_one_address(url):
    assert address_of(url) == "git.qa/team/shop"


@pytest.mark.parametrize("url", ["", "shop", "https://", "https://[", "/srv/git/shop.git", "git.qa/team/shop"])
def test_what_is_no_url_has_no_address(url):
    assert address_of(url) == ""


def test_a_push_names_branch_and_repository():
    body = {
        "ref": "refs/heads/team/main",
        "repository": {"clone_url": "https://git.qa/team/shop.git", "ssh_url": "git@git.qa:team/shop.git", "id": 3},
        "project": {"git_http_url": "https://git.qa/group/other.git"},
    }
    push = push_of(json.dumps(body).encode())
    assert push is not None
    assert push.branch == "team/main"
    assert push.repositories == frozenset({"git.qa/team/shop", "git.qa/group/other"})


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b'{"ref": 3}', b'{"ref": "refs/tags/v1"}', b'{"zen": "ping"}', b"[" * 100_000]
)
def test_what_is_no_push_to_a_branch_is_none(body):
    assert push_of(body) is None


def test_addresses_are_found_without_a_parser():
    body = {
        "before": "url",
        "repository": {"clone_url": "https://git.qa/team/shop.git", "ssh_url": "git@git.qa:team/other.git", "url": 3},
    }
    wanted = frozenset({"git.qa/team/shop", "git.qa/team/other"})
    assert named_in(json.dumps(body).encode()) == wanted
    assert named_in(json.dumps(body, indent=2).encode()) == wanted
    assert named_in(json.dumps(body).replace("/", "\\/").encode()) == wanted
    assert named_in(b'url":' + b'"url":"' * 500_000) == frozenset()
    assert named_in(b"{") == frozenset()
