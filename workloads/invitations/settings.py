"""What the service reads from its environment, once, at the start. The README has the same as a table."""

import base64
import binascii
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import phonenumbers

from workloads.common import faults
from workloads.common.environment import Environment, parts_of, without_password
from workloads.common.faults import Faults
from workloads.common.http_metrics import Identity
from workloads.invitations.opening import DatabaseUrlError, dialect
from workloads.invitations.postgres import Pooling
from workloads.invitations.privacy import Keys
from workloads.invitations.quiet_hours import NONE, QuietHours, QuietHoursError
from workloads.invitations.quiet_hours import parse as parse_quiet_hours
from workloads.invitations.sending import settings as sending_settings
from workloads.invitations.sending.settings import ProviderName, ProviderSettings, SenderSettings
from workloads.invitations.tokens import Algorithm, Trust

_DAY_MS = 86_400_000
_KEY_BYTES = 32
_QUIET_HOURS = "21:00-08:00"
"""When the rules for marketing by telephone in the USA (47 CFR 64.1200) want nobody called."""
_SIGN_UP = "https://app.example.com/sign-up?code={code}"


class Role(StrEnum):
    """What one process does. The API alone scales with requests, the sender with the queue."""

    API = "api"
    RELAY = "relay"
    """Also clears away what is old."""
    SENDER = "sender"


class Delivery(StrEnum):
    QUEUE = "queue"
    SYNCHRONOUS = "synchronous"
    """The request waits for the provider; for those who have no queue."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in milliseconds."""

    daily: int = 10
    """Invitations a user in any 24 hours."""
    phone_ms: int = _DAY_MS
    """One invitation a phone in this time, whoever sends it."""
    expire_ms: int = 30 * _DAY_MS
    purge_ms: int = 90 * _DAY_MS
    """After this time nothing is left of a phone number."""
    idempotency_ms: int = _DAY_MS


@dataclass(frozen=True, slots=True)
class Serving:
    """Seconds and bytes. What a request may cost before anybody knows who sent it."""

    host: str
    port: int
    body_bytes: int = 16_384
    read_s: float = 5.0
    """From the first byte of a connection, or of a body, to its last."""
    drain_s: float = 15.0
    at_once: int = 256
    begun: int = 40
    turn_s: float = 5.0
    """Requests under way; one more is refused."""
    probe_port: int = 0
    """Of kubelet's questions; 0: they are answered where requests are."""
    origins: frozenset[str] = frozenset()
    """Web pages of others, such as https://app.example.com, whose scripts may call the API."""
    proxies: int = 0
    """How many of ours name the caller in X-Forwarded-For."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    url: str
    bucket: str
    token: str


@dataclass(frozen=True, slots=True)
class Settings:
    identity: Identity
    roles: frozenset[Role]
    database_url: str
    pooling: Pooling
    trust: Trust
    keys: Keys
    limits: Limits
    regions: frozenset[str]
    quiet_hours: QuietHours | None
    provider: ProviderName
    delivery: Delivery
    sending: ProviderSettings
    sender: SenderSettings | None
    """There, if this process takes jobs from the queue."""
    queue_url: str
    dead_letter_queue_url: str
    public_url: str
    """Where the world finds this service, without a slash at its end: in links, and what callbacks are signed for."""
    default_region: str
    """Of numbers without a country code, "" for none."""
    app_name: str
    sign_up_url: str
    """Where a friend signs up; `{code}` in it stands for the invitation's. "": the page names the code alone."""
    serving: Serving
    telemetry: Telemetry
    client_s: float
    """So long after its first request a client is counted, as failed or not; 0: clients are not counted."""
    faults: Faults
    seed: str


def read(environment: Mapping[str, str]) -> Settings:
    """Raises SettingError."""
    variables = Environment(environment)
    with variables.all_at_once():
        return _read(variables)


