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
    ],
)
def test_mobile_numbers_are_invited_however_they_are_written(written, e164, region):
    """I2."""
    assert parse(written, PAID) == Phone(e164, region)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "must begin with +"),
        ("4155550100", "must begin with +"),
        ("001 415 555 0100", "must begin with +"),
        ("tel:+14155550100", "must begin with +"),
        ("+", "7 to 15 digits"),
        ("+1415", "7 to 15 digits"),
        ("+1 415 555 0100 ext. 5", "extension"),
        ("+14155550100x5", "extension"),
        ("+14155550100;ext=5", "extension"),
        ("+14155550100#5", "extension"),
        ("+1 415 FLOWERS", "something else than digits"),
        ("+１４１５５５５０１００", "something else than digits"),  # full-width
        ("+1415555010" + "0" * 20, "cannot be read|no such number"),
        ("+1 999 999 9999", "no such number"),
        ("+1 415 155 0100", "no such number"),
        ("+999 415 555 0100", "cannot be read"),
        ("+1 800 555 0123", "toll-free"),
        ("+1 900 555 0123", "premium rate"),
        ("+44 20 7183 8750", "a fixed line"),
        ("+44 909 879 1234", "premium rate"),
        ("+49 700 12345678", "a personal number"),
        ("+870 773 111 632", "satellite"),
        ("+881 6 2345 6789", "satellite"),
        ("+883 5100 1234 5678", "satellite"),
        ("+33 6 12 34 56 78", "numbers of FR are not invited"),
        ("+1 876 555 0100", "numbers of JM are not invited"),
    ],
)
def test_other_numbers_are_refused_with_the_reason(written, why):
    """I2, I10."""
    with pytest.raises(NumberError, match=why):
        parse(written, PAID)


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
