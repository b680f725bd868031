"""Texts of a target's own, in the sandbox."""

import pytest

from controller.api.choice import OneOf
from controller.api.effect import MOST_PAYLOAD_BYTES, Effect
from controller.api.fields import Place
from controller.api.notice import Notice, Notification, Topic
from controller.api.notify import NOTIFY
from controller.api.reading import SpecError
from controller.api.secret import SecretRef
from controller.effects.notifiers import slack
from controller.effects.wording import wording
from controller.ports import NotifierContext
from controller.providers.rendering import Renderer
from controller.registry import kinds

HOSTILE = "<!channel> `a` & {{ 7 * 7 }} \x1b[31m"


@pytest.fixture
async def renderer():
    found = Renderer()
    yield found
    await found.close()


def about(message="errors 26/812 vs 31/16240"):
    notice = Notice(Topic.ROLLED_BACK, "Regressed", message, "b" * 10, "2026-01-01T00:00:00Z", stable="a" * 10)
    return Notification("id", "shop", "web", notice)


async def said(renderer, text, *, message="errors 26/812 vs 31/16240", title="", escapes=slack.ESCAPES):
    templates = {"text": text} | ({"title": title} if title else {})
    return await wording(renderer, about(message), templates, escapes)


async def test_a_template_has_what_the_notice_says(renderer):
    text = (
        "{{ release }} in {{ namespace }}: {{ topic | lower }} {{ revision }} for {{ stable }}, {{ reason }}\n"
        "{{ message }}{{ evidence }} {{ state }} {{ attempt }} {{ at }}\n{{ next | join(', ') }}"
    )
    found = await said(renderer, text, title="{{ title | upper }}")
    assert found.title == "SHOP/WEB: BBBBBBBBBB WAS ROLLED BACK (REGRESSED)"
    assert found.text.splitlines() == [
        "web in shop: rolledback bbbbbbbbbb for aaaaaaaaaa, Regressed",
        "errors 26/812 vs 31/16240 open 0 2026-01-01T00:00:00Z",
        ", ".join(about().commands),
    ]


async def test_the_templates_own_markup_stands_and_values_are_escaped(renderer):
    found = await said(renderer, "<!subteam^S1> *{{ message }}* {{ message | replace('&lt;', '<') }}", message=HOSTILE)
    assert found.text.startswith("<!subteam^S1> *&lt;!channel&gt; 'a' &amp; {{ 7 * 7 }} [31m*")
    assert found.text.count("<") == 1
    assert "\x1b" not in found.text


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ nothing }}", "'nothing' is undefined"),
        ("{% if %}", "line 1: Expected an expression"),
        ("{{ ''.__class__.__mro__ }}", "is not allowed: "),
        ("{{ 'x' * 10 ** 9 }}", "MiB"),
        ("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", "processor time"),
        ("{% for a in range(9999) %}{{ message }}{% endfor %}", "grows beyond 16384 bytes"),
        ("{{ next }}", "a list cannot be written"),
    ],
)
async def test_a_template_that_fails_costs_nobody_the_notification(renderer, template, problem):
    found = await said(renderer, template, message="a < b")
    first, *rest = found.text.splitlines()
    assert first.startswith("the text of this target cannot be rendered: ")
    assert problem in first
    assert rest[0] == "a &lt; b"
    assert "pointsman explain web -n shop" in rest
    assert found.title == "shop/web: bbbbbbbbbb was rolled back (Regressed)"


async def test_slack_gets_the_text_as_it_was_rendered(renderer):
    got = []

    async def post(url, body, headers):
        got.append(body.decode())

    async def mail(server, message):
        raise AssertionError(server)

    found = await said(renderer, "<!here> {{ message }}", message="<!channel>")
    notifier = slack.create(slack.Config(SecretRef("a")), {"url": "https://x.qa"}, NotifierContext(post, mail, float))
    await notifier.send(Notification("id", "shop", "web", about().notice, found))
    assert "<!here> &lt;!channel&gt;" in got[0]
    assert "explain" not in got[0], "a text of one's own has its own commands"


@pytest.mark.parametrize("letter", ["x", "é", "𝄞"])
def test_the_largest_target_fits_into_the_status(letter):
    longest = 0
    for count in range(0, 1000, 20):
        target = {"name": "a", "text": letter * (count + 1), "webhook": {"url": "https://x.qa/" + "y" * 1000}}
        try:
            (found,) = NOTIFY.parse([target], Place("notify", kinds()))
        except SpecError as error:
            assert "maximum is 2560" in str(error)  # noqa: PT017 - the others are accepted
            break
        longest = count
        payload = {"to": "a", "notifier": found.kind, "config": found.raw, "texts": dict(found.texts)}
        notice = Notice(Topic.ROLLED_BACK, "r" * 63, "", "v" * 63, "t" * 40, 9, "s" * 63, "", incident="i" * 128)
        assert Effect("e", "notify", {**payload, "notice": notice.to_raw(0)}).fits
    assert longest > 300
    assert MOST_PAYLOAD_BYTES == 4096


def test_ten_recipients_and_a_text_are_too_much_for_one_target():
    raw = {"host": "smtp.qa", "from": "a@b.qa", "to": [f"{number}{'x' * 60}@{'y' * 180}.qa" for number in range(10)]}
    OneOf("notifiers").parse({"email": raw}, Place("notify", kinds()))
    with pytest.raises(SpecError, match="shorten the texts, or use a second target"):
        NOTIFY.parse([{"name": "a", "email": raw, "text": "x" * 500}], Place("notify", kinds()))
