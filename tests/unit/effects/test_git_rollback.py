"""The commit after a rollback, as the outbox has it written: over TLS, with a Secret, and whatever is missing."""

import asyncio
import base64
import contextlib

import pytest

from controller.api.effect import Effect
from controller.api.fields import Place, parse
from controller.api.names import GIT_URLS
from controller.api.reading import SpecError
from controller.api.resources import RELEASES, SECRETS
from controller.effects.carrier import EffectContext, EffectFailedError, EffectRefusedError
from controller.effects.git_rollback import EXAMPLE, Config, GitRollback
from controller.effects.git_source import GIT_REPOSITORIES, KUSTOMIZATIONS
from controller.kube.client import InvalidError
from controller.kube.objects import Key
from controller.outward.addresses import Addresses
from tests.gate import LOOPBACK_NETWORK
from tests.git_fixture import certificate, server
from tests.git_server import PASSWORD, USER, Origin, git
from tests.unit.effects.calling import NoPods, no_api_server
from tests.unit.git.story import BAD, FILE, GOOD, ORDER, WEB

__all__ = ["certificate", "server"]

OWNER = Key(WEB.namespace, WEB.name)
ROTATED = "the-new-one"
FLUX_LABELS = ("name", "namespace")


class Secrets(NoPods):
    def __init__(self, data, urls):
        self.data, self.urls, self.error = data, urls, None

    async def find(self, resource, namespace, name):
        assert (resource, namespace, name) == (SECRETS, "shop", "shop-git")
        if self.error is not None:
            raise self.error
        if self.data is None:
            return None
        data = {key: base64.b64encode(value.encode()).decode() for key, value in self.data.items()}
        return {"metadata": {"annotations": {GIT_URLS: self.urls}}, "data": data}


@pytest.fixture
def origin(tmp_path):
    origin = Origin(tmp_path / "git")
    origin.commit("first", {FILE: GOOD})
    origin.commit("bad", {FILE: BAD})
    return origin


@pytest.fixture
def secrets(certificate, server):
    return Secrets({"username": USER, "password": PASSWORD, "ca.crt": certificate.chain.read_text()}, server.url)


def carrier(secrets, *, listed=(LOOPBACK_NETWORK,)):
    return GitRollback(EffectContext(secrets, Addresses(no_api_server, listed=listed), cluster=WEB.cluster))


def effect(url):
    payload = {
        **EXAMPLE,
        "origin": {**EXAMPLE["origin"], "url": url},
        "revision": ORDER.rejected,
        "stable": ORDER.stable,
    }
    return Effect("git.x.3", "git", payload)


async def failure(secrets, url, **more):
    with pytest.raises(EffectFailedError) as error:
        await carrier(secrets, **more).carry_out(OWNER, effect(url))
    assert PASSWORD not in str(error.value)
    return str(error.value)


async def test_it_is_committed_and_pushed(origin, server, secrets):
    done = await carrier(secrets).carry_out(OWNER, effect(f"{server.url}/shop.git"))
    assert done.value["commit"]
    assert done.again_in is None
    assert origin.read(FILE) == GOOD


class FromFlux(Secrets):
    """Its Kustomization follows another branch than gitOrigin's default."""

    def __init__(self, data, urls, url):
        super().__init__(data, urls)
        self.sources = {
            KUSTOMIZATIONS: {
                "spec": {"path": "./apps", "sourceRef": {"kind": "GitRepository", "name": "shop"}},
                "status": {"inventory": {"entries": [{"id": "shop_web_pointsman.dev_Release", "v": "v1alpha1"}]}},
            },
            GIT_REPOSITORIES: {"spec": {"url": url, "ref": {"branch": "release"}, "secretRef": {"name": "shop-git"}}},
        }

    async def find(self, resource, namespace, name):
        if resource == RELEASES:
            return {"metadata": {"labels": {f"kustomize.toolkit.fluxcd.io/{key}": "shop" for key in FLUX_LABELS}}}
        return await super().find(resource, namespace, name)

    async def get(self, resource, namespace, name):
        assert (namespace, name) == ("shop", "shop")
        return self.sources[resource]


