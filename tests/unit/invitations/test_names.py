"""What a stranger reads as the inviter's name, and the message around it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.invitations import message, names


@pytest.mark.parametrize(
    ("claimed", "shown"),
    [
        ("John", "John"),
        ("  Mary   Ann ", "Mary Ann"),
        ("Jean-Luc O’Brien Jr.", "Jean-Luc O'Brien Jr"),
        ("Your bank 1-800-555-0199", names.NOBODY),
        ("Call 800-555-0199", names.NOBODY),
        ("Call ８００ 555 0199", names.NOBODY),
        ("Call 8 0 0 5 5 5", names.NOBODY),
        ("Call 1-800-FLOWERS", names.NOBODY),
        ("win at 9*0\u200b0 go lucky", names.NOBODY),
        ("Anna 2004", "Anna 2004"),
        ("Ben 888", "Ben 888"),
        ("J.R.R. Tolkien", "J. R. R. Tolkien"),
        ("Łukasz Żółć", "Łukasz Żółć"),
        ("王小明", "王小明"),
        ("John https://evil.example/win", "John"),
        ("HTTP://EVIL.EXAMPLE", names.NOBODY),
        ("www.evil.example John", "John"),
        ("win at evil.com now", "win at now"),
        ("evil.com", names.NOBODY),
        ("ｅｖｉｌ．ｃｏｍ", names.NOBODY),
        ("EVIL.COM", "EVIL. COM"),
        ("john@evil.example", names.NOBODY),
        ("John \U0001f600\U0001f389", "John"),
        ("\U0001f600", names.NOBODY),
        ("Jo\x00hn\x07", "John"),
        ("John\nSign up at", "John Sign up at"),
        ("\u202enhoJ", "nhoJ"),
        ("J\u200bohn", "John"),
        ("<b>John</b>", names.NOBODY),
        ("", names.NOBODY),
        ("Maximilian Alexander von Hohenzollern", "Maximilian Alexander von Hohen"),
    ],
)
def test_a_name_is_cleaned(claimed, shown):
    """I13."""
    assert names.clean(claimed) == shown


@given(st.text())
def test_no_name_is_long_empty_or_a_link(claimed):
    """I13."""
    shown = names.clean(claimed)
    assert 0 < len(shown) <= names.LONGEST
    assert shown.isprintable()
    assert not set(shown) & set("/:@\\<>")
    assert names.clean(shown) == shown


def test_the_message_is_the_template_with_the_referral_url():
    """I8."""
    url = message.referral_url("https://app.example.com", "APP-8F3K92")
    assert url == "https://app.example.com/invite/APP-8F3K92"
    assert message.text(inviter="John", app="AppName", url=url) == (
        "John invited you to try AppName. Sign up using this link: https://app.example.com/invite/APP-8F3K92"
        " Reply STOP to opt out."
    )


def test_the_message_of_a_usual_name_is_one_segment():
    """I8: 160 letters; a second segment costs as much as the first."""
    url = message.friends_url("https://app.example.com", "APP-8F3K92", secret="a" * 15)
    assert len(message.text(inviter="Maria-Christina Lopez", app="AppName", url=url)) <= 160


def test_an_apostrophe_as_iphones_type_it_costs_no_second_segment():
    """I13."""
    url = message.friends_url("https://app.example.com", "APP-8F3K92", secret="a" * 15)
    text = message.text(inviter=names.clean("Pat O’Brien"), app="AppName", url=url)
    assert text.isascii()
    assert len(text) <= 160
