"""What each way of notifying people sends."""

import asyncio
import base64
import hashlib
import hmac
import json

import pytest

from controller import registry
from controller.api.notice import DEFAULT_TOPICS, LASTING, TOPICS, Notice, Notification, Topic
from controller.api.reading import SpecError
from controller.api.release import parse_release
from controller.effects.notifiers import slack, webhook
from controller.ports import NotifierContext
from tests import golden

ID = "notify.team.RolledBack.bbbbbbbbbb.3.1767225600"


def notification(message="errors 26/812 vs 31/16240", topic=Topic.ROLLED_BACK, reason="Regressed"):
    notice = Notice(topic, reason, message, "b" * 10, "2026-01-01T00:00:00Z", attempt=3, stable="a" * 10)
    return Notification(ID, "shop", "web", notice)


class Receiver:
    def __init__(self):
        self.got = []

    @property
    def context(self):
        return NotifierContext(self._post, self._mail, lambda: 1_767_225_600.25)

    async def _post(self, url, body, headers):
        self.got.append((url, body, headers))

    async def _mail(self, server, message):
        raise AssertionError((server, message))


def sent(module, config, secrets, **about):
    receiver = Receiver()
    notifier = module.create(config, secrets, receiver.context)
    asyncio.run(notifier.send(notification(**about)))
    ((url, body, headers),) = receiver.got
    return url, body, headers


def test_slack_gets_a_title_what_is_and_what_to_do():
    _, body, headers = sent(slack, None, {"url": "https://hooks.slack.example/T/B/x"})
    assert json.loads(body) == {
        "text": "*shop/web: bbbbbbbbbb was rolled back (Regressed)*\n"
        "errors 26/812 vs 31/16240\n"
        "• `push a fix, or revert to the stable template`\n"
        "• `pointsman retry web bbbbbbbbbb -n shop`\n"
        "• `pointsman explain web -n shop`",
        "unfurl_links": False,
        "unfurl_media": False,
    }
    assert headers == {"Idempotency-Key": ID}


def test_a_message_from_outside_mentions_no_one_in_slack():
    _, body, _ = sent(slack, None, {"url": "https://hooks.slack.example/"}, message="<!channel> `a` & b")
    assert "&lt;!channel&gt; 'a' &amp; b" in json.loads(body)["text"]


@pytest.mark.parametrize(
    ("secret", "key"),
    [("plain text", b"plain text"), ("whsec_" + base64.b64encode(b"\0\1").decode(), b"\0\1")],
)
def test_a_webhook_is_signed_as_standard_webhooks_says(secret, key):
    url, body, headers = sent(webhook, webhook.Config("http://hooks.qa/x"), {"signing": secret})
    assert url == "http://hooks.qa/x"
    assert headers["webhook-id"] == ID
    assert headers["webhook-timestamp"] == "1767225600"
    signed = ID.encode() + b".1767225600." + body
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_a_webhook_gets_every_field():
    _, body, headers = sent(webhook, webhook.Config("http://hooks.qa/x"), {})
    assert json.loads(body) == {
        "id": ID,
        "namespace": "shop",
        "release": "web",
        "title": "shop/web: bbbbbbbbbb was rolled back (Regressed)",
        "topic": "RolledBack",
        "reason": "Regressed",
        "message": "errors 26/812 vs 31/16240",
        "revision": "bbbbbbbbbb",
        "at": "2026-01-01T00:00:00Z",
        "attempt": 3,
        "stable": "aaaaaaaaaa",
        "evidence": "",
        "next": [
            "push a fix, or revert to the stable template",
            "pointsman retry web bbbbbbbbbb -n shop",
            "pointsman explain web -n shop",
        ],
    }
    assert "webhook-signature" not in headers


# -- spec.notify -------------------------------------------------------------------------------------------------------

HOOK = {"webhook": {"url": "http://hooks.qa/x"}}


def targets(*entries):
    spec = golden.release("shop", notify=list(entries))["spec"]
    return parse_release("shop", spec, registry.kinds()).notify


def test_a_target_wants_what_ends_or_asks_unless_it_says_what():
    every, some = targets({"name": "a", **HOOK}, {"name": "b", "topics": ["RolledBack"], **HOOK})
    assert every.topics == set(DEFAULT_TOPICS) < set(TOPICS)
    assert some.topics == {"RolledBack"}
    assert (some.name, some.kind, some.raw) == ("b", "webhook", HOOK["webhook"])


def test_who_hears_of_ends_hears_only_of_what_lasts():
    rota = {"routingKeySecretRef": {"name": "pagerduty"}}
    alerts, late = targets(
        {"name": "a", "pagerduty": rota}, {"name": "b", "after": "30m", "topics": list(TOPICS), **HOOK}
    )
    assert alerts.topics == set(DEFAULT_TOPICS) & set(LASTING)
    assert late.topics == set(LASTING)
    assert (alerts.after, late.after) == (0, 1800)
    assert alerts.hears_ends
    assert late.hears_ends


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([HOOK], "spec.notify[0].name: is required"),
        ([{"name": "A b", **HOOK}], "spec.notify[0].name: 'A b' does not match"),
        ([{"name": "a"}], "spec.notify[0]: needs exactly one of "),
        ([{"name": "a", "pager": {}}], "spec.notify[0].pager: is not a known field (known: name, topics, "),
        (
            [{"name": "a", "topics": ["Promoted"], "after": "5m", **HOOK}],
            "spec.notify[0].topics: names nothing that lasts",
        ),
        ([{"name": "a", "after": "10s", **HOOK}], "spec.notify[0].after: is not between 1m and 24h"),
        (
            [{"name": "a", "topics": ["Started"], "pagerduty": {"routingKeySecretRef": {"name": "a"}}}],
            "spec.notify[0].topics: names nothing that lasts",
        ),
        ([{"name": "a", "topics": ["Never"], **HOOK}], "spec.notify[0].topics[0]: 'Never' is not one of RolledBack, "),
        ([{"name": "a", "topics": [], **HOOK}], "spec.notify[0].topics: 0 entries, minimum is 1"),
        ([{"name": "a", **HOOK}] * 2, "spec.notify[1].name: duplicate 'a'"),
        ([{"name": f"a{at}", **HOOK} for at in range(6)], "spec.notify: 6 entries, maximum is 5"),
        ([{"name": "a", "webhook": {"url": "ftp://x"}}], "spec.notify[0].webhook.url: is not an http or https url"),
        ([{"name": "a", "slack": {}}], "spec.notify[0].slack.urlSecretRef: is required"),
    ],
)
def test_a_target_that_cannot_be_meant_is_said_with_its_path(entries, said):
    with pytest.raises(SpecError) as error:
        targets(*entries)
    assert str(error.value).startswith(said)
