"""Mails against a real SMTP server."""

import asyncio
import base64
import logging
import ssl

import pytest

from controller.api.choice import OneOf
from controller.api.effect import Effect
from controller.api.fields import Place
from controller.api.mail import MailServer, TlsMode
from controller.api.notice import Notice, Notification, Topic
from controller.api.notify import NOTIFY
from controller.api.reading import SpecError
from controller.effects import mailing, notify
from controller.effects.carrier import EffectContext, EffectFailedError
from controller.effects.notifiers import email
from controller.kube.objects import Key
from controller.outward.addresses import Addresses
from controller.ports import NotifierContext
from controller.registry import kinds
from hack.node.pki import Authority
from tests.gate import LOOPBACK_NETWORK, answer, gate
from tests.mail_server import PASSWORD, USER, mail_server
from tests.serving import serving
from tests.unit.effects.calling import NoPods

ID = "notify.team.RolledBack.bbbbbbbbbb.3.1767225600"


async def _no_api_server():
    return frozenset()


LOOPBACK = Addresses(_no_api_server, listed=(LOOPBACK_NETWORK,))


def notification(message="errors 26/812 vs 31/16240", release="web", evidence=""):
    notice = Notice(
        Topic.ROLLED_BACK, "Regressed", message, "b" * 10, "2026-01-01T00:00:00Z", stable="a" * 10, evidence=evidence
    )
    return Notification(ID, "shop", release, notice)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    found = Authority(tmp_path_factory.mktemp("pki"))
    found.create()
    return found