def _read(variables: Environment) -> Settings:
    number, whole, text = variables.number, variables.whole, variables.text
    delivery = _choice(variables, "DELIVERY", Delivery.QUEUE)
    roles = _roles(variables, text("ROLES", "api,relay,sender"))
    identity = Identity(
        service=text("SERVICE", "invitations"),
        revision=text("REVISION", "none"),
        pod=text("POD", socket.gethostname()),
    )
    queued = delivery is Delivery.QUEUE and roles & {Role.RELAY, Role.SENDER}
    port = whole("PORT", 8080, highest=65535)
    return Settings(
        identity=identity,
        roles=roles,
        database_url=_database_url(variables),
        pooling=Pooling(
            connections=whole("DATABASE_CONNECTIONS", 10, lowest=1, highest=200),
            acquire=number("DATABASE_WAIT_SECONDS", 2, lowest=0.05, highest=60),
            lock=number("DATABASE_LOCK_SECONDS", 2, lowest=0.05, highest=60),
            statement=number("DATABASE_STATEMENT_SECONDS", 5, lowest=0.1, highest=60),
        ),
        trust=trust(variables),
        keys=_keys(variables),
        limits=Limits(
            daily=whole("DAILY_LIMIT", 10, lowest=1, highest=10_000),
            phone_ms=_ms(number("PHONE_HOURS", 24, lowest=0, highest=24 * 365) / 24),
            expire_ms=_ms(number("EXPIRE_DAYS", 30, lowest=0.001, highest=3650)),
            purge_ms=_ms(number("PURGE_DAYS", 90, lowest=1, highest=3650)),
        ),
        regions=_regions(variables, text("ALLOWED_REGIONS", "US,CA")),
        quiet_hours=_quiet_hours(variables, delivery),
        provider=sending_settings.provider_name(variables),
        delivery=delivery,
        sending=sending_settings.provider(variables),
        sender=sending_settings.sender(variables) if queued and Role.SENDER in roles else None,
        queue_url=variables.required("QUEUE_URL", "the URL of the queue of invitations") if queued else "",
        dead_letter_queue_url=(
            variables.required("DEAD_LETTER_QUEUE_URL", "the URL of the dead letter queue") if queued else ""
        ),
        public_url=_address(variables, "PUBLIC_URL", "https://app.example.com"),
        default_region=_default_region(variables, text("DEFAULT_REGION")),
        app_name=text("APP_NAME", "AppName"),
        sign_up_url=_sign_up_url(variables, text("SIGN_UP_URL")),
        serving=Serving(
            host=text("HOST", "0.0.0.0"),  # noqa: S104 - in a pod that is the pod's own address
            port=port,
            probe_port=_probe_port(variables, port),
            origins=_origins(variables, text("CORS_ORIGINS")),
            body_bytes=whole("BODY_BYTES", 16_384, lowest=1024, highest=1 << 20),
            read_s=number("READ_SECONDS", 5, lowest=0.1, highest=60),
            drain_s=number("DRAIN_SECONDS", 15, highest=600),
            proxies=whole("TRUSTED_PROXIES", 0, highest=10),
            at_once=whole("REQUESTS_AT_ONCE", 256, lowest=1, highest=10_000),
            begun=whole("REQUESTS_BEGUN", 40, lowest=1, highest=10_000),
            turn_s=number("TURN_SECONDS", 5, lowest=0.1, highest=60),
        ),
        telemetry=Telemetry(
            url=text("TELEMETRY_URL"), bucket=text("TELEMETRY_BUCKET", "metrics"), token=text("TELEMETRY_TOKEN")
        ),
        client_s=number("CLIENT_SECONDS", 0, highest=600),
        faults=faults.read_if_allowed(variables),
        seed=text("SEED", f"{identity.revision}/{identity.pod}"),
    )


def _quiet_hours(variables: Environment, delivery: Delivery) -> QuietHours | None:
    """By default what is sent to people waits for the morning, where there is a queue that it can wait for."""
    reaches_people = sending_settings.provider_name(variables) is not ProviderName.SANDBOX
    text = variables.text("QUIET_HOURS", _QUIET_HOURS if reaches_people and delivery is Delivery.QUEUE else NONE)
    try:
        quiet_hours = parse_quiet_hours(text)
    except QuietHoursError as problem:
        variables.refuse(f"QUIET_HOURS: {problem}")
        return None
    if quiet_hours and delivery is Delivery.SYNCHRONOUS:
        variables.refuse(
            f"QUIET_HOURS: a request cannot wait for the morning: with DELIVERY=synchronous leave it out, or set {NONE}"
        )
    return quiet_hours


def _probe_port(variables: Environment, port: int) -> int:
    probe_port = variables.whole("PROBE_PORT", 0, highest=65535)
    if probe_port and probe_port == port:
        variables.refuse(f"PROBE_PORT is {probe_port}, as PORT is: probes need a port of their own, or leave it out")
    return probe_port


def database_url(environment: Mapping[str, str]) -> str:
    """Raises SettingError. What the migration needs too, and nothing else."""
    return _database_url(Environment(environment))


def _database_url(variables: Environment) -> str:
    if url := variables.required("DATABASE_URL", "postgresql://user:password@host/name"):
        try:
            dialect(url)
        except DatabaseUrlError as problem:
            variables.refuse(f"DATABASE_URL: {problem}")
    return url


