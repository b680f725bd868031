"""I15, I16: what an answer of a provider means. Only a definite refusal may be tried again."""

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from workloads.invitations.sending import sns, twilio
from workloads.invitations.sending.port import Accepted, Delivery, Fault, Refused, Sms, Unknown
from workloads.invitations.sending.providers import Paid
from workloads.invitations.sending.sandbox import Sandbox


@pytest.mark.parametrize("code", [21211, 21214, 21217, 21610, 21612, 21614, 21635])
def test_twilio_refuses_a_number_for_good(code):
    """I6, I16"""
    answer = twilio.outcome(400, {"code": code, "message": "no", "status": 400})
    assert answer == Refused(Fault.RECIPIENT, str(code), "no")
    assert answer.permanent


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (401, {"code": 20003, "message": "Authenticate"}, Fault.SETUP),
        (400, {"code": 21606, "message": "From"}, Fault.SETUP),
        (400, {"code": 21408, "message": "region"}, Fault.SETUP),
        (400, {"code": 21608, "message": "trial"}, Fault.SETUP),
        (403, {}, Fault.SETUP),
        (404, {}, Fault.SETUP),
        (429, {"code": 20429, "message": "Too Many Requests"}, Fault.PROVIDER),
        (429, {}, Fault.PROVIDER),
    ],
)
def test_twilio_refuses_what_may_be_tried_again(status, body, fault):
    """I15"""
    answer = twilio.outcome(status, body)
    assert isinstance(answer, Refused)
    assert answer.fault is fault
    assert not answer.permanent


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_server_error_of_twilio_is_no_word_that_nothing_was_sent(status):
    """I15: whatever the body says."""
    assert isinstance(twilio.outcome(status, {"code": 21211}), Unknown)


@pytest.mark.parametrize("body", [{}, {"sid": None}, {"sid": ""}, {"sid": 5}])
def test_a_success_that_names_no_message_is_unknown(body):
    """I15"""
    assert isinstance(twilio.outcome(201, body), Unknown)
    assert twilio.outcome(201, {"sid": "SM1"}) == Accepted("SM1")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("queued", Delivery.SENT),
        ("accepted", Delivery.SENT),
        ("sent", Delivery.SENT),
        ("delivered", Delivery.DELIVERED),
        ("undelivered", Delivery.UNDELIVERED),
        ("failed", Delivery.UNDELIVERED),
        ("canceled", Delivery.UNDELIVERED),
        ("something-new", None),
    ],
)
def test_every_status_of_twilio_is_known_or_says_nothing(status, expected):
    """I18"""
    assert twilio.delivery(status) is expected


def client_error(code, status, message="no"):
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Publish"
    )


@pytest.mark.parametrize(
    ("problem", "fault"),
    [
        (client_error("InvalidParameter", 400, "Invalid parameter: PhoneNumber Reason: not valid"), Fault.RECIPIENT),
        (client_error("OptedOut", 400), Fault.RECIPIENT),
        (client_error("InvalidParameter", 400, "Invalid parameter: Message too long"), Fault.SETUP),
        (client_error("AuthorizationError", 403), Fault.SETUP),
        (NoCredentialsError(), Fault.SETUP),
        (client_error("Throttled", 429), Fault.PROVIDER),
        (client_error("Throttling", 400), Fault.PROVIDER),
        (ConnectTimeoutError(endpoint_url="https://sns"), Fault.PROVIDER),
        (EndpointConnectionError(endpoint_url="https://sns"), Fault.PROVIDER),
    ],
)
def test_refusals_of_sns(problem, fault):
    """I15, I16"""
    answer = sns.outcome(problem)
    assert isinstance(answer, Refused)
    assert answer.fault is fault


@pytest.mark.parametrize(
    "problem",
    [
        client_error("InternalError", 500),
        client_error("ServiceUnavailable", 503),
        ReadTimeoutError(endpoint_url="https://sns"),
        ConnectionClosedError(endpoint_url="https://sns"),
    ],
)
def test_sns_may_have_sent_what_it_does_not_refuse(problem):
    """I15"""
    assert isinstance(sns.outcome(problem), Unknown)


async def test_the_test_range_is_never_given_to_a_paid_provider():
    """I3"""
    inner = Sandbox()
    answer = await Paid(inner).send(Sms("i1", "+15551234567", "Hello", "Hello"))
    assert isinstance(answer, Refused)
    assert answer.permanent
    assert not inner.sent
    assert isinstance(await Paid(inner).send(Sms("i1", "+12025550123", "Hello", "Hello")), Accepted)


async def test_the_end_of_a_number_decides_what_the_sandbox_does():
    """I16"""
    sandbox = Sandbox()
    refused, busy, silent, lost = [
        await sandbox.send(Sms(end, f"+1555123{end}", "Hello", "Hello")) for end in ("0001", "0002", "0003", "0004")
    ]
    assert isinstance(refused, Refused)
    assert refused.permanent
    assert isinstance(busy, Refused)
    assert busy.fault is Fault.PROVIDER
    assert isinstance(silent, Unknown)
    assert isinstance(lost, Unknown)
    assert [sms.invitation_id for _, sms in sandbox.sent] == ["0003"], "accepted, although nobody heard"
    assert isinstance(await sandbox.send(Sms("i", "+15551234567", "Hello", "Hello")), Accepted)