async def test_it_goes_to_the_branch_that_flux_follows(origin, server, secrets):
    git(origin.bare, "branch", "release", "main")
    cluster = FromFlux(secrets.data, secrets.urls, f"{server.url}/shop.git")
    wanted = effect("")
    del wanted.payload["origin"]["url"], wanted.payload["origin"]["secretRef"]
    done = await carrier(cluster).carry_out(OWNER, wanted)
    assert done.value["commit"]
    assert (origin.read(FILE, "release"), origin.read(FILE)) == (GOOD, BAD)


async def test_credentials_that_were_rotated_work_with_the_next_try(origin, server, secrets):
    server.http.password = ROTATED
    assert "git fetch" in await failure(secrets, f"{server.url}/shop.git")
    secrets.data["password"] = ROTATED
    assert (await carrier(secrets).carry_out(OWNER, effect(f"{server.url}/shop.git"))).value["commit"]


async def test_a_server_that_is_not_trusted_gets_no_password(server, secrets):
    del secrets.data["ca.crt"]
    assert "certificate" in await failure(secrets, f"{server.url}/shop.git")
    assert server.requests == []


async def test_a_server_that_hangs_is_left_when_the_time_is_up(server, secrets):
    server.hanging.set()
    calling = asyncio.create_task(carrier(secrets).carry_out(OWNER, effect(f"{server.url}/shop.git")))
    async with asyncio.timeout(60):
        while not server.requests:  # noqa: ASYNC110 - what a server was sent
            await asyncio.sleep(0.02)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling


async def test_loopback_is_not_called_for_a_tenant(server, secrets):
    said = await failure(secrets, f"{server.url}/shop.git", listed=())
    assert "loopback" in said
    assert server.requests == []


async def test_a_secret_that_may_not_be_read_is_said(server, secrets):
    secrets.error = InvalidError(403, "Forbidden", "secrets is forbidden")
    assert "allow it with a Role" in await failure(secrets, f"{server.url}/shop.git")


async def test_a_secret_that_is_missing_is_said(server, secrets):
    secrets.data = None
    assert "Secret shop/shop-git does not exist; create it" in await failure(secrets, f"{server.url}/shop.git")


@pytest.mark.parametrize("url", ["file:///etc", "http://git.qa/x.git", "ext::sh", "https://u:p@git.qa/x", "git.qa:x"])
async def test_other_urls_are_refused(secrets, url):
    with pytest.raises(EffectRefusedError):
        await carrier(secrets).carry_out(OWNER, effect(url))


@pytest.mark.parametrize(
    "host",
    ["git%2eqa", "+git.qa", "-oProxyCommand=x", "$(id)", ";id", "`id`", "git.qa\\.x", "'x", "*", "[::1"],
)
@pytest.mark.parametrize("scheme", ["https", "ssh"])
async def test_a_host_that_git_or_a_shell_reads_otherwise_than_the_check_is_refused(secrets, scheme, host):
    with pytest.raises(EffectRefusedError):
        await carrier(secrets).carry_out(OWNER, effect(f"{scheme}://{host}/x.git"))


async def test_with_never_nothing_is_written(origin, server, secrets):
    never = effect(f"{server.url}/shop.git")
    never.payload["origin"]["write"] = "Never"
    with pytest.raises(EffectRefusedError, match="Never"):
        await carrier(secrets).carry_out(OWNER, never)
    assert server.requests == []


async def test_the_name_of_a_foreign_file_cannot_steer_a_terminal(origin, server, secrets):
    odd = "apps/\x1b]0;owned\x07\n\u202eweb.yaml"
    origin.commit("odd", {FILE: None, odd: BAD.replace("template:\n", "template: {spec: {containers: 7}}\n  x:\n")})
    done = await carrier(secrets).carry_out(OWNER, effect(f"{server.url}/shop.git"))
    assert "web.yaml" in done.value["note"]
    assert done.value["note"].isprintable()


@pytest.mark.parametrize(
    ("name", "taken"), [("...", False), ("a\x1b[2Jb", False), ("\u65e5\u672c", True), ("J. D.", True)]
)
def test_an_author_is_one_that_git_takes_and_a_terminal_can_show(name, taken):
    payload = {**EXAMPLE, "origin": {**EXAMPLE["origin"], "author": {"name": name, "email": "p@shop.qa"}}}
    with contextlib.nullcontext() if taken else pytest.raises(SpecError):
        parse(Config, payload, Place("x"))