def trust(variables: Environment) -> Trust:
    """Raises SettingError. What making a token needs too."""
    algorithm = _choice(variables, "JWT_ALGORITHM", Algorithm.HS256)
    secret = public_key = jwks_url = ""
    if algorithm is Algorithm.HS256:
        secret = variables.required("JWT_SECRET", "the secret that tokens are signed with, at least 32 bytes")
        if secret and len(secret.encode()) < _KEY_BYTES:
            variables.refuse(f"JWT_SECRET is {len(secret.encode())} bytes long: HS256 needs at least {_KEY_BYTES}")
    else:
        public_key, jwks_url = variables.text("JWT_PUBLIC_KEY"), variables.text("JWT_JWKS_URL")
        if bool(public_key) == bool(jwks_url):
            variables.refuse("JWT_ALGORITHM is RS256: give either JWT_PUBLIC_KEY (PEM) or JWT_JWKS_URL")
    return Trust(
        algorithm=algorithm,
        secret=secret,
        public_key=public_key,
        jwks_url=jwks_url,
        issuer=variables.text("JWT_ISSUER"),
        audience=variables.text("JWT_AUDIENCE"),
        name_claim=variables.text("JWT_NAME_CLAIM", "name"),
        new_user_claim=variables.text("JWT_NEW_USER_CLAIM"),
        scope=variables.text("JWT_SCOPE"),
    )


def _keys(variables: Environment) -> Keys:
    text = variables.required("PHONE_KEYS", "ID:KEY, the key 32 bytes in base64; older ones after it, by commas")
    ciphers: dict[str, bytes] = {}
    for each in text.split(",") if text else ():
        key_id, separator, encoded = each.strip().partition(":")
        if separator and key_id:
            ciphers[key_id] = _key(variables, "PHONE_KEYS", encoded)
        else:
            variables.refuse("PHONE_KEYS: an entry has no id: give ID:KEY, more by commas, the newest first")
    hashing = variables.required("PHONE_HASH_KEY", "32 bytes in base64; it never changes, or limits forget")
    return Keys(ciphers=ciphers, hashing=_key(variables, "PHONE_HASH_KEY", hashing) if hashing else b"")


def _key(variables: Environment, name: str, encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        variables.refuse(f"{name}: a key is not base64: make one with `head -c {_KEY_BYTES} /dev/urandom | base64`")
        return b""
    if len(key) != _KEY_BYTES:
        variables.refuse(f"{name}: a key is {len(key)} bytes long instead of {_KEY_BYTES}")
    return key


Chosen = TypeVar("Chosen", bound=StrEnum)


def _choice(variables: Environment, name: str, default: Chosen) -> Chosen:
    text = variables.text(name, default.value)
    if text not in set(type(default)):
        variables.refuse(f"{name}: {text!r} is none of {', '.join(type(default))}")
        return default
    return type(default)(text)


def _roles(variables: Environment, text: str) -> frozenset[Role]:
    roles = {each.strip() for each in text.split(",")}
    if not roles <= set(Role):
        variables.refuse(f"ROLES: {text!r} is no list of {', '.join(Role)}")
    return frozenset(Role(role) for role in roles & set(Role))


def _regions(variables: Environment, text: str) -> frozenset[str]:
    regions = frozenset(each.strip() for each in text.split(","))
    for each in sorted(regions):
        if not (len(each) == 2 and each.isascii() and each.isupper()):  # noqa: PLR2004
            variables.refuse(f"ALLOWED_REGIONS: {each!r} is no country of two capital letters, such as US")
    return regions


def _default_region(variables: Environment, text: str) -> str:
    if text and text not in phonenumbers.SUPPORTED_REGIONS:
        variables.refuse(f"DEFAULT_REGION: {text!r} is no country of two capital letters, such as US")
    return text


def _origins(variables: Environment, text: str) -> frozenset[str]:
    origins = frozenset(each.strip() for each in text.split(",") if each.strip())
    for origin in sorted(origins):
        parts = parts_of(origin)
        if (
            parts.scheme not in {"http", "https"}
            or not parts.hostname
            or "@" in origin
            or origin != f"{parts.scheme}://{parts.netloc}"
        ):
            variables.refuse(
                f"CORS_ORIGINS: {without_password(origin)!r} is not an origin such as https://app.example.com"
            )
    return origins


def _address(variables: Environment, name: str, default: str) -> str:
    url = variables.text(name, default).rstrip("/")
    parts = parts_of(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
        variables.refuse(f"{name}: {without_password(url)!r} is no address such as https://app.example.com")
    return url


def _sign_up_url(variables: Environment, url: str) -> str:
    parts = parts_of(url)
    if url and (parts.scheme not in {"http", "https"} or not parts.netloc or url.count("{code}") != 1):
        variables.refuse(
            f"SIGN_UP_URL: {without_password(url)!r} is not an address with {{code}} in it, such as {_SIGN_UP}"
        )
    return url


def _ms(days: float) -> int:
    return round(days * _DAY_MS)
