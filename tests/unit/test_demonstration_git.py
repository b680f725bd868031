"""What a demo commits can be taken back by the operator, and goes on from there."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest
import yaml
from aiohttp import web

from controller.api.release_repository import parse_repository
from controller.git.remote import credentials_of
from controller.runtime.listening import listening
from controller.sync.hooks import PATH
from controller.sync.webhook import address_of, is_signed, is_true, push_of
from hack.demonstration import invitations, worker_story
from hack.demonstration.git_server import serving
from hack.demonstration.repository import GITOPS, Repository
from hack.node.trouble import TroubleError
from tests.demonstrated import released
from tests.unit.git.story import carried_out

STORIES = {
    "service": (invitations.FOLDER, None),
    "worker, blue/green": (worker_story.FOLDER, worker_story.FOLDER / "blue-green/strategy.yaml"),
}


@pytest.fixture(params=STORIES)
def repository(request, tmp_path):
    repository = Repository(tmp_path / "git", *STORIES[request.param], host=partial(serving, address="127.0.0.1"))
    with repository.hosted():
        yield repository


async def test_a_bad_version_is_taken_back_where_the_demo_pushes_and_the_next_one_follows(repository):
    good, order = released(repository)
    credentials = credentials_of(dict(repository.server.secret))
    written = await carried_out(repository.server.url, order, credentials=credentials)
    assert written.commit, written.note
    repository.pull()
    assert repository.manifest.read_text() == good
    repository.commit("version 4", VERSION="4", ERROR_RATE="0")
    subjects = [line.partition(" ")[2] for line in repository.history()]
    assert subjects == [
        "A developer: version 4",
        f"Pointsman: Roll back {order.identity} to {order.stable}",
        *(f"A developer: version {number}" for number in (3, 2, 1)),
    ]


def test_nobody_reads_or_writes_without_the_password(tmp_path):
    repository = Repository(tmp_path / "git", invitations.FOLDER)
    with serving(tmp_path / "server", "git.friends", address="127.0.0.1") as server:
        repository.create(replace(server, password="guessed"))  # noqa: S106 - a wrong one
        with pytest.raises(TroubleError, match="ls-remote"):
            repository.commit("version 1", VERSION="1")


async def test_each_push_is_said_where_the_cluster_listens_as_gitea_says_it(repository):
    heard = []

    async def hook(request):
        body = await request.read()
        heard.append((push_of(body), is_signed(request.headers), is_true(request.headers, body, "a word")))
        return web.Response(status=202)

    async with listening([web.post(PATH, hook)], "127.0.0.1", 0, most=4) as port:
        repository.server.announce(f"http://127.0.0.1:{port}{PATH}", "a word")
        commits = []
        for number in (1, 2):
            commits.append(await asyncio.to_thread(repository.commit, f"version {number}", VERSION=str(number)))
            async with asyncio.timeout(30):
                while len(heard) < number:  # noqa: ASYNC110 - git has ended before the server says it
                    await asyncio.sleep(0.05)
    pushes = [push for push, _, _ in heard]
    assert [push and push.commit for push in pushes] == commits, "the same words twice would be one push"
    assert {push and push.branch for push in pushes} == {"main"}
    assert all(push and address_of(repository.server.pods_url) in push.repositories for push in pushes)
    assert all(signed and true for _, signed, true in heard)


def test_the_account_may_apply_what_the_repository_holds_and_read_what_opens_it(repository):
    objects = list(yaml.safe_load_all((GITOPS / "demo/sync.yaml").read_text()))
    (role,) = (each for each in objects if each["kind"] == "Role" and each["metadata"]["name"] == "deployer")
    (followed,) = (each for each in objects if each["kind"] == "ReleaseRepository")
    spec = parse_repository(followed["spec"])
    assert spec.account == role["metadata"]["name"]
    may = {resource: rule for rule in role["rules"] for resource in rule["resources"]}
    assert spec.secret is not None
    assert spec.webhook is not None
    assert {spec.secret.name, spec.webhook.secret.name} == set(may["secrets"]["resourceNames"])
    committed = [
        document
        for file in repository.directory.rglob("*.yaml")
        for document in yaml.safe_load_all(file.read_text())
        if document.get("$patch") != "delete"
    ]
    kinds = {each["kind"].lower() for each in committed} - {"kustomization", "horizontalpodautoscaler"}
    assert "release" in kinds
    for kind in kinds:
        plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
        assert {"get", "list", "create", "patch"} <= set(may[plural]["verbs"]), plural
