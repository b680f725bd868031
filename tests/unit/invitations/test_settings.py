"""Settings name themselves when they are wrong."""

import pytest

from tests.invitation_service import KEY, environment
from workloads.common.environment import SettingError
from workloads.invitations.sending.settings import ProviderName
from workloads.invitations.settings import Delivery, Role, read

GOOD = environment("postgresql://user:secret@db/invitations")


def test_little_must_be_set():
    settings = read(GOOD)
    assert settings.provider is ProviderName.SANDBOX
    assert settings.delivery is Delivery.QUEUE
    assert settings.roles == {Role.API}
    assert (settings.limits.daily, settings.limits.phone_ms) == (10, 86_400_000)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("DATABASE_URL", "", "DATABASE_URL is not set"),
        ("DATABASE_URL", "mysql://user:secret@db/x", "DATABASE_URL: 'mysql' names no database"),
        ("JWT_SECRET", "", "JWT_SECRET is not set"),
        ("JWT_SECRET", "short", "JWT_SECRET is 5 bytes long"),
        ("JWT_ALGORITHM", "none", "JWT_ALGORITHM: 'none' is none of HS256, RS256"),
        ("JWT_ALGORITHM", "RS256", "give either JWT_PUBLIC_KEY"),
        ("PHONE_KEYS", KEY, "PHONE_KEYS: an entry has no id"),
        ("PHONE_KEYS", "k1:AAAA", "PHONE_KEYS: a key is 3 bytes long instead of 32"),
        ("PHONE_KEYS", "k1:%%", "PHONE_KEYS: a key is not base64"),
        ("PHONE_HASH_KEY", "", "PHONE_HASH_KEY is not set"),
        ("ROLES", "api,cook", "ROLES: 'api,cook' is no list of api, relay, sender"),
        ("ROLES", "relay", "QUEUE_URL is not set"),
        ("PROVIDER", "", "PROVIDER is not set: give sns or twilio"),
        ("DEFAULT_REGION", "usa", "DEFAULT_REGION: 'usa' is no country"),
        ("PROVIDER", "pigeon", "PROVIDER: 'pigeon' is none of sandbox, sns, twilio"),
        ("ALLOWED_REGIONS", "US,usa", "ALLOWED_REGIONS: 'usa' is no country"),
        ("PUBLIC_URL", "app.example.com", "PUBLIC_URL: 'app.example.com' is no address"),
        ("SIGN_UP_URL", "https://app.example.com/sign-up", "SIGN_UP_URL: 'https://app.example.com/sign-up' is not an"),
        ("SIGN_UP_URL", "javascript:alert('{code}')", "SIGN_UP_URL: "),
        ("TRUSTED_PROXIES", "11", "TRUSTED_PROXIES: '11' is not a number between 0 and 10"),
        ("PROBE_PORT", "8080", "PROBE_PORT is 8080, as PORT is"),
        ("DAILY_LIMIT", "0", "DAILY_LIMIT: '0' is not a number between 1 and 10000"),
        ("ERROR_RATE", "0.1", "ERROR_RATE: faults are for demonstrations and tests. There, set ALLOW_FAULTS=true"),
        ("ERRORS_ABOVE", "5", "ERRORS_ABOVE: faults are for demonstrations"),
        ("EXTRA_LATENCY", "1", "EXTRA_LATENCY: faults are for demonstrations"),
        ("COLD_LATENCY", "1", "COLD_LATENCY: faults are for demonstrations"),
        ("ALLOW_FAULTS", "yes", "ALLOW_FAULTS: 'yes' is not true"),
    ],
)
def test_a_wrong_setting_names_itself(name, value, says):
    with pytest.raises(SettingError) as caught:
        read({**GOOD, name: value})
    assert says in str(caught.value)
    assert "secret" not in str(caught.value).replace("the secret that", "")


def test_all_that_is_wrong_is_said_at_once_and_no_secret_with_it():
    wrong = {
        "DATABASE_URL": "mysql://user:hidden@db/x",
        "JWT_SECRET": "hidden",
        "PHONE_KEYS": "k1:hidden,hidden",
        "PHONE_HASH_KEY": "hidden",
        "PUBLIC_URL": "ftp://user:hidden@app.example.com",
        "CORS_ORIGINS": "https://user:hidden@app.example.com",
        "PROVIDER": "twilio",
        "TWILIO_ACCOUNT_SID": "hidden",
        "ROLES": "api,cook",
        "PORT": "x",
        "DAILY_LIMIT": "1.5",
        "QUIET_HOURS": "night",
    }
    with pytest.raises(SettingError) as caught:
        read({**GOOD, **wrong})
    first, *lines = str(caught.value).splitlines()
    assert first == f"{len(lines)} settings are wrong"
    named = {line.strip().split(":")[0].split(" ")[0] for line in lines}
    assert named == {*wrong, "TWILIO_AUTH_TOKEN", "TWILIO_SENDER"} - {"PROVIDER"}
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("name", ["PUBLIC_URL", "CORS_ORIGINS", "SIGN_UP_URL"])
def test_what_is_no_address_at_all_is_named_too(name):
    with pytest.raises(SettingError, match=f"^{name}: "):
        read({**GOOD, name: "https://[x"})


def test_with_nothing_set_all_that_is_needed_is_said():
    with pytest.raises(SettingError) as caught:
        read({})
    for name in ("DATABASE_URL", "JWT_SECRET", "PHONE_KEYS", "PHONE_HASH_KEY", "PROVIDER", "QUEUE_URL", "JOBS_TABLE"):
        assert f"{name} is not set: give " in str(caught.value)
