"""For those who have no queue: the request waits until the provider has answered.

Only what the provider took, or may have taken, is answered with success. Of anything else nothing is left: the phone is
free, the user has the place back, and the same idempotency key may be used to try again.
"""

from workloads.invitations import idempotency
from workloads.invitations.database import Database
from workloads.invitations.order import Invited, Order
from workloads.invitations.problems import RETRY_S, Code, ProblemError
from workloads.invitations.sending.sender import Ended, Held, PutOff, Sender
from workloads.invitations.status import Status


async def send_at_once(sender: Sender, database: Database, order: Order, invited: Invited, *, now: int) -> None:
    """`now`: as it was when it was ordered. Raises ProblemError: 422, 503; DatabaseGoneError."""
    verdict = await sender.deliver(invited.invitation_id, only_now=True)
    async with database.transaction() as rows:
        await rows.execute("UPDATE outbox SET sent_at = $2 WHERE invitation_id = $1", invited.invitation_id, now)
        if not isinstance(verdict, Ended) or verdict.status is Status.FAILED:
            await idempotency.forget(rows, order.inviter, order.key, invitation_id=invited.invitation_id)
    match verdict:
        case Held() | PutOff():
            raise _not_sent()
        case Ended(Status.FAILED):  # for which reason is the friend's affair
            raise ProblemError(
                Code.INVALID_PHONE_NUMBER, "phoneNumber: text messages to this number are refused. Invite somebody else"
            )


async def answer_again(database: Database, order: Order, invited: Invited) -> None:
    """To a request that came before. Raises ProblemError: 409, 503; DatabaseGoneError."""
    if invited.status in {Status.PENDING, Status.SENDING}:
        raise key_in_use()
    if invited.status is Status.FAILED:  # whoever saw it fail is about to forget the key, or died before
        async with database.transaction() as rows:
            await idempotency.forget(rows, order.inviter, order.key, invitation_id=invited.invitation_id)
        raise _not_sent()


def key_in_use() -> ProblemError:
    return ProblemError(
        Code.IDEMPOTENCY_KEY_IN_USE,
        "the first request with this Idempotency-Key is still being processed. Try again in a second",
        {"Retry-After": "1"},
    )


def _not_sent() -> ProblemError:
    return ProblemError(
        Code.PROVIDER_FAILED,
        "the message was not sent, and the invitation does not count. Try again",
        {"Retry-After": str(RETRY_S)},
    )
