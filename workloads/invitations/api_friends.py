"""The HTTP API of those who were invited: accept, be rewarded, be left alone."""

from typing import Annotated, assert_never

from fastapi import APIRouter, Depends, Path, Query, Request

from workloads.invitations import accepting, codes, optouts, rewards
from workloads.invitations.accepting import Accepted, Refusal
from workloads.invitations.caller import Caller
from workloads.invitations.documented import problems, signed_in
from workloads.invitations.intake import json_only
from workloads.invitations.landing import guessed
from workloads.invitations.parts import parts_of
from workloads.invitations.problems import Code, ProblemError
from workloads.invitations.shapes import Done, InvitationAccepted, Reward, Rewards, moment
from workloads.invitations.throttle import address_key

router = APIRouter(prefix="/api", tags=["friends"], dependencies=[Depends(json_only)])

_ANY_CASE = "In letters of any case."
InviteCode = Annotated[str, Path(pattern=codes.TYPED, examples=["APP-8F3K92"], description=_ANY_CASE)]
QueryCode = Annotated[str, Query(pattern=codes.TYPED, examples=["APP-8F3K92"], description=_ANY_CASE)]
Secret = Annotated[
    str, Query(min_length=1, max_length=64, description="`o` in the link of the text message; it stands nowhere else.")
]


@router.post(
    "/invitations/{code}/accept",
    responses=signed_in(Code.NOT_FOUND, Code.NOT_ACCEPTABLE_NOW, Code.GONE, Code.TOO_MANY_ATTEMPTS),
)
async def accept(request: Request, user: Caller, code: InviteCode) -> InvitationAccepted:
    """The caller, a new user, accepts an invitation. Again is fine, and changes nothing."""
    parts = parts_of(request)
    code = code.upper()
    guesser = (f"user {user.id}", address_key(request, proxies=parts.settings.serving.proxies))
    if wait := parts.throttle.wait_s(*guesser):
        raise _too_many(wait)
    answer = await accepting.accept(parts.database, code, user, now=parts.clock())
    match answer:
        case Accepted(at):
            return InvitationAccepted(inviteCode=code, acceptedAt=moment(at))
        case Refusal.UNKNOWN:
            if wait := parts.throttle.wrong(*guesser):
                raise _too_many(wait)
            raise ProblemError(Code.NOT_FOUND, answer.value)
        case Refusal.OVER:
            raise ProblemError(Code.GONE, answer.value)
        case Refusal.OWN | Refusal.TAKEN | Refusal.NOT_NEW | Refusal.MEMBER:
            raise ProblemError(Code.NOT_ACCEPTABLE_NOW, answer.value)
        case _:
            assert_never(answer)


@router.get("/rewards", responses=signed_in())
async def own_rewards(request: Request, user: Caller) -> Rewards:
    """What the caller has earned by inviting, and by being invited; the newest first."""
    found = await rewards.of(parts_of(request).database, user.id)
    return Rewards(
        rewards=[
            Reward(invitationId=row["invitation_id"], kind=row["kind"], createdAt=moment(row["created_at"]))
            for row in found
        ]
    )


_OPTOUT = problems(Code.MALFORMED_REQUEST, Code.FORBIDDEN, Code.GONE, Code.TOO_MANY_ATTEMPTS, Code.UNAVAILABLE)


@router.post("/optouts", responses=_OPTOUT)
async def opt_out(request: Request, code: QueryCode, secret: Secret) -> Done:
    """The phone that was invited gets no more invitations, until it replies START to one."""
    parts = parts_of(request)
    invitation_id = await optouts.find(parts.database, parts.privacy, code.upper(), secret)
    if invitation_id is None:
        keys = guessed(request, parts, code)
        if wait := parts.throttle.wrong(*keys):
            raise _too_many(wait)
        raise ProblemError(Code.FORBIDDEN, "secret: wrong for this code. It is in the text message")
    if not await optouts.opt_out(parts.database, invitation_id, now=parts.clock()):
        raise ProblemError(Code.GONE, "the number of this invitation has been deleted. Reply STOP to a message instead")
    return Done()


def _too_many(seconds: int) -> ProblemError:
    return ProblemError(
        Code.TOO_MANY_ATTEMPTS, f"too many wrong codes. Try again in {seconds} s", {"Retry-After": str(seconds)}
    )
