"""Who works on a job, and what became of it: conditional writes to one DynamoDB item a job.

The message only says that there may be something to do. What makes two workers not do it at once is the claim: one
conditional update that raises the fence. Whatever is written later carries the fence as its condition, so that a
worker that was away for too long (paused, cut off, slow) changes nothing any more.

Each write may have been done although its answer was lost; boto3 then sends it again and finds its own work in the
way. `claim_nonce` tells that apart from somebody else's.

`purge_at` (TTL) clears finished rows away. It is no lock: DynamoDB deletes up to days late.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from workloads.common.aws import Aws
from workloads.common.aws import code as code_of
from workloads.common.job_row import Row, State, typed

_REFUSED = "ConditionalCheckFailedException"
_HELD = "fence = :fence AND claim_nonce = :nonce AND #state = :processing"
_SAME_BODY = "(attribute_not_exists(body_sha256) OR body_sha256 = :digest)"
_LONGEST_ERROR = 1000
_SURELY_S = 0.5


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a job, until the lease ends."""

    row: Row
    canary: bool
    """A failure may be the version's, so it does not count against the job."""

    @property
    def is_first(self) -> bool:
        return self.row.attempts == 1

    @property
    def first_died(self) -> bool:
        """The first attempt came to no end, and this is the first to find out."""
        return self.row.attempts == 2 and self.row.prior_state == State.PROCESSING  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class Completed:
    row: Row


@dataclass(frozen=True, slots=True)
class Failed:
    row: Row


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody's, for so many seconds yet."""

    rest: float


@dataclass(frozen=True, slots=True)
class Barred:
    """This version failed it before, or died on it, as often as one may that is not trusted: others should have it."""


@dataclass(frozen=True, slots=True)
class OtherBody:
    """The id belongs to a job with another body."""

    row: Row


