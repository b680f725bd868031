"""Where a webhook goes, and where it never does."""

import ipaddress
import socket

import pytest

from controller.effects.carrier import EffectContext, EffectFailedError
from controller.outward.addresses import Addresses
from tests.gate import YES, gate
from tests.unit.effects.calling import FakeSecrets, ask, world


async def test_loopback_is_not_called():
    async with gate(YES) as it:
        for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "0", "[::1]", "[::ffff:127.0.0.1]"):
            with pytest.raises(EffectFailedError, match=r"a loopback address|cannot be resolved"):
                await ask(f"http://{host}:{it.port}/", within=world(listed=()))
        assert not it.requests


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("169.254.169.254", "a link-local address"),
        ("[fe80::1]", "a link-local address"),
        ("[::ffff:169.254.169.254]", "a link-local address"),
        ("[64:ff9b::a9fe:a9fe]", "a link-local address"),
        ("[2002:a9fe:a9fe::1]", "a link-local address"),
        ("[fd00:ec2::254]", "a cloud's metadata service"),
        ("168.63.129.16", "a cloud's metadata service"),
        ("224.0.0.1", "not the address of one server"),
        ("255.255.255.255", "not the address of one server"),
        ("10.96.0.1", "the API server"),
        ("[::ffff:10.96.0.1]", "the API server"),
    ],
)
async def test_a_forbidden_address_is_named(host, why):
    async def api_server():
        return {ipaddress.ip_address("10.96.0.1")}

    with pytest.raises(EffectFailedError) as error:
        await ask(f"http://{host}/", within=EffectContext(FakeSecrets(), Addresses(api_server)))
    assert f"{why}, which Pointsman does not call; use another url" in str(error.value)


async def test_a_name_is_resolved_once_and_that_address_is_called(monkeypatch):
    """A second resolution could say something else (DNS rebinding)."""
    async with gate(YES) as it:
        asked = []

        def resolve(host, port, **_):
            asked.append(host)
            assert len(asked) == 1
            return [(2, 1, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr("controller.outward.addresses.socket.getaddrinfo", resolve)
        done = await ask(f"http://gate.qa.svc:{it.port}/check?a=b")
        assert done.value["result"] == "yes"
        assert it.requests[0].headers["host"] == f"gate.qa.svc:{it.port}"
        assert it.requests[0].line == "POST /check?a=b HTTP/1.1"


async def test_the_next_address_is_tried_when_the_first_does_not_listen(monkeypatch):
    async with gate(YES) as it:
        found = [(2, 1, 6, "", (address, it.port)) for address in ("127.0.0.2", "127.0.0.1")]
        monkeypatch.setattr("controller.outward.addresses.socket.getaddrinfo", lambda *_, **__: found)
        done = await ask(f"http://gate.qa:{it.port}/")
        assert done.value["result"] == "yes"


async def test_an_address_that_swallows_what_is_sent_leaves_time_for_the_next_one(monkeypatch):
    async with gate(YES) as it:
        with socket.socket() as silent:  # its queue is full, so a connection is never answered
            silent.bind(("127.0.0.3", it.port))
            silent.listen(0)
            waiting = [socket.socket() for _ in range(4)]
            for one in waiting:
                one.setblocking(False)  # noqa: FBT003 - socket's own signature
                one.connect_ex(("127.0.0.3", it.port))
            found = [(2, 1, 6, "", (address, it.port)) for address in ("127.0.0.3", "127.0.0.1")]
            monkeypatch.setattr("controller.outward.addresses.socket.getaddrinfo", lambda *_, **__: found)
            done = await ask(f"http://gate.qa:{it.port}/", timeoutSeconds=20)
            for one in waiting:
                one.close()
        assert done.value["result"] == "yes"


async def test_an_api_server_whose_own_name_cannot_be_resolved_is_a_sentence():
    async def api_server():
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    with pytest.raises(
        EffectFailedError, match=r"203\.0\.113\.7 is not called while the API server's addresses are not known"
    ):
        await ask("http://203.0.113.7/", within=EffectContext(FakeSecrets(), Addresses(api_server)))


async def test_one_forbidden_address_among_several_forbids_the_name(monkeypatch):
    found = [(2, 1, 6, "", (address, 80)) for address in ("203.0.113.7", "169.254.169.254")]
    monkeypatch.setattr("controller.outward.addresses.socket.getaddrinfo", lambda *_, **__: found)
    with pytest.raises(EffectFailedError, match=r"gate\.qa is at 169\.254\.169\.254, a link-local address"):
        await ask("http://gate.qa/")


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    async with gate(YES) as proxy, gate(YES) as it:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        await ask(it.url)
        assert not proxy.requests


async def test_a_name_that_is_none_is_a_sentence():
    with pytest.raises(EffectFailedError, match=r"no-such-name\.invalid cannot be resolved: "):
        await ask("http://no-such-name.invalid/")
