"""Whose secrets are tried when a forge calls, and what a call costs."""

import base64
import contextlib
import hashlib
import hmac
import io
import json

import aiohttp
import pytest

from controller.api.release_repository import RepositorySpec, parse_repository
from controller.kube.objects import Key
from controller.runtime.listening import listening
from controller.sync import hooks
from controller.sync.hooks import PATH, Hooks, fairly

WORD = "a word of the forge"
SPEC: RepositorySpec = parse_repository(
    {
        "url": "https://git.qa/team/shop.git",
        "serviceAccountName": "deployer",
        "webhook": {"secretRef": {"name": "hook", "key": "token"}},
    }
)
PUSH = {"ref": "refs/heads/main", "after": "c" * 40, "repository": {"clone_url": SPEC.url}}


def test_one_namespace_does_not_take_the_places_of_all_others():
    crowd = [(Key("aaa", f"copy-{number}"), SPEC) for number in range(50)]
    found = fairly([*crowd, (Key("shop", "shop"), SPEC)], 20)
    assert len(found) == 20
    assert found[:2] == [crowd[0], (Key("shop", "shop"), SPEC)]


class Following:
    """As far as webhooks need it: one ReleaseRepository, and a Secret."""

    def __init__(self):
        self.poked = []

    def followers(self):
        return [(Key("shop", "shop"), SPEC)]

    def poke(self, key, *, delivery, commit):
        self.poked.append((key.name, delivery, commit))
        return len(self.poked) == 1

    def acting_as(self, namespace, account):
        return self

    async def find(self, resource, namespace, name):
        return {"metadata": {}, "data": {"token": base64.b64encode(WORD.encode()).decode()}}


@contextlib.asynccontextmanager
async def hooked():
    following = Following()
    routes = Hooks(following, following, lambda: True).routes()  # type: ignore[arg-type]
    async with listening(routes, "127.0.0.1", 0, most=4) as port:

        async def send(raw, word=WORD):
            signature = hmac.new(word.encode(), raw, hashlib.sha256).hexdigest()
            headers = {"X-Hub-Signature-256": f"sha256={signature}"}
            url = f"http://127.0.0.1:{port}{PATH}"
            async with (
                aiohttp.ClientSession() as session,
                session.post(url, data=io.BytesIO(raw), headers=headers) as answer,
            ):
                return answer.status, await answer.text()

        yield send, following


async def test_a_push_is_believed_and_the_same_one_again_fetches_nothing():
    raw = json.dumps(PUSH).encode()
    async with hooked() as (send, following):
        assert (await send(raw))[0] == 202
        assert await send(raw) == (200, "nothing to do: it was fetched already\n")
    assert following.poked == [("shop", hashlib.sha256(raw).digest(), "c" * 40)] * 2


async def test_what_nobody_has_signed_is_not_parsed(monkeypatch):
    """A body of 4 MiB becomes a hundred in a parser."""

    def fails(_):
        raise AssertionError("it was parsed")

    monkeypatch.setattr(hooks, "push_of", fails)
    hostile = json.dumps(PUSH).encode()[:-1] + b', "x": [' + b"[]," * 1_000_000 + b"[]]}"
    async with hooked() as (send, following):
        assert (await send(hostile, "another word"))[0] == 403
        assert (await send(b'{"ref": "refs/heads/main"}'))[0] == 403, "it names no repository"
    assert following.poked == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ref": "refs/tags/v1"}, "no push to a branch"),
        ({"ref": "refs/heads/other"}, "follows the branch"),
        ({"repository": {}, "commits": [{"url": SPEC.url}]}, "follows the branch"),
    ],
)
async def test_who_knows_the_secret_learns_why_nothing_is_fetched(change, sentence):
    async with hooked() as (send, following):
        status, text = await send(json.dumps({**PUSH, **change}).encode())
    assert status == 200
    assert sentence in text
    assert following.poked == []
