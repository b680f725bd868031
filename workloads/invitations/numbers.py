"""Which phone numbers are invited: those that a text message to them reaches a person, at the price of one.

Rules are libphonenumber's. It knows `+1555…` for what it is, a number that nobody has; those are the test range of
the sandbox provider, which sends nothing, and are not let through to any other.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

_WRITTEN = re.compile(r"\+[0-9][0-9 ().\-]{5,30}")
_EXTENSION = re.compile(r"(?:ext|x|#|;|,)", re.IGNORECASE)
_TEST = re.compile(r"\+1555[0-9]{7}")
_TEST_REGION = "US"
_MESSAGED = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})
_SATELLITE = frozenset({870, 881, 882, 883})  # ITU-T E.164, shared country codes of satellite and global networks
_WHAT = {
    PhoneNumberType.FIXED_LINE: "a fixed line",
    PhoneNumberType.PAGER: "a pager",
    PhoneNumberType.PERSONAL_NUMBER: "a personal number",
    PhoneNumberType.PREMIUM_RATE: "a premium rate number",
    PhoneNumberType.SHARED_COST: "a shared cost number",
    PhoneNumberType.TOLL_FREE: "a toll-free number",
    PhoneNumberType.UAN: "a company's number",
    PhoneNumberType.VOICEMAIL: "a voice mailbox",
    PhoneNumberType.VOIP: "an internet telephone",
}


class NumberError(ValueError):
    """Says what is wrong with the number without repeating it: it is somebody's, and ends in logs."""


@dataclass(frozen=True, slots=True)
class Phone:
    e164: str
    region: str
    """Country of two letters."""
    test_range: bool = False
    """Nobody's number; only the sandbox may be given it."""


@dataclass(frozen=True, slots=True)
class Rules:
    regions: Collection[str]
    test_range: bool
    """Whether `+1555…` passes: with the sandbox provider alone."""


def parse(text: str, rules: Rules) -> Phone:
    """In international form, `+` first; spaces, dots, dashes and brackets are fine. Raises NumberError."""
    written = text.strip()
    if not _WRITTEN.fullmatch(written):
        raise NumberError(_unwritten(written))
    digits = "+" + "".join(filter(str.isdigit, written))
    if _TEST.fullmatch(digits):
        return _of_test_range(digits, rules)
    try:
        number = phonenumbers.parse(digits)
    except NumberParseException as problem:
        raise NumberError(f"the number cannot be read: {problem.args[0].lower()}") from None
    if number.country_code in _SATELLITE:
        raise NumberError("the number belongs to a satellite or worldwide network, which is not invited")
    if not phonenumbers.is_valid_number(number):
        raise NumberError("there is no such number: check its digits and its country code")
    kind = phonenumbers.number_type(number)
    if kind not in _MESSAGED:
        raise NumberError(f"the number is {_WHAT.get(kind, 'no phone')}: give a mobile one")
    region = phonenumbers.region_code_for_number(number) or "none"
    if region not in rules.regions:
        raise NumberError(f"numbers of {region} are not invited, only those of {', '.join(sorted(rules.regions))}")
    return Phone(phonenumbers.format_number(number, PhoneNumberFormat.E164), region)


def _of_test_range(digits: str, rules: Rules) -> Phone:
    if not rules.test_range:
        raise NumberError("there is no such number: +1555… is for tests, which this service is not set up for")
    return Phone(digits, _TEST_REGION, test_range=True)


def _unwritten(written: str) -> str:
    if not written.startswith("+"):
        return "the number must begin with + and its country code, such as +1 for the USA"
    if _EXTENSION.search(written):
        return "the number has an extension: text messages reach none"
    if re.search(r"[^0-9 ().\-+]", written):
        return "the number holds something else than digits, spaces, dots, dashes and brackets"
    return "the number must have 7 to 15 digits after its +"
