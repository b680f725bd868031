"""The provider that the settings name. Nothing that costs money is ever given a number of the test range."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import assert_never

from workloads.common.aws import Aws
from workloads.invitations.sending.port import Fault, Outcome, Provider, Refused, Sms, Traced, Untraced
from workloads.invitations.sending.sandbox import Sandbox
from workloads.invitations.sending.settings import ProviderSettings, ToSandbox, ToSns
from workloads.invitations.sending.sns import Sns
from workloads.invitations.sending.twilio import Account, Twilio

TEST_RANGE = "+1555"
"""No area code of North America: what documentation and tests send to."""


class Paid:
    """The last door before a provider that costs money and reaches people."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.name = provider.name

    async def send(self, message: Sms) -> Outcome:
        if message.to.startswith(TEST_RANGE):
            why = f"numbers that begin with {TEST_RANGE} are for tests: only the sandbox takes them"
            return Refused(Fault.RECIPIENT, "test_range", why)
        return await self._provider.send(message)

    async def find(self, message: Sms, *, since: float) -> Traced | Untraced:
        return await self._provider.find(message, since=since)


@asynccontextmanager
async def opened(settings: ProviderSettings, *, calls: int) -> AsyncIterator[Provider]:
    """`calls`: how many may be under way at a time."""
    match settings.to:
        case ToSandbox():
            yield Sandbox()
        case ToSns() as to:
            async with Aws(calls=calls) as aws, aclosing(Sns(aws, to, seconds=settings.seconds)) as sns:
                yield Paid(sns)
        case Account() as account:
            async with aclosing(Twilio(account, seconds=settings.seconds)) as twilio:
                yield Paid(twilio)
        case _:
            assert_never(settings.to)
