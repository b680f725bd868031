"""Amazon SNS: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html with a phone number.

boto3 must not repeat the call by itself, as it does with its other calls: each may be a message. SNS keeps nothing that
can be asked about one message afterwards, so an unknown outcome stays unknown until a person looks into the delivery
logs in CloudWatch. To a number that has opted out SNS accepts a message and delivers none.
"""

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
)

from workloads.common.aws import Aws, code, is_outage, status
from workloads.invitations.sending.port import Accepted, Fault, Outcome, Refused, Sms, Traced, Unknown, Untraced
from workloads.invitations.sending.settings import ToSns

_NEVER_LEFT = (ConnectTimeoutError, EndpointConnectionError)
_NEVER_TRIED = (
    CredentialRetrievalError, NoCredentialsError, NoRegionError, ParamValidationError, PartialCredentialsError,
)  # fmt: skip
_BUSY = frozenset({"Throttled", "ThrottledException"})
_OPTED_OUT = frozenset({"OptedOut", "OptedOutException"})
_INVALID = frozenset({"InvalidParameter", "InvalidParameterValue", "InvalidParameterException"})
_SERVER_ERROR = 500
_CONNECT_S = 3.0


class Sns:
    name = "sns"

    def __init__(self, aws: Aws, to: ToSns, *, seconds: float) -> None:
        """`seconds`: for one call."""
        self._aws = aws
        self._attributes = {
            name: {"DataType": kind, "StringValue": value}
            for name, kind, value in (
                ("AWS.SNS.SMS.SMSType", "String", to.type.value),
                ("AWS.SNS.SMS.SenderID", "String", to.sender_id),
                ("AWS.SNS.SMS.MaxPrice", "Number", to.max_price),
                ("AWS.MM.SMS.OriginationNumber", "String", to.origination),
            )
            if value
        }
        once = Config(
            connect_timeout=min(_CONNECT_S, seconds),
            read_timeout=seconds,
            retries={"mode": "standard", "total_max_attempts": 1},
        )
        self._client: Any = boto3.session.Session().client("sns", config=once)

    async def aclose(self) -> None:
        self._client.close()

    async def send(self, message: Sms) -> Outcome:
        try:
            answer = await self._aws.call(
                self._client.publish,
                PhoneNumber=message.to,
                Message=message.text,
                MessageAttributes=self._attributes,
            )
        except (BotoCoreError, ClientError) as problem:
            return outcome(problem)
        return Accepted(str(answer["MessageId"]))

    async def find(self, message: Sms, *, since: float) -> Traced | Untraced:
        del message, since
        return Untraced("SNS cannot be asked for a message; its delivery logs in CloudWatch can")


def outcome(problem: BotoCoreError | ClientError) -> Outcome:
    why = str(problem)
    if isinstance(problem, _NEVER_LEFT):
        return Refused(Fault.PROVIDER, "unreachable", why)
    if isinstance(problem, _NEVER_TRIED):
        return Refused(Fault.SETUP, type(problem).__name__, why)
    if not isinstance(problem, ClientError) or status(problem) >= _SERVER_ERROR:
        return Unknown(why)
    if code(problem) in _BUSY or is_outage(problem):
        return Refused(Fault.PROVIDER, code(problem), why)
    if code(problem) in _OPTED_OUT or (code(problem) in _INVALID and "PhoneNumber" in why):
        return Refused(Fault.RECIPIENT, code(problem), why)
    return Refused(Fault.SETUP, code(problem), why)
