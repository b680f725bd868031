"""Which numbers are invited."""

import pytest

from workloads.invitations.numbers import NumberError, Phone, Rules, parse

SANDBOX = Rules(regions={"US", "CA", "GB", "DE"}, test_range=True)
PAID = Rules(regions={"US", "CA", "GB", "DE"}, test_range=False)


@pytest.mark.parametrize(
    ("written", "e164", "region"),
    [
        ("+14155550100", "+14155550100", "US"),
        ("+1 (415) 555-0100", "+14155550100", "US"),
        ("  +1.415.555.0100 ", "+14155550100", "US"),
        ("+1 604 555 0100", "+16045550100", "CA"),
        ("+44 7400 123456", "+447400123456", "GB"),
        ("+49 (0) 1512 3456789", "+4915123456789", "DE"),
        ("\u202a+1 (650) 253-0000\u202c", "+16502530000", "US"),  # as contacts are pasted
        ("+1\u00a0650\u2011253\u20110000", "+16502530000", "US"),
        ("\u202d+1\u202f650\u2013253\u20130000\u202c", "+16502530000", "US"),
        ("tel:+14155550100", "+14155550100", "US"),
        ("\uff0b\uff11\uff14\uff11\uff15\uff15\uff15\uff15\uff10\uff11\uff10\uff10", "+14155550100", "US"),
    ],
)
def test_mobile_numbers_are_invited_however_they_are_written(written, e164, region):
    """I2."""
    assert parse(written, PAID) == Phone(e164, region)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "not a phone number"),
        ("4155550100", "must begin with +"),
        ("001 415 555 0100", "must begin with +"),
        ("+", "not a phone number"),
        ("+1415", "no such number"),
        ("+1 415 555 0100 ext. 5", "extension"),
        ("+14155550100x5", "extension"),
        ("+14155550100;ext=5", "extension"),
        ("+14155550100#5", "extension"),
        ("+1 415 FLOWERS", "write the number in digits"),
        ("call me", "not a phone number"),
        ("+1415555010" + "0" * 20, "too many digits"),
        ("+1 999 999 9999", "no such number"),
        ("+1 415 155 0100", "no such number"),
        ("+999 415 555 0100", "no such country code"),
        ("+1 800 555 0123", "toll-free"),
        ("+1 900 555 0123", "premium rate"),
        ("+44 20 7183 8750", "a fixed line"),
        ("+44 909 879 1234", "premium rate"),
        ("+49 700 12345678", "a personal number"),
        ("+870 773 111 632", "satellite"),
        ("+881 6 2345 6789", "satellite"),
        ("+883 5100 1234 5678", "satellite"),
        ("+33 6 12 34 56 78", "this one is from FR"),
        ("+1 876 555 0100", "this one is from JM"),
    ],
)
def test_other_numbers_are_refused_with_the_reason(written, why):
    """I2, I10."""
    with pytest.raises(NumberError, match=why):
        parse(written, PAID)


def test_a_number_without_a_country_code_is_of_the_default_region():
    """I2."""
    german = Rules(regions={"US", "DE"}, test_range=False, default_region="DE")
    assert parse("01512 3456789", german) == Phone("+4915123456789", "DE")
    assert parse("+1 415 555 0100", german) == Phone("+14155550100", "US")


def test_no_reason_repeats_the_number():
    """I22."""
    for written in ("+1 415 155 0100", "4155550100", "+18005550123", "+33612345678"):
        with pytest.raises(NumberError) as caught:
            parse(written, PAID)
        assert "555" not in str(caught.value)
        assert "612345678" not in str(caught.value)


def test_the_test_range_is_for_the_sandbox_alone():
    """I3."""
    assert parse("+15551234567", SANDBOX) == Phone("+15551234567", "US", test_range=True)
    with pytest.raises(NumberError, match=r"\+1555… is for tests"):
        parse("+1 555 123 4567", PAID)
