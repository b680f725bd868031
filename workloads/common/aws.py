"""AWS from asyncio: boto3 in threads of its own, with bounded time, and one place that retries.

boto3 is synchronous. Polls are long and must not keep a renewal of a lease waiting for a thread, so they have an
executor of their own. A call that is under way cannot be taken back: cancelling the waiting for it leaves it running.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, Self, TypeVar

import boto3
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from workloads.common.backoff import Pauses
from workloads.common.server_clock import ServerClock

Answer = TypeVar("Answer")

_CONNECT_S = 2.0
_READ_S = 5.0
_TRIES = 3
_THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_SERVER_ERROR = 500
_PAUSE_S = (0.1, 3.0)


class OutageError(Exception):
    """A service of AWS did not answer for as long as was patient to wait. Nobody's fault: it counts for nobody."""


class Step(Protocol):
    """What is around a part of an attempt: a span."""

    def __call__(self, name: str, attributes: Mapping[str, str]) -> AbstractContextManager[None]: ...


def unseen(name: str, attributes: Mapping[str, str]) -> AbstractContextManager[None]:
    del name, attributes
    return nullcontext()


class Aws:
    """The clients of one process. `async with` ends their threads, after the calls under way."""

    def __init__(
        self,
        *,
        poll_s: float = 20.0,
        polls: int = 1,
        calls: int = 8,
        path_style: bool = False,
        now: Callable[[], float] = time.time,
        step: Step = unseen,
    ) -> None:
        """`poll_s`: how long a receive may wait for messages; `path_style`: for what imitates S3 under one name; `step`
        is around each call but polls: a span.
        """
        self._step = step
        self.clock = ServerClock(now)
        session = boto3.session.Session()
        shared: dict[str, Any] = {"connect_timeout": _CONNECT_S, "max_pool_connections": calls, "tcp_keepalive": True}
        config = Config(
            read_timeout=_READ_S,
            retries={"mode": "standard", "total_max_attempts": _TRIES},
            s3={"addressing_style": "path" if path_style else "auto"},
            **shared,
        )
        self.sqs: Any = session.client("sqs", config=config)
        self.dynamodb: Any = session.client("dynamodb", config=config)
        self.s3: Any = session.client("s3", config=config)
        # Tried once: the answer of a poll that timed out may hold messages, and the loop polls again anyway.
        once = Config(read_timeout=poll_s + _READ_S, retries={"mode": "standard", "total_max_attempts": 1}, **shared)
        self.polling: Any = session.client("sqs", config=once)
        for client in (self.sqs, self.dynamodb, self.s3, self.polling):
            self.clock.watch(client)
        self._polls = ThreadPoolExecutor(polls, thread_name_prefix="poll")
        self._calls = ThreadPoolExecutor(calls, thread_name_prefix="aws")

    async def call(self, function: Callable[..., Any], **arguments: Any) -> Any:
        """Raises what boto3 raises: ClientError, BotoCoreError."""
        with self._step(*_named(function)):
            return await asyncio.get_running_loop().run_in_executor(self._calls, lambda: function(**arguments))

    async def poll(self, **arguments: Any) -> Any:
        """`receive_message`."""
        receive = self.polling.receive_message
        return await asyncio.get_running_loop().run_in_executor(self._polls, lambda: receive(**arguments))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for executor in (self._polls, self._calls):
            await asyncio.to_thread(executor.shutdown)
        for client in (self.sqs, self.dynamodb, self.s3, self.polling):
            client.close()


def _named(function: Callable[..., Any]) -> tuple[str, Mapping[str, str]]:
    """A call as OpenTelemetry names it, such as S3/PutObject."""
    client = getattr(function, "__self__", None)
    operation = getattr(function, "__name__", "")
    if not isinstance(client, BaseClient):
        return operation, {}
    service, method = client.meta.service_model.service_id, client.meta.method_to_api_mapping.get(operation, operation)
    return f"{service}/{method}", {"rpc.system": "aws-api", "rpc.service": service, "rpc.method": method}


def path_style(environment: Mapping[str, str]) -> bool:
    """Whether S3 is imitated at one address, where a bucket cannot be a host name of its own."""
    return bool(environment.get("AWS_ENDPOINT_URL") or environment.get("AWS_ENDPOINT_URL_S3"))


def code(problem: Exception) -> str:
    """The error's code, "" for what is no answer of AWS."""
    return str(problem.response["Error"]["Code"]) if isinstance(problem, ClientError) else ""


def status(problem: Exception) -> int:
    """The answer's HTTP status, 0 for none."""
    return int(problem.response["ResponseMetadata"]["HTTPStatusCode"]) if isinstance(problem, ClientError) else 0


def is_outage(problem: Exception) -> bool:
    """Whether trying again later may help: no connection, no answer, 5xx, throttling."""
    if isinstance(problem, ClientError):
        return status(problem) >= _SERVER_ERROR or code(problem) in _THROTTLED
    return isinstance(problem, BotoCoreError)


async def patiently(call: Callable[[], Awaitable[Answer]], *, seconds: float) -> Answer:
    """Tries again through an outage of `seconds`; raises OutageError then, and anything else at once."""
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    pauses = Pauses(*_PAUSE_S)
    while True:
        try:
            return await call()
        except (BotoCoreError, ClientError) as problem:
            if not is_outage(problem):
                raise
            if clock() + pauses.longest_next_s >= until:
                raise OutageError(f"no answer within {seconds:g} s: {problem}") from problem
        await asyncio.sleep(pauses.next_s())
