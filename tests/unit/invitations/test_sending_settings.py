"""I16: a wrong setting is named, with what it may be."""

from pathlib import Path

import pytest

from workloads.common.environment import Environment, SettingError
from workloads.invitations.sending import settings
from workloads.invitations.sending.settings import ProviderName, SnsType, ToSandbox, ToSns
from workloads.invitations.sending.twilio import Account

TWILIO = {
    "PROVIDER": "twilio",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "secret-of-twilio",
    "TWILIO_SENDER": "+12025550100",
    "PUBLIC_URL": "https://invite.example.com/",
}


def provider(**variables):
    return settings.provider(Environment(variables))


def test_without_a_choice_of_provider_nothing_starts():
    """I16: the sandbox says SENT and sends nothing, so nobody is to get it unasked."""
    with pytest.raises(SettingError, match="PROVIDER is not set"):
        provider()
    assert provider(PROVIDER="sandbox").to == ToSandbox()
    assert provider(PROVIDER="sns", SNS_SENDER_ID="Pointsman").to == ToSns("Pointsman")


def test_invitations_are_promotion_unless_somebody_says_otherwise():
    """I16"""
    assert provider(PROVIDER="sns").to == ToSns(type=SnsType.PROMOTIONAL)
    assert provider(PROVIDER="sns", SNS_TYPE="Transactional").to == ToSns(type=SnsType.TRANSACTIONAL)
    capped = provider(PROVIDER="sns", SNS_ORIGINATION_NUMBER="+12065550100", SNS_MAX_PRICE="0.05").to
    assert capped == ToSns(origination="+12065550100", max_price="0.05")


def test_twilio_calls_back_at_the_public_address():
    """I18"""
    account = provider(**TWILIO).to
    assert isinstance(account, Account)
    assert account.callback("i1") == "https://invite.example.com/callbacks/twilio/i1"
    assert account.url == "https://api.twilio.com"


def test_a_secret_is_not_printed():
    """I22"""
    assert "secret-of-twilio" not in repr(provider(**TWILIO))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"PROVIDER": "pigeon"}, "PROVIDER: 'pigeon' is none of sandbox, sns, twilio"),
        ({"TWILIO_ACCOUNT_SID": "SK1"}, "TWILIO_ACCOUNT_SID is not AC and 32"),
        ({"TWILIO_AUTH_TOKEN": ""}, "TWILIO_AUTH_TOKEN is not set"),
        ({"TWILIO_SENDER": ""}, "TWILIO_SENDER is not set"),
        ({"PUBLIC_URL": ""}, "PUBLIC_URL is not set"),
        ({"PUBLIC_URL": "http://invite.example.com"}, "PUBLIC_URL: 'http://invite.example.com' is not an https://"),
        ({"PUBLIC_URL": "https://invite.example.com?x=1"}, "PUBLIC_URL: "),
        ({"PUBLIC_URL": "https://user:pass@invite.example.com"}, "PUBLIC_URL: 'https://invite.example.com' is not an"),
        ({"PUBLIC_URL": "https://[invite"}, "PUBLIC_URL: 'https://[invite' is not an https://"),
        ({"PROVIDER_SECONDS": "0"}, "PROVIDER_SECONDS: '0' is not a number between 0.1 and 60"),
        ({"PROVIDER": "sns", "SNS_TYPE": "promo"}, "SNS_TYPE: 'promo' is none of Promotional, Transactional"),
        ({"PROVIDER": "sns", "SNS_ORIGINATION_NUMBER": "shop"}, "SNS_ORIGINATION_NUMBER: 'shop' is not a number of"),
        ({"PROVIDER": "sns", "SNS_MAX_PRICE": "5c"}, "SNS_MAX_PRICE: '5c' is not a price in US dollars"),
        ({"PROVIDER": "sns", "SNS_MAX_PRICE": "0"}, "SNS_MAX_PRICE: '0' is not a price in US dollars"),
        ({"BREAKER_LONGEST_SECONDS": "1"}, "BREAKER_LONGEST_SECONDS: '1' is not a number between 15 and"),
    ],
)
def test_what_is_wrong_is_named(change, says):
    """I16"""
    with pytest.raises(SettingError) as problem:
        provider(**{**TWILIO, **change})
    assert str(problem.value).startswith(says)


def test_the_lease_ends_before_the_message_is_seen_again():
    """I15"""
    queue = {"JOBS_TABLE": "j", "VISIBILITY_SECONDS": "100"}
    sender = settings.sender(Environment(queue))
    assert sender.terms.lease < sender.rules.visibility
    with pytest.raises(SettingError, match="JOBS_TABLE is not set"):
        settings.sender(Environment({**queue, "JOBS_TABLE": ""}))


def test_the_readme_names_every_variable():
    """I16"""
    asked: set[str] = set()

    class Listening(Environment):
        def text(self, name: str, default: str = "") -> str:
            asked.add(name)
            return super().text(name, default)

    for name in ProviderName:
        settings.provider(Listening({**TWILIO, "PROVIDER": name}))
    settings.sender(Listening({"JOBS_TABLE": "jobs"}))
    told = (Path(settings.__file__).parent / "README.md").read_text()
    assert len(asked) > 20
    assert [name for name in sorted(asked) if f"`{name}`" not in told] == []
