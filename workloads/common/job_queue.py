"""SQS as the claim protocol needs it: a standard queue and its dead letter queue.

Receipt handles grow old (another receive, a deletion), and what a server says then differs from one to the next.
It never matters: the row decides, and the message comes again or is gone.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from workloads.common import dead_letter
from workloads.common.aws import Aws, is_outage
from workloads.common.dead_letter import as_sent

log = logging.getLogger(__name__)

TRACEPARENT = "traceparent"
_MOST_DELAY_S = 900
_MOST_VISIBILITY_S = 11 * 3600  # SQS counts its 12 hours from when a message was received, however long ago
_MOST_MESSAGES = 10


@dataclass(frozen=True, slots=True)
class Message:
    body: str
    receipt: str
    sent_at: float
    """Seconds since 1970, by the queue's clock."""
    receives: int
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Those that are text."""
    raw: Mapping[str, Any] = field(default_factory=dict)
    """All, as SQS gave them: a copy of the message keeps their types and bytes."""


class JobQueue:
    def __init__(
        self, aws: Aws, url: str, *, dead_letters: str, wait_s: int, visibility_s: int, renew_after: int
    ) -> None:
        """`renew_after`: receives after which a message that is put off is replaced by a new one."""
        self.url = url
        self.dead_letters = dead_letters
        self._aws = aws
        self._wait_s = wait_s
        self._visibility_s = visibility_s
        self._renew_after = renew_after

    async def receive(self, most: int, *, wait_s: int | None = None) -> list[Message]:
        """A long poll for 1 to `most` messages, of `wait_s` seconds at most. Not to be aborted: what it brings would be
        invisible and nobody's.
        """
        wait = self._wait_s if wait_s is None else min(wait_s, self._wait_s)
        answer = await self._aws.poll(
            **_receive(self.url, most), WaitTimeSeconds=wait, VisibilityTimeout=self._visibility_s
        )
        return [_message(each) for each in answer.get("Messages", ())]

    async def extend(self, message: Message, seconds: float) -> None:
        await self._aws.call(
            self._aws.sqs.change_message_visibility,
            QueueUrl=self.url,
            ReceiptHandle=message.receipt,
            VisibilityTimeout=min(max(0, round(seconds)), _MOST_VISIBILITY_S),
        )

    async def put_off(self, message: Message, seconds: float) -> None:
        """It comes again after so many seconds, to anybody.

        Each coming counts towards the redrive policy, which is meant for messages that nobody understands. One that
        was put off often (its job is busy for hours, or it came to a canary that may not have it) is sent anew and
        begins at 1; first the new one, so that there are two rather than none.
        """
        if message.receives < self._renew_after:
            await self.extend(message, seconds)
            return
        delay = min(max(0, round(seconds)), _MOST_DELAY_S)
        await self._send(self.url, message.body, message.raw, delay)
        await self.delete(message)

    async def delete(self, message: Message) -> None:
        await self._aws.call(self._aws.sqs.delete_message, QueueUrl=self.url, ReceiptHandle=message.receipt)

    async def send(self, body: str, attributes: Mapping[str, str], *, delay: int = 0) -> None:
        await self._send(self.url, body, as_sent(attributes), delay)

    async def send_again(self, message: Message) -> None:
        """As its producer sent it, without the story of its end."""
        await self._send(self.url, message.body, dead_letter.without_story(message.raw), 0)

    async def bury(self, message: Message, story: Mapping[str, str]) -> None:
        """A copy to the dead letter queue, with attributes that say why."""
        try:
            await self._send(self.dead_letters, message.body, dead_letter.with_story(message.raw, story), 0)
        except ClientError as problem:
            if is_outage(problem) or not story:
                raise
            # Most likely the story is what makes it too large. The row has the story too.
            log.warning("a dead letter is sent without its story", extra={"fields": {"why": str(problem)}})
            await self._send(self.dead_letters, message.body, message.raw, 0)

    async def depth(self) -> dict[str, int]:
        """About how many messages wait, are with somebody, and are delayed."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible",
                 "ApproximateNumberOfMessagesDelayed"]  # fmt: skip
        answer = await self._aws.call(self._aws.sqs.get_queue_attributes, QueueUrl=self.url, AttributeNames=names)
        return {name: int(answer["Attributes"][name]) for name in names}

    async def _send(self, url: str, body: str, attributes: Mapping[str, Any], delay: int) -> None:
        await self._aws.call(
            self._aws.sqs.send_message,
            QueueUrl=url,
            MessageBody=body,
            DelaySeconds=delay,
            MessageAttributes=attributes,
        )


class DeadLetters:
    """What a person does with a dead letter queue."""

    def __init__(self, aws: Aws, url: str) -> None:
        self._aws = aws
        self._url = url

    async def take(self, *, hidden_s: int) -> list[Message]:
        """Up to ten, which nobody else sees for so many seconds; none: there are no more."""
        answer = await self._aws.call(
            self._aws.sqs.receive_message,
            **_receive(self._url, _MOST_MESSAGES),
            WaitTimeSeconds=1,
            VisibilityTimeout=hidden_s,
        )
        return [_message(each) for each in answer.get("Messages", ())]

    async def show_again(self, message: Message) -> None:
        await self._aws.call(
            self._aws.sqs.change_message_visibility,
            QueueUrl=self._url,
            ReceiptHandle=message.receipt,
            VisibilityTimeout=0,
        )

    async def delete(self, message: Message) -> None:
        await self._aws.call(self._aws.sqs.delete_message, QueueUrl=self._url, ReceiptHandle=message.receipt)


def _receive(url: str, most: int) -> dict[str, Any]:
    return {
        "QueueUrl": url,
        "MaxNumberOfMessages": min(most, _MOST_MESSAGES),
        "MessageAttributeNames": ["All"],
        "MessageSystemAttributeNames": ["SentTimestamp", "ApproximateReceiveCount"],
    }


def _message(received: Mapping[str, Any]) -> Message:
    system = received.get("Attributes", {})
    raw = received.get("MessageAttributes", {})
    return Message(
        body=received["Body"],
        receipt=received["ReceiptHandle"],
        sent_at=int(system.get("SentTimestamp", 0)) / 1000,
        receives=int(system.get("ApproximateReceiveCount", 1)),
        attributes={name: value["StringValue"] for name, value in raw.items() if "StringValue" in value},
        raw=raw,
    )
