"""What sending reads from the environment, once, at the start. The README has the same as a table."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from workloads.common.attempt import Rules
from workloads.common.consumer import Capacity
from workloads.common.environment import Environment, parts_of, without_password
from workloads.common.job_table import Terms
from workloads.invitations.sending.breaker import Limits
from workloads.invitations.sending.twilio import Account

LEASE_SHARE = 0.9
"""Of the visibility timeout: a lease that ends first lets the next receiver claim instead of finding it busy."""
_QUEUE_KEEPS_DAYS = 14
_SID = re.compile(r"AC[0-9a-fA-F]{32}")
_ORIGINATION = re.compile(r"\+[1-9][0-9]{4,14}|[0-9]{4,8}")
"""With its country, or a short code."""
_PRICE = re.compile(r"[0-9]{1,3}(\.[0-9]{1,5})?")
_LOCAL = frozenset({"localhost", "127.0.0.1"})


class ProviderName(StrEnum):
    SANDBOX = "sandbox"
    SNS = "sns"
    TWILIO = "twilio"


@dataclass(frozen=True, slots=True)
class ToSandbox:
    """Nothing to be set."""


class SnsType(StrEnum):
    PROMOTIONAL = "Promotional"
    """What invitations are: carriers and countries hold them to other rules, and SNS to a budget."""
    TRANSACTIONAL = "Transactional"


@dataclass(frozen=True, slots=True)
class ToSns:
    sender_id: str = ""
    """Shown as the sender where a country permits it, "" for none."""
    type: SnsType = SnsType.PROMOTIONAL
    origination: str = ""
    """The number of yours that it is sent from, "" for what SNS chooses."""
    max_price: str = ""
    """US dollars, as written: a message that costs more is not sent. "": no such cap."""


@dataclass(frozen=True, slots=True)
class Search:
    """For messages whose outcome is not known. Seconds."""

    every: float
    for_: float
    """How long after the attempt it is looked for."""
    abandoned_after: float = 900.0
    """An attempt without an end is nobody's any more: longer than any job may take."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    to: ToSandbox | ToSns | Account
    seconds: float
    """For one call."""
    limits: Limits
    search: Search


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """Of the role that takes jobs from the queue."""

    jobs: str
    """The DynamoDB table of the claim library."""
    rules: Rules
    terms: Terms
    capacity: Capacity
    wait_s: int


def provider_name(variables: Environment) -> ProviderName:
    """Raises SettingError."""
    name = variables.required("PROVIDER", "sns or twilio, or sandbox, which sends nothing and says SENT")
    if name in set(ProviderName):
        return ProviderName(name)
    if name:
        variables.refuse(f"PROVIDER: {name!r} is none of {', '.join(ProviderName)}")
    return ProviderName.SANDBOX


def provider(variables: Environment) -> ProviderSettings:
    """Raises SettingError."""
    number, name = variables.number, provider_name(variables)
    to: ToSandbox | ToSns | Account
    match name:
        case ProviderName.SANDBOX:
            to = ToSandbox()
        case ProviderName.SNS:
            to = _sns(variables)
        case ProviderName.TWILIO:
            to = _twilio(variables)
        case _:
            assert_never(name)
    rest = number("BREAKER_SECONDS", 15, lowest=0.1, highest=3600)
    return ProviderSettings(
        to=to,
        seconds=number("PROVIDER_SECONDS", 10, lowest=0.1, highest=60),
        limits=Limits(
            failures=variables.whole("BREAKER_FAILURES", 5, lowest=1, highest=1000),
            rest=rest,
            longest_rest=number("BREAKER_LONGEST_SECONDS", max(300, rest), lowest=rest, highest=86400),
        ),
        search=Search(
            every=number("RECONCILE_SECONDS", 30, lowest=0.1, highest=3600),
            for_=number("RECONCILE_HOURS", 24, lowest=0.01, highest=24 * 30) * 3600,
        ),
    )


def sender(variables: Environment) -> SenderSettings:
    """Raises SettingError."""
    number, whole = variables.number, variables.whole
    visibility = whole("VISIBILITY_SECONDS", 60, lowest=2, highest=12 * 3600)
    return SenderSettings(
        jobs=variables.required("JOBS_TABLE", "the name of the DynamoDB table of jobs"),
        rules=Rules(
            visibility=visibility,
            max_attempts=whole("MAX_ATTEMPTS", 5, lowest=1, highest=100),
            longest_job=number("LONGEST_JOB_SECONDS", 90, lowest=1, highest=300),
            first_pause=number("RETRY_SECONDS", 2, highest=900),
            longest_pause=number("LONGEST_RETRY_SECONDS", 300, highest=12 * 3600),
        ),
        terms=Terms(
            lease=visibility * LEASE_SHARE,
            skew=number("CLOCK_SKEW_SECONDS", 2, highest=60),
            keep=number("KEEP_DAYS", 30, lowest=_QUEUE_KEEPS_DAYS + 1, highest=3650) * 86400,
        ),
        capacity=Capacity(
            slots=whole("SLOTS", 8, lowest=1, highest=256),
            drain=number("DRAIN_SECONDS", 15, highest=600),
        ),
        wait_s=whole("WAIT_SECONDS", 20, highest=20),
    )


def _sns(variables: Environment) -> ToSns:
    text = variables.text
    origination, price = text("SNS_ORIGINATION_NUMBER"), text("SNS_MAX_PRICE")
    if origination and not _ORIGINATION.fullmatch(origination):
        variables.refuse(f"SNS_ORIGINATION_NUMBER: {origination!r} is not a number of yours, such as +12065550100")
    if price and (not _PRICE.fullmatch(price) or float(price) == 0):
        variables.refuse(f"SNS_MAX_PRICE: {price!r} is not a price in US dollars, such as 0.05")
    type_ = text("SNS_TYPE", SnsType.PROMOTIONAL)
    if type_ not in set(SnsType):
        variables.refuse(f"SNS_TYPE: {type_!r} is none of {', '.join(SnsType)}")
        type_ = SnsType.PROMOTIONAL
    return ToSns(text("SNS_SENDER_ID"), SnsType(type_), origination, price)


def _twilio(variables: Environment) -> Account:
    sid = variables.required("TWILIO_ACCOUNT_SID", "the sid of the Twilio account (AC…)")
    if sid and not _SID.fullmatch(sid):  # not shown: it may be the token, in the wrong place
        variables.refuse(
            "TWILIO_ACCOUNT_SID is not AC and 32 hexadecimal digits: give the sid of the account, not of a key"
        )
    return Account(
        sid=sid,
        token=variables.required("TWILIO_AUTH_TOKEN", "the account's auth token: callbacks are signed with it"),
        sender=variables.required("TWILIO_SENDER", "a number, an alphanumeric sender or a messaging service (MG…)"),
        url=_https(variables, "TWILIO_URL", "https://api.twilio.com"),
        public_url=(
            _https(variables, "PUBLIC_URL", "")
            if variables.required("PUBLIC_URL", "where Twilio reaches this API")
            else ""
        ),
    )


def _https(variables: Environment, name: str, default: str) -> str:
    url = variables.text(name, default).rstrip("/")
    parts = parts_of(url)
    is_local = parts.scheme == "http" and parts.hostname in _LOCAL
    if (parts.scheme != "https" and not is_local) or not parts.hostname or parts.query or parts.username:
        variables.refuse(f"{name}: {without_password(url)!r} is not an https:// address without user and query")
    return url
