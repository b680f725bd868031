"""The HTTP API of those who were invited: accept, be rewarded, be left alone."""

from typing import Annotated, assert_never

from fastapi import APIRouter, Path, Query, Request

from workloads.invitations import accepting, codes, optouts, rewards
from workloads.invitations.accepting import Accepted, Refusal
from workloads.invitations.caller import Caller
from workloads.invitations.documented import problems, signed_in
from workloads.invitations.parts import parts_of
from workloads.invitations.problems import Code, ProblemError
from workloads.invitations.shapes import Done, InvitationAccepted, Reward, Rewards, moment

router = APIRouter(prefix="/api", tags=["friends"])

InviteCode = Annotated[str, Path(pattern=codes.PATTERN, examples=["APP-8F3K92"])]
SignedCode = Annotated[str, Query(pattern=codes.PATTERN, examples=["APP-8F3K92"])]
Signature = Annotated[str, Query(min_length=1, max_length=64, description="As the invitation's page has it.")]


@router.post("/invitations/{code}/accept", responses=signed_in(Code.NOT_FOUND, Code.NOT_ACCEPTABLE_NOW, Code.GONE))
async def accept(request: Request, user: Caller, code: InviteCode) -> InvitationAccepted:
    """The caller, a new user, accepts an invitation. Again is fine, and changes nothing."""
    parts = parts_of(request)
    answer = await accepting.accept(parts.database, code, user.id, now=parts.clock())
    match answer:
        case Accepted(at):
            return InvitationAccepted(inviteCode=code, acceptedAt=moment(at))
        case Refusal.UNKNOWN:
            raise ProblemError(Code.NOT_FOUND, answer.value)
        case Refusal.OVER:
            raise ProblemError(Code.GONE, answer.value)
        case Refusal.OWN | Refusal.TAKEN | Refusal.NOT_NEW:
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


_OPTOUT = problems(Code.MALFORMED_REQUEST, Code.FORBIDDEN, Code.GONE, Code.UNAVAILABLE)


@router.post("/optouts", responses=_OPTOUT)
async def opt_out(request: Request, code: SignedCode, signature: Signature) -> Done:
    """The phone that was invited gets no more invitations."""
    parts = parts_of(request)
    _check(request, code, signature)
    if not await optouts.opt_out(parts.database, code, now=parts.clock()):
        raise _forgotten()
    return Done()


@router.delete("/optouts", responses=_OPTOUT)
async def opt_in(request: Request, code: SignedCode, signature: Signature) -> Done:
    """It may get them again."""
    _check(request, code, signature)
    if not await optouts.opt_in(parts_of(request).database, code):
        raise _forgotten()
    return Done()


def _check(request: Request, code: str, signature: str) -> None:
    if not optouts.is_signed(parts_of(request).privacy, code, signature):
        raise ProblemError(
            Code.FORBIDDEN, "signature: it does not belong to this code; open the invitation's link again"
        )


def _forgotten() -> ProblemError:
    return ProblemError(
        Code.GONE, "the phone of this invitation has been cleared away: answer STOP to a message instead"
    )
