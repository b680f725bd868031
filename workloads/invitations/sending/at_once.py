"""For those who have no queue: the request waits until the provider has answered.

A provider that fails is the caller's to hear of, and nothing of the request is left then: the phone is free, the place
in the user's day is given back, and the same idempotency key may be used to try again. A refused number is no such
failure; it is the invitation's status, as it is with a queue.
"""

from workloads.invitations.database import Database
from workloads.invitations.order import Invited, Order, day_of
from workloads.invitations.problems import RETRY_S, Code, ProblemError
from workloads.invitations.sending.sender import Ended, Held, Sender


async def send_at_once(sender: Sender, database: Database, order: Order, invited: Invited, *, now: int) -> None:
    """`now`: as it was when it was ordered. Raises ProblemError: 503; DatabaseGoneError."""
    verdict = await sender.deliver(invited.invitation_id, only_now=True)
    async with database.transaction() as rows:
        await rows.execute("UPDATE outbox SET sent_at = $2 WHERE invitation_id = $1", invited.invitation_id, now)
        match verdict:
            case Ended():
                return
            case Held():
                await rows.execute(
                    "DELETE FROM idempotency WHERE inviter_user_id = $1 AND key = $2", order.inviter, order.key
                )
                await rows.execute(
                    "UPDATE quotas SET used = used - 1 WHERE inviter_user_id = $1 AND day = $2 AND used > 0",
                    order.inviter, day_of(now),
                )  # fmt: skip
    raise ProblemError(
        Code.PROVIDER_FAILED, "nothing was sent, and nothing is left of it: try again", {"Retry-After": str(RETRY_S)}
    )
