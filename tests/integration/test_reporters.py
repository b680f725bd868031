"""Who may report to a share ledger, as the shipped role and a real API server have it."""

import asyncio

import pytest

from controller.kube.callers import Callers
from controller.kube.objects import Key
from controller.kube.reporters import ROLE, Reporters
from tests.integration.rights_fixture import bind, connected, control_plane, install
from tests.integration.service_accounts import token_for

NAMESPACE = "default"
RELEASE = Key(NAMESPACE, "thumbnails")


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    with control_plane(tmp_path_factory.mktemp("reporters")) as running:
        yield running


@pytest.fixture
async def admin(plane):
    async with connected(plane, "admin", group="system:masters") as kube:
        yield kube


async def test_the_role_that_ships_lets_a_service_account_report_in_its_namespace_and_nothing_else_does(admin):
    await install(admin, "roles-people.yaml")
    caller = await Callers(admin).caller(await token_for(admin, NAMESPACE, audience="pointsman"))
    assert caller.username == f"system:serviceaccount:{NAMESPACE}:worker"
    assert "system:serviceaccounts" in caller.groups
    await bind(admin, {caller.username: ["edit", "pointsman-edit", "pointsman-operate", "pointsman-approve"]})
    assert not await Reporters(admin).may_report(caller, RELEASE)
    await bind(admin, {caller.username: [ROLE]})
    async with asyncio.timeout(30):
        while not await Reporters(admin).may_report(caller, RELEASE):  # noqa: ASYNC110 - RBAC takes a moment
            await asyncio.sleep(0.1)
    assert not await Reporters(admin).may_report(caller, Key("kube-system", "thumbnails"))
