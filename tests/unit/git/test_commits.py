"""Which commit brought a version."""

import pytest

from controller.git.commits import commit_that_brought
from controller.git.order import NothingError
from controller.git.plain import PlainView
from controller.git.remote import Remote
from controller.git.repository import opened
from tests.unit.git.story import BAD, FILE, GOOD, ORDER, TESTED, WEB, anywhere, manifest


async def found(origin, revision, path="apps"):
    async with opened(Remote(origin.url, schemes=TESTED), anywhere) as repository:
        return await commit_that_brought(repository, PlainView(repository, WEB, "main", path), "main", revision)


async def test_it_is_the_one_that_brought_it_and_none_of_those_after(origin):
    brought = origin.commit("bad", {FILE: BAD})
    origin.commit("replicas", {FILE: BAD.replace("replicas: 3", "replicas: 5")})
    origin.commit("another app", {"other/x.yaml": "a: 2\n"})
    assert await found(origin, ORDER.rejected) == brought


async def test_a_version_that_came_twice_is_the_later_time(origin):
    origin.commit("bad", {FILE: BAD})
    origin.commit("good", {FILE: GOOD})
    again = origin.commit("bad again", {FILE: BAD})
    assert await found(origin, ORDER.rejected) == again


async def test_a_version_that_something_newer_has_replaced_is_found(origin):
    brought = origin.commit("bad", {FILE: BAD})
    origin.commit("newer", {FILE: manifest("shop/web:3")})
    assert await found(origin, ORDER.rejected) == brought


async def test_the_first_commit_brought_the_first_version(origin):
    assert await found(origin, ORDER.stable)


async def test_a_version_that_is_not_there_is_said(origin):
    with pytest.raises(NothingError, match="brought nothing123"):
        await found(origin, "nothing123")