Claimed = Claim | Completed | Failed | Busy | Barred | OtherBody


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds. `skew` is what clocks of two pods may differ by; `keep` is how long a row is kept after its end."""

    lease: float
    skew: float = 2.0
    keep: float = 30 * 86400.0


class JobTable:
    def __init__(
        self, aws: Aws, table: str, *, owner: str, revision: str, terms: Terms, now: Callable[[], float] = time.time
    ) -> None:
        """`owner` is the process (for people), `now` seconds since 1970."""
        self.terms = terms
        self._aws = aws
        self._table = table
        self._owner = owner
        self._revision = revision
        self._now = now

    def clock_off_s(self) -> float:
        """Seconds by which this clock is ahead of AWS's (negative: behind) where that is more than a worker may be off.

        0: all is well. Half of the skew, as the other worker's clock may be as wrong the other way.
        """
        ahead = self._aws.clock.ahead_s
        return ahead if abs(ahead) > max(self.terms.skew / 2, _SURELY_S) else 0.0

    async def claim(self, job_id: str, *, created_at: float, canary: bool, tries: int = 1, digest: str = "") -> Claimed:
        """`created_at`: when the job was sent, seconds since 1970; kept where nobody noted it before. `tries`: after so
        many failures a `canary` is barred. `digest`: of the job's body; "" takes the job whatever its body.
        """
        now, nonce = self._now(), secrets.token_hex(8)
        may = "attribute_not_exists(job_id) OR #state IN (:pending, :retry) OR "
        may += "(#state = :processing AND lease_until < :over)"
        if canary:
            may = f"({may}) AND (attribute_not_exists(failed_by.#revision) OR failed_by.#revision < :tries) AND "
            # by what is spared, of all versions together, as nobody counts deaths by version: a job that other versions
            # failed before is put off after fewer deaths, until the trial is over, and never ended by it
            died = "#state = :processing AND version = :revision AND spared >= :tries"
            may += f"(attribute_not_exists(job_id) OR NOT ({died}))"
        if digest:
            may = f"({may}) AND {_SAME_BODY}"
        row, done = await self._update(
            job_id,
            "SET #state = :processing, prior_state = if_not_exists(#state, :pending), "
            "fence = if_not_exists(fence, :zero) + :one, attempts = if_not_exists(attempts, :zero) + :one, "
            "spared = if_not_exists(spared, :zero) + :spared, failed_by = if_not_exists(failed_by, :none), "
            "lease_owner = :owner, lease_until = :until, claim_nonce = :nonce, version = :revision, "
            "first_version = if_not_exists(first_version, :revision), "
            "created_at = if_not_exists(created_at, :created), started_at = :now"
            + (", body_sha256 = if_not_exists(body_sha256, :digest)" if digest else ""),
            condition=may,
            names={"#revision": self._revision} if canary else {},
            values={
                ":pending": State.PENDING, ":retry": State.RETRY, ":processing": State.PROCESSING,
                ":zero": 0, ":one": 1, ":none": {}, ":spared": int(canary),
                ":owner": self._owner, ":nonce": nonce, ":revision": self._revision,
                ":now": _ms(now), ":until": _ms(now + self.terms.lease), ":over": _ms(now - self.terms.skew),
                ":created": _ms(created_at), **({":digest": digest} if digest else {}),
                **({":tries": tries} if canary else {}),
            },
        )  # fmt: skip
        if row is None:
            # Refused, and gone by the time of the answer: as good as somebody else's.
            return Busy(self.terms.lease)
        if done or (row.claim_nonce == nonce and row.state is State.PROCESSING):
            return Claim(row, canary=canary)
        if not row.is_of(digest):
            return OtherBody(row)
        if row.state is State.COMPLETED:
            return Completed(row)
        if row.state is State.FAILED:
            return Failed(row)
        rest = row.lease_until / 1000 + self.terms.skew - now
        if row.state is State.PROCESSING and rest >= 0:
            return Busy(rest)
        return Barred()

    async def renew(self, claim: Claim) -> bool:
        """False: the claim is lost."""
        until = {":until": _ms(self._now() + self.terms.lease)}
        _, done = await self._update_held(claim, "SET lease_until = :until", until)
        return done

    async def finish(self, claim: Claim, result: Mapping[str, Any]) -> bool:
        """`result` as `stored_form` makes it. False: the claim was lost before; somebody else ends it, and the message
        is theirs.
        """
        now = self._now()
        row, done = await self._update_held(
            claim,
            "SET #state = :completed, completed_at = :now, purge_at = :purge, #result = :result "
            "REMOVE lease_owner, last_error",
            {":completed": State.COMPLETED, ":now": _ms(now), ":purge": int(now + self.terms.keep), ":result": result},
            {"#result": "result"},
        )
        return done or _is_own(row, claim, {State.COMPLETED})

    async def fail(self, claim: Claim, error: str, *, final: bool, spared: bool = False) -> bool:
        """Notes the failure, for its revision too. False: the claim was lost before."""
        change = "SET #state = :ended, last_error = :error, "
        change += "failed_by.#revision = if_not_exists(failed_by.#revision, :zero) + :one"
        values: dict[str, Any] = {":ended": State.FAILED if final else State.RETRY, ":error": _text(error)}
        values |= {":zero": 0, ":one": 1}
        if spared and not claim.canary:  # a canary's attempt is spared from its claim on
            change += ", spared = spared + :one"
        if final:
            change += ", purge_at = :purge"
            values[":purge"] = int(self._now() + self.terms.keep)
        row, done = await self._update_held(
            claim, f"{change} REMOVE lease_owner", values, {"#revision": self._revision}
        )
        return done or _is_own(row, claim, {State.FAILED, State.RETRY})

    async def hand_back(self, claim: Claim) -> bool:
        """It was cut off, which is no outcome. A first attempt is as if it had not been; a later one is spared."""
        if claim.is_first:
            change = "SET #state = :open, attempts = :zero, spared = :zero REMOVE lease_owner, first_version"
            values: dict[str, Any] = {":open": State.PENDING, ":zero": 0}
        else:
            change = "SET #state = :open, spared = spared + :more REMOVE lease_owner"
            values = {":open": State.RETRY, ":more": 0 if claim.canary else 1}
        row, done = await self._update_held(claim, change, values)
        return done or _is_own(row, claim, {State.PENDING, State.RETRY})

    async def note_dead_letter(self, job_id: str) -> None:
        """It lies in the dead letter queue: a crash before this sends it there once more, never not at all."""
        await self._update(
            job_id,
            "SET dead_lettered_at = :now",
            condition="#state = :failed",
            values={":now": _ms(self._now()), ":failed": State.FAILED},
        )

    async def note(self, job_id: str, *, created_at: float, digest: str) -> None:
        """The producer's note that there is such a job. It says nothing to the workers."""
        await self._update(
            job_id,
            "SET #state = :pending, created_at = :created, body_sha256 = :digest",
            condition="attribute_not_exists(job_id)",
            values={":pending": State.PENDING, ":created": _ms(created_at), ":digest": digest},
        )

    async def reset(self, job_id: str, *, digest: str) -> Row | None:
        """FAILED becomes PENDING, with all its attempts before it, unless the row is of another body. Answers how it
        stands then; None: no such job.
        """
        row, _ = await self._update(
            job_id,
            "SET #state = :pending, attempts = :zero, spared = :zero, failed_by = :none, "
            "redriven = if_not_exists(redriven, :zero) + :one REMOVE first_version, purge_at, dead_lettered_at",
            condition=f"#state = :failed AND {_SAME_BODY}",
            values={
                ":pending": State.PENDING, ":failed": State.FAILED,
                ":zero": 0, ":one": 1, ":none": {}, ":digest": digest,
            },
        )  # fmt: skip
        return row

    async def get(self, job_id: str) -> Row | None:
        answer = await self._aws.call(
            self._aws.dynamodb.get_item, TableName=self._table, Key=typed({"job_id": job_id}), ConsistentRead=True
        )
        return Row.of(answer["Item"]) if "Item" in answer else None

    async def _update_held(
        self, claim: Claim, change: str, values: Mapping[str, Any], names: Mapping[str, str] | None = None
    ) -> tuple[Row | None, bool]:
        held = {":fence": claim.row.fence, ":nonce": claim.row.claim_nonce, ":processing": State.PROCESSING}
        return await self._update(
            claim.row.job_id, change, condition=self._held(), values={**values, **held}, names=names or {}
        )

    def _held(self) -> str:
        return _HELD

    async def _update(
        self,
        job_id: str,
        change: str,
        *,
        condition: str,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> tuple[Row | None, bool]:
        """The row after the change, or as it stands where the condition refused, and whether it was changed."""
        try:
            answer = await self._aws.call(
                self._aws.dynamodb.update_item,
                TableName=self._table,
                Key=typed({"job_id": job_id}),
                UpdateExpression=change,
                ConditionExpression=condition,
                ExpressionAttributeNames={"#state": "state", **(names or {})},
                ExpressionAttributeValues=typed(values),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as problem:
            if code_of(problem) != _REFUSED:
                raise
            item = problem.response.get("Item")
            return Row.of(item) if item else None, False
        return Row.of(answer["Attributes"]), True


def _is_own(row: Row | None, claim: Claim, states: set[State]) -> bool:
    """Whether the refusal is the echo of a write of one's own whose answer was lost."""
    return row is not None and row.state in states and row.claim_nonce == claim.row.claim_nonce


def _text(error: str) -> str:
    """Half of a surrogate pair, which JSON can hold, would make the write fail."""
    return error[:_LONGEST_ERROR].encode(errors="replace").decode()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