@pytest.fixture
def server_tls(authority):
    pair = authority.server("relay", names=["localhost"], addresses=["127.0.0.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


@pytest.fixture
def believed(authority, monkeypatch):
    """As SSL_CERT_FILE does it for the operator's process."""
    monkeypatch.setattr(mailing, "tls", lambda: ssl.create_default_context(cafile=str(authority.pair.certificate)))


async def send(box, tls="none", *, addresses=LOOPBACK, password="", about=None, **fields):
    raw = {"host": "127.0.0.1", "port": box.port, "from": "pointsman@shop.qa", "to": ["team@shop.qa"], "tls": tls}
    if password:
        raw |= {"username": USER, "passwordSecretRef": {"name": "smtp", "key": "password"}}
    config = OneOf("notifiers").parse({"email": raw | fields}, Place("notify", kinds())).config

    async def post(url, body, headers):
        raise AssertionError(url)

    async def mail(server, message):
        await mailing.mail(addresses, server, message)

    context = NotifierContext(post, mail, lambda: 0.0)
    notifier = email.create(config, {"password": password}, context)
    async with asyncio.timeout(30):
        await notifier.send(about or notification())


async def failure(*given, **fields):
    with pytest.raises(EffectFailedError) as caught:
        await send(*given, **fields)
    said = str(caught.value)
    assert PASSWORD not in said
    assert "sesame" not in said, "the server's own words"
    return said


async def test_a_mail_says_what_is_and_what_to_do():
    async with mail_server() as box:
        await send(box, to=["team@shop.qa", "other@shop.qa"])
    (mail,) = box.mails
    assert mail["Subject"] == "shop/web: bbbbbbbbbb was rolled back (Regressed)"
    assert mail["From"] == "Pointsman <pointsman@shop.qa>"
    assert mail["X-Envelope-To"] == "team@shop.qa, other@shop.qa"
    assert mail["Date"].startswith("Thu, 01 Jan 2026 00:00:00")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "text/plain"
    assert "errors 26/812 vs 31/16240" in mail.get_content().splitlines()
    assert "  pointsman explain web -n shop" in mail.get_content().splitlines()


async def test_every_try_is_the_same_mail_to_a_mailbox():
    async with mail_server(answers=["451 4.7.1 sesame: try later"]) as box:
        assert await failure(box) == "127.0.0.1 answered 451 and did not take the mail"
        await send(box)
        await send(box)
        await send(box, about=notification(release="other"))
    first, second, other = (mail["Message-ID"] for mail in box.mails)
    assert first == second != other


@pytest.mark.parametrize(
    "hostile", ["a\r\nBcc: all@shop.qa\r\n\r\nx", "\x1b[31mred", "=?utf-8?q?=0d=0aBcc:x?=", "é" * 2000]
)
async def test_text_from_outside_adds_no_header_and_no_color(hostile):
    notice = notification(Notice.to_raw(notification(hostile).notice)["message"], release=hostile)
    async with mail_server() as box:
        await send(box, about=notice)
    (mail,) = box.mails
    assert mail["Bcc"] is None
    assert mail["X-Envelope-To"] == "team@shop.qa"
    assert "\x1b" not in mail.get_content()
    assert "\x1b" not in str(mail["Subject"])


@pytest.mark.usefixtures("believed")
@pytest.mark.parametrize("mode", ["starttls", "implicit"])
async def test_a_password_goes_over_tls_only(mode, server_tls, caplog):
    caplog.set_level(logging.DEBUG)
    async with mail_server(**{mode: server_tls}, logins=True) as box:
        await send(box, mode, password=PASSWORD)
        said = await failure(box, mode, password=PASSWORD[1:])
    assert said == "127.0.0.1 answered 535 to the login of pointsman; correct username or its Secret"
    assert box.encrypted == [True]
    assert PASSWORD not in caplog.text
    assert PASSWORD not in repr(MailServer("a", 1, TlsMode.STARTTLS, USER, PASSWORD))


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
async def test_a_certificate_that_nobody_signed_ends_it(mode, server_tls):
    async with mail_server(**{mode: server_tls}, logins=True) as box:
        assert "its certificate is not believed: " in await failure(box, mode, password=PASSWORD)
    assert box.mails == []


class Certificates(NoPods):
    """The Secret `relay-ca` with one key."""

    def __init__(self, certificates):
        self._data = {"ca.crt": base64.b64encode(certificates.encode()).decode()}

    async def find(self, resource, namespace, name):
        assert (resource.plural, namespace, name) == ("secrets", "shop", "relay-ca")
        return {"data": self._data}


async def send_as_owed(box, mode, certificates):
    """From the payload in the status on: what is in the Secret has to come through."""
    config = {"host": "127.0.0.1", "port": box.port, "from": "pointsman@shop.qa", "to": ["team@shop.qa"], "tls": mode}
    if certificates is not None:
        config["caSecretRef"] = {"name": "relay-ca", "key": "ca.crt"}
    payload = {"to": "team", "notifier": "email", "config": config, "notice": notify.EXAMPLE["notice"]}
    carrier = notify.create(EffectContext(Certificates(certificates or ""), LOOPBACK))
    async with asyncio.timeout(30):
        await carrier.carry_out(Key("shop", "web"), Effect(ID, "notify", payload))


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
async def test_a_server_of_a_private_authority_gets_mail_with_its_certificate_only(mode, server_tls, authority):
    certificates = authority.pair.certificate.read_text()
    async with mail_server(**{mode: server_tls}) as box:
        with pytest.raises(EffectFailedError, match="did not take the mail: its certificate is not believed"):
            await send_as_owed(box, mode, None)
        assert box.mails == []
        await send_as_owed(box, mode, certificates)
    assert box.encrypted == [True]


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
async def test_another_authority_is_no_help(mode, server_tls, tmp_path):
    other = Authority(tmp_path)
    other.create()
    async with mail_server(**{mode: server_tls}) as box:
        with pytest.raises(EffectFailedError, match="its certificate is not believed"):
            await send_as_owed(box, mode, other.pair.certificate.read_text())
    assert box.mails == []


NO_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nsesame\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("wrong", ["sesame", "", "sésame", NO_CERTIFICATE])
async def test_what_is_no_certificate_is_said_and_nothing_is_sent(wrong, server_tls):
    async with mail_server(starttls=server_tls) as box:
        with pytest.raises(EffectFailedError) as caught:
            await send_as_owed(box, "starttls", wrong)
    assert str(caught.value) == "key ca.crt of Secret relay-ca is no certificate in PEM"
    assert box.mails == []


async def test_a_server_without_starttls_gets_nothing():
    async with mail_server(logins=False) as box:
        said = await failure(box, "starttls", password=PASSWORD)
    assert said.startswith("127.0.0.1 offers no STARTTLS on port ")
    assert box.mails == []


async def test_a_recipient_who_is_refused_is_named_and_nobody_gets_it():
    async with mail_server(refuses=frozenset({"gone@shop.qa"})) as box:
        said = await failure(box, to=["team@shop.qa", "gone@shop.qa"])
    assert said == "127.0.0.1 answered 550 to recipient gone@shop.qa; nobody got the mail"
    assert box.mails == []


async def test_what_is_no_mail_server_is_said_without_its_words():
    async with gate(answer()) as it:

        async def greet(reader, writer):
            del reader
            writer.write(b"HTTP/1.1 200 sesame\r\n\r\n")
            await writer.drain()

        async with serving(greet) as it.port:
            said = await failure(it)
        assert said.startswith("127.0.0.1 ")


async def test_an_endless_answer_is_not_kept():
    async def babble(reader, writer):
        del reader
        while True:
            writer.write(b"220-" + b"x" * 1000 + b"\r\n")
            await writer.drain()

    async with gate() as it, serving(babble) as it.port:
        assert "127.0.0.1 " in await failure(it)


async def test_a_server_that_is_down_is_said():
    async with mail_server() as box:
        pass
    assert "127.0.0.1 cannot be reached: " in await failure(box)


async def test_addresses_of_the_operators_own_machine_are_not_called():
    async with mail_server() as box:
        said = await failure(box, addresses=Addresses(_no_api_server))
    assert "a loopback address, which Pointsman does not call" in said
    assert box.mails == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tls": "none", "username": "a", "passwordSecretRef": {"name": "a"}}, "passwordSecretRef needs tls: starttls"),
        ({"tls": "none", "caSecretRef": {"name": "a"}}, "caSecretRef needs tls: starttls"),
        ({"username": "a"}, "username and passwordSecretRef go together"),
        ({"to": ["a\r\nb@c.qa"]}, "to[0]: 'a\\r\\nb@c.qa' is not an address such as"),
        ({"to": ["a@c.qa\n"]}, "to[0]: 'a@c.qa\\n' is not an address such as"),
        ({"to": []}, "to: 0 entries, minimum is 1"),
        ({"from": "nobody"}, "from: 'nobody' is not an address"),
        ({"host": "a b"}, "host: 'a b' is not a host name"),
    ],
)
def test_a_mail_that_cannot_be_meant_is_refused(fields, said):
    raw = {"host": "smtp.qa", "from": "a@b.qa", "to": ["c@d.qa"], **fields}
    with pytest.raises(SpecError, match="notify") as error:
        NOTIFY.parse([{"name": "a", "email": raw}], Place("notify", kinds()))
    assert said in str(error.value)
