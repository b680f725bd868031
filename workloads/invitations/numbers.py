"""Which phone numbers are invited: those that a text message to them reaches a person, at the price of one.

Rules are libphonenumber's. It knows `+1555…` for what it is, a number that nobody has; those are the test range of
the sandbox provider, which sends nothing, and are not let through to any other.
"""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

_EXTENSION = re.compile(r"[0-9]\s*(?:ext|x|#|;|,)", re.IGNORECASE)
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
    default_region: str = ""
    """Of numbers without a country code; "": those are refused."""


def parse(text: str, rules: Rules) -> Phone:
    """However it is written or pasted, with its country code or of the default region. Raises NumberError."""
    # Contacts are pasted with marks of direction around them, which are not to be seen.
    kept = (each for each in text if unicodedata.category(each) != "Cf")
    written = "".join(" " if each.isspace() else each for each in kept).strip()
    try:
        number = phonenumbers.parse(written, rules.default_region or None)
    except NumberParseException as problem:
        raise NumberError(_unread(written, problem)) from None
    if number.extension or _EXTENSION.search(written):
        raise NumberError("remove the extension. Text messages cannot be sent to one")
    if any(each.isalpha() for each in written.removeprefix("tel:")):
        raise NumberError("write the number in digits, without letters")
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    if _TEST.fullmatch(e164):
        return _of_test_range(e164, rules)
    if number.country_code in _SATELLITE:
        raise NumberError("numbers of satellite and worldwide networks cannot be invited")
    if not phonenumbers.is_valid_number(number):
        raise NumberError("there is no such number. Check its digits and its country code")
    kind = phonenumbers.number_type(number)
    if kind not in _MESSAGED:
        raise NumberError(f"the number is {_WHAT.get(kind, 'no phone')}. Give a mobile number")
    region = phonenumbers.region_code_for_number(number) or "none"
    if region not in rules.regions:
        allowed = ", ".join(sorted(rules.regions))
        raise NumberError(f"only numbers from {allowed} can be invited (this one is from {region})")
    return Phone(e164, region)


def _of_test_range(digits: str, rules: Rules) -> Phone:
    if not rules.test_range:
        raise NumberError("there is no such number. +1555… is for tests, and this service does not take test numbers")
    return Phone(digits, _TEST_REGION, test_range=True)


def _unread(written: str, problem: NumberParseException) -> str:
    match problem.error_type:
        case NumberParseException.INVALID_COUNTRY_CODE if not written.startswith("+"):
            return "the number must begin with + and its country code, such as +1 for the USA"
        case NumberParseException.INVALID_COUNTRY_CODE:
            return "there is no such country code. Check the digits after the +"
        case NumberParseException.TOO_LONG:
            return "the number has too many digits"
        case NumberParseException.TOO_SHORT_NSN | NumberParseException.TOO_SHORT_AFTER_IDD:
            return "the number has too few digits"
        case _:
            return "this is not a phone number. Write it in digits, with + and its country code first"
