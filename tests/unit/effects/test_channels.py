"""Slack, Teams and PagerDuty take what is sent to them, and obey nothing that a message says."""

import asyncio
import json
from dataclasses import replace

import httpx
import pytest

from controller.api.notice import Notice, Notification, State, Topic
from controller.api.secret import SecretRef
from controller.api.text import one_line
from controller.effects import posting
from controller.effects.notifiers import pagerduty, slack, teams
from controller.outward.addresses import Addresses
from controller.ports import NotifierContext
from tests.gate import LOOPBACK_NETWORK
from tests.receivers import PAGERDUTY, ROUTING_KEY, SLACK, TEAMS, receivers

HOSTILE = [
    "<!channel> <@U123> <https://evil.qa|click>",
    "**bold** [click](https://evil.qa) <at>all</at> @everyone",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\x1b[31mred\x1b[0m\x07",
    "`code` ``` & *b* _i_ ~s~",
    "{{ 7 * 7 }} {% for x in y %}",
    "\u202etxt.exe",
    "é" * 3000,
    "𝄞" * 3000,
]


async def _no_api_server():
    return frozenset()


ADDRESSES = Addresses(_no_api_server, listed=(LOOPBACK_NETWORK,))


async def _post(url, body, headers):
    await posting.post(ADDRESSES, httpx.URL(url), headers, body, reads=0)


async def _mail(server, message):
    raise AssertionError((server, message))


SECRET = SecretRef("a", "b")
CONTEXT = NotifierContext(_post, _mail, lambda: 0.0)


def notification(message="errors 26/812 vs 31/16240", **changes):
    notice = Notice(
        Topic.AWAITING_APPROVAL, "AwaitingApproval", message, "b" * 10, "2026-01-01T00:00:00Z", stable="a" * 10
    )
    told = Notice(**{**vars(notice), **notice.to_raw(), "topic": notice.topic, **changes})
    return Notification("notify.team.x.1", "shop", "web", told)


async def to_all(url, about):
    await slack.create(slack.Config(SECRET), {"url": url + SLACK}, CONTEXT).send(about)
    await teams.create(teams.Config(SECRET), {"url": url + TEAMS}, CONTEXT).send(about)
    config = pagerduty.Config(SECRET, url + PAGERDUTY)
    await pagerduty.create(config, {"routing-key": ROUTING_KEY}, CONTEXT).send(about)


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_text_is_taken_and_obeyed_by_nobody(hostile):
    about = notification(hostile, evidence=one_line(f"0/1 {hostile}", 256))
    async with receivers() as found:
        await to_all(found.url, about)
    assert found.refused == []
    assert len(found.got) == 3
    (message,) = found.bodies(SLACK)
    for mark in ("<", ">"):
        assert mark not in message["text"]
    everything = json.dumps(found.got, ensure_ascii=False)
    assert "\\u001b" not in everything
    assert "\x1b" not in everything
    assert "\u202e" not in everything


async def test_a_card_is_text_runs_and_nothing_that_obeys_markdown():
    async with receivers() as found:
        await to_all(found.url, notification("**a**"))
    ((card,),) = ([one["content"] for one in body["attachments"]] for body in found.bodies(TEAMS))
    texts = [run["text"] for block in card["body"] for run in block["inlines"]]
    assert texts[:2] == ["shop/web: bbbbbbbbbb waits for a person (AwaitingApproval)", "**a**"]
    assert texts[-1] == "pointsman explain web -n shop"


async def test_what_lasts_is_one_alert_from_its_trigger_to_its_end():
    async with receivers() as found:
        for state in (State.OPEN, State.OPEN, State.ACKNOWLEDGED, State.RESOLVED):
            about = notification(incident="AwaitingApproval:2:bbbbbbbbbb:1", state=state)
            await to_all(found.url, replace(about, id=f"notify.team.{state}"))
    assert [action for action, _ in found.actions] == ["trigger", "trigger", "acknowledge", "resolve"]
    assert list(found.alerts.values()) == ["resolved"]
    assert found.refused == []


async def test_two_releases_have_two_alerts():
    async with receivers() as found:
        about = notification(incident="AwaitingApproval:2")
        await to_all(found.url, about)
        await to_all(found.url, replace(about, namespace="other"))
        await to_all(found.url, replace(about, release="w" * 253, namespace="n" * 63))
    assert len(found.alerts) == 3


def test_no_secret_is_part_of_what_is_printed():
    assert ROUTING_KEY not in repr(asyncio.run(_printed()))


async def _printed():
    return pagerduty.create(pagerduty.Config(SECRET, "http://x.qa/"), {"routing-key": ROUTING_KEY}, CONTEXT)
