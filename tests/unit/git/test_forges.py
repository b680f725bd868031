"""Each forge's API, answered by a server that is as strict as its documentation."""

import json
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest

from controller.api.git_origin import Forge
from controller.git import forge as module
from controller.git.forges import calls
from controller.git.forges.calls import PullRequest
from controller.git.remote import Credentials, GitError, Remote
from tests.unit.git.story import anywhere

TOKEN = "the-token-of-the-robot"  # noqa: S105 - of nothing
WANTED = PullRequest("pointsman/rollback-web-b", "release/1", "Roll back web", "because")
URL = "https://git.qa/pulls/7"


class Strict(httpx.AsyncBaseTransport):
    """One repository, `team/shop`, of one forge."""

    def __init__(self, forge):
        self.forge, self.open, self.created, self.status = forge, False, [], 0

    async def aclose(self):
        """It is used again."""

    def __call__(self, resolve, tls):
        return self

    async def handle_async_request(self, request):
        if self.status:
            return httpx.Response(self.status, stream=httpx.ByteStream(b"no"))
        url = urlsplit(str(request.url))
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        answer = getattr(self, self.forge.lower())(request, url, query)
        return httpx.Response(answer[0], stream=httpx.ByteStream(json.dumps(answer[1]).encode()))

    def opened(self, request, wanted, key):
        body = json.loads(request.content)
        assert set(body) == set(wanted)
        assert {name: body[name] for name, value in wanted.items() if value is not None} == {
            name: value for name, value in wanted.items() if value is not None
        }
        if self.open:
            return 409, {}
        self.created.append(body)
        self.open = True
        return 201, {key: URL}

    def gitea(self, request, url, query):
        assert request.headers["Authorization"] == f"token {TOKEN}"
        base = "/api/v1/repos/team/shop/pulls"
        if request.method == "GET":
            assert url.path == f"{base}/release%2F1/pointsman/rollback-web-b"
            return (200, {"state": "open", "html_url": URL}) if self.open else (404, {})
        assert (url.netloc, url.path) == ("git.qa:8443", base)
        wanted = {"head": WANTED.head, "base": WANTED.base, "title": WANTED.title, "body": WANTED.text}
        return self.opened(request, wanted, "html_url")

    def github(self, request, url, query):
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        assert request.headers["X-GitHub-Api-Version"] == "2022-11-28"
        assert (url.netloc, url.path) == ("git.qa:8443", "/api/v3/repos/team/shop/pulls")
        if request.method == "GET":
            assert query == {"state": "open", "head": f"team:{WANTED.head}", "base": WANTED.base}
            return 200, [{"html_url": URL}] if self.open else []
        wanted = {"head": WANTED.head, "base": WANTED.base, "title": WANTED.title, "body": WANTED.text}
        return self.opened(request, wanted, "html_url")

    def gitlab(self, request, url, query):
        assert request.headers["PRIVATE-TOKEN"] == TOKEN
        assert unquote(url.path) == "/api/v4/projects/team/shop/merge_requests"
        assert "team%2Fshop" in url.path
        if request.method == "GET":
            assert query == {"state": "opened", "source_branch": WANTED.head, "target_branch": WANTED.base}
            return 200, [{"web_url": URL}] if self.open else []
        wanted = {
            "source_branch": WANTED.head,
            "target_branch": WANTED.base,
            "title": WANTED.title,
            "description": WANTED.text,
            "remove_source_branch": True,
        }
        return self.opened(request, wanted, "web_url")


@pytest.fixture(params=list(Forge))
def server(request, monkeypatch):
    server = Strict(request.param)
    monkeypatch.setattr(calls, "CheckedTransport", server)
    return server


def propose(server, url="https://git.qa:8443/team/shop.git", token=TOKEN):
    remote = Remote(url, Credentials("robot", token))
    opening = module.proposing(server.forge, remote, anywhere, WANTED.base)
    return opening(WANTED.head, WANTED.title, WANTED.text)


async def test_a_pull_request_is_opened_once(server):
    assert await propose(server) == URL
    assert await propose(server) == URL
    assert len(server.created) == 1


@pytest.mark.parametrize("status", [301, 401, 403, 422, 500])
async def test_a_refusal_is_said_without_the_token(server, status):
    server.status = status
    with pytest.raises(GitError, match=str(status)) as error:
        await propose(server)
    assert TOKEN not in str(error.value)


async def test_without_a_token_a_person_has_to_open_it(server):
    assert await propose(server, token="") == ""
    assert server.created == []


@pytest.mark.parametrize(("host", "known"), [("git.qa", False), ("github.com", True)])
async def test_a_forge_is_known_by_its_host(monkeypatch, host, known):
    asked = []

    async def open_pull_request(api, wanted):
        asked.append(api.host)
        return URL

    ways = {one: module._Ways(open_pull_request, found.status, found.comment) for one, found in module._FORGES.items()}
    monkeypatch.setattr(module, "_FORGES", ways)
    remote = Remote(f"https://{host}/team/shop.git", Credentials("robot", TOKEN))
    assert await module.proposing(None, remote, anywhere, "main")("h", "t", "b") == (URL if known else "")
    assert asked == ([host] if known else [])


@pytest.mark.parametrize("token", ["p\u00e4ssword", "two\nlines"])
async def test_a_password_that_is_no_header_is_said_without_it(server, token):
    with pytest.raises(GitError, match="no token for an API") as error:
        await propose(server, token=token)
    assert token not in str(error.value)
    assert server.created == []


@pytest.mark.parametrize("url", ["http://git.qa/1", "https://git.qa/\x1b[2J", "https://git.qa/" + "x" * 2_000, 7])
async def test_what_a_forge_says_is_no_url_is_not_passed_on(url):
    with pytest.raises(GitError, match="html_url"):
        calls.url_in({"html_url": url}, "html_url")
