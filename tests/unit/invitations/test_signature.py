"""I18: only Twilio can sign a callback."""

import pytest

from workloads.invitations.sending.signature import is_signed, signature

URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
PARAMETERS = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+12349013030"),
    ("Digits", "1234"),
    ("From", "+12349013030"),
    ("To", "+18005551212"),
]
TOKEN = "12345"  # noqa: S105


def test_the_example_of_twilios_documentation_has_its_published_signature():
    """I18"""
    assert signature(TOKEN, URL, PARAMETERS) == "0/KCTR6DLpKmkAf8muzZqo1nDgQ="


def signed(**change):
    given = {"signed": signature(TOKEN, URL, PARAMETERS), "token": TOKEN, "url": URL, "parameters": PARAMETERS}
    return is_signed(**{**given, **change})


def test_the_order_of_parameters_does_not_matter_and_nothing_else_may_differ():
    """I18"""
    assert signed()
    assert signed(parameters=PARAMETERS[::-1])
    assert not signed(parameters=PARAMETERS[1:])
    assert not signed(parameters=[*PARAMETERS, ("More", "")])
    assert not signed(parameters=[("Digits", "1235"), *PARAMETERS])
    assert not signed(url=URL.replace("https", "http"))
    assert not signed(url=URL + "&more=1")
    assert not signed(token="12346")  # noqa: S106


@pytest.mark.parametrize("forged", ["", "x", "0/KCTR6DLpKmkAf8muzZqo1nDgQ", "ä"])
def test_what_is_no_signature_is_refused(forged):
    """I18"""
    assert not signed(signed=forged)


def test_without_a_token_nothing_is_signed():
    """I18: fails closed, although anybody can sign with an empty key."""
    assert not signed(token="", signed=signature("", URL, PARAMETERS))


def test_a_port_that_goes_without_saying_may_be_said():
    """I18"""
    with_port = URL.replace("mycompany.com", "mycompany.com:443")
    assert signed(signed=signature(TOKEN, with_port, PARAMETERS))
    assert not signed(signed=signature(TOKEN, URL.replace("mycompany.com", "mycompany.com:8443"), PARAMETERS))


def test_a_name_with_several_values_counts_with_each_of_them():
    """I18"""
    several = [*PARAMETERS, ("Digits", "99")]
    assert signed(signed=signature(TOKEN, URL, several), parameters=several[::-1])
    assert not signed(signed=signature(TOKEN, URL, several))
