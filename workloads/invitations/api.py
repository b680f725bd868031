"""The HTTP API of those who invite."""

from datetime import datetime
from typing import Annotated, assert_never

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from workloads.invitations import idempotency, listing, names, numbers, trace
from workloads.invitations.caller import Caller
from workloads.invitations.database import LockedError
from workloads.invitations.documented import Responses, header, signed_in
from workloads.invitations.intake import json_only
from workloads.invitations.message import referral_url
from workloads.invitations.numbers import NumberError
from workloads.invitations.order import Invited, KeyOfAnother, NoCodeError, Order, PhoneTaken, QuotaUsedUp
from workloads.invitations.parts import Parts, parts_of
from workloads.invitations.privacy import Sealed, mask
from workloads.invitations.problems import Code, ProblemError, unavailable
from workloads.invitations.quota import Window
from workloads.invitations.sending.at_once import answer_again, key_in_use, send_at_once
from workloads.invitations.settings import Delivery
from workloads.invitations.shapes import InvitationMade, InvitationOrder, InvitationPage, InvitationSeen, moment

_MOST = 50
_ID = "^[0-9a-f]{28}$"
_SOME_ID = "0196b4c2f3a1b6d0c9e85a7f4321"

_HEADERS = {
    "Location": header("The invitation.", f"/api/invitations/{_SOME_ID}"),
    "RateLimit-Limit": header("Invitations in any 24 hours.", 10),
    "RateLimit-Remaining": header("What is left of them.", 9),
    "RateLimit-Reset": header("Seconds until the oldest of them counts no more.", 3600),
}
_MADE: Responses = {201: {"description": "The invitation was taken up; the message follows.", "headers": _HEADERS}}

router = APIRouter(prefix="/api", tags=["invitations"], dependencies=[Depends(json_only)])

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=idempotency.LONGEST,
        pattern="^[!-~]+$",
        description="Of the caller's making. The same request with the same key is answered again, and done once.",
    ),
]


@router.post(
    "/invitations",
    status_code=201,
    response_model=InvitationMade,
    responses=_MADE
    | signed_in(
        Code.DUPLICATE_INVITATION,
        Code.IDEMPOTENCY_KEY_IN_USE,
        Code.BODY_TOO_LARGE,
        Code.UNSUPPORTED_MEDIA_TYPE,
        Code.INVALID_PHONE_NUMBER,
        Code.IDEMPOTENCY_KEY_REUSED,
        Code.RATE_LIMITED,
        Code.PROVIDER_FAILED,
    ),
)
async def invite(request: Request, order: InvitationOrder, user: Caller, key: Key = None) -> Response:
    """Invite a friend by phone number."""
    parts = parts_of(request)
    now = parts.clock()
    asked = Order(
        inviter=user.id,
        inviter_name=names.clean(user.name),
        phone=_phone(order.phone_number, parts),
        trace_parent=trace.of(request.scope).parent,
        key=key or "",
    )
    answer = await _ask(parts, asked, now=now)
    if parts.settings.delivery is Delivery.SYNCHRONOUS and parts.sending:
        if answer.again:
            await answer_again(parts.database, asked, answer)
        else:
            await send_at_once(parts.sending.sender, parts.database, asked, answer, now=now)
    body = InvitationMade(inviteCode=answer.code).model_dump_json(by_alias=True).encode()
    headers = {
        "Location": f"/api/invitations/{answer.invitation_id}",
        "Cache-Control": "no-store",
        **_limits(parts, answer.window, now=now),
    }
    if answer.again:
        headers["Idempotency-Replayed"] = "true"
    return Response(body, status_code=201, headers=headers, media_type="application/json")


async def _ask(parts: Parts, asked: Order, *, now: int) -> Invited:
    try:
        answer = await parts.inviting.invite(asked, now=now)
    except LockedError:
        if not asked.key:
            raise
        raise key_in_use() from None
    except NoCodeError as problem:
        raise unavailable(str(problem)) from None
    match answer:
        case Invited():
            return answer
        case PhoneTaken(until):
            raise ProblemError(
                Code.DUPLICATE_INVITATION,
                f"this number was invited a short time ago. Try again after {_said(until)}",
                {"Retry-After": _seconds(until - now)},
            )
        case QuotaUsedUp(window):
            limits = _limits(parts, window, now=now)
            raise ProblemError(
                Code.RATE_LIMITED,
                f"at most {parts.settings.limits.daily} invitations in 24 hours. Send the next one after "
                f"{_said(window.frees_at)}",
                {**limits, "Retry-After": limits["RateLimit-Reset"]},
            )
        case KeyOfAnother():
            raise ProblemError(
                Code.IDEMPOTENCY_KEY_REUSED, "Idempotency-Key: already used with another number. Use a new key"
            )
        case _:
            assert_never(answer)


def _phone(text: str, parts: Parts) -> numbers.Phone:
    try:
        return numbers.parse(text, parts.numbers)
    except NumberError as problem:
        raise ProblemError(Code.INVALID_PHONE_NUMBER, f"phoneNumber: {problem}") from None


def _limits(parts: Parts, window: Window, *, now: int) -> dict[str, str]:
    """draft-ietf-httpapi-ratelimit-headers, in the form that clients know."""
    daily = parts.settings.limits.daily
    return {
        "RateLimit-Limit": str(daily),
        "RateLimit-Remaining": str(max(0, daily - window.used)),
        "RateLimit-Reset": _seconds(window.frees_at - now),
    }


def _seconds(ms: int) -> str:
    return str(max(1, -(-ms // 1000)))


def _said(ms: int) -> str:
    """To the second after which it is so."""
    return moment(ms + 999).strftime("%Y-%m-%d %H:%M:%S UTC")


@router.get(
    "/invitations",
    responses=signed_in(),
)
async def invitations(
    request: Request,
    user: Caller,
    cursor: Annotated[str | None, Query(pattern=_ID, description="`nextCursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 20,
) -> InvitationPage:
    """The caller's own invitations, the newest first."""
    parts = parts_of(request)
    page = await listing.page(parts.database, user.id, cursor=cursor, most=limit)
    return InvitationPage(invitations=[_seen(row, parts) for row in page.rows], nextCursor=page.cursor)


@router.get(
    "/invitations/{invitation_id}",
    responses=signed_in(Code.NOT_FOUND),
)
async def invitation(
    request: Request, user: Caller, invitation_id: Annotated[str, Path(pattern=_ID, examples=[_SOME_ID])]
) -> InvitationSeen:
    """One of the caller's own invitations."""
    parts = parts_of(request)
    row = await listing.one(parts.database, user.id, invitation_id)
    if row is None:
        raise ProblemError(Code.NOT_FOUND, "you have not sent this invitation")
    return _seen(row, parts)


def _seen(row: listing.Row, parts: Parts) -> InvitationSeen:
    number = None
    if row["phone_cipher"] is not None:
        sealed = Sealed(row["key_id"], bytes(row["phone_cipher"]))
        number = mask(parts.privacy.open(sealed, row["invitation_id"]))
    return InvitationSeen(
        invitationId=row["invitation_id"],
        inviteCode=row["invite_code"],
        referralUrl=referral_url(parts.settings.public_url, row["invite_code"]),
        phoneNumber=number,
        status=row["status"],
        createdAt=moment(row["created_at"]),
        sentAt=_maybe(row["sent_at"]),
        deliveredAt=_maybe(row["delivered_at"]),
        acceptedAt=_maybe(row["accepted_at"]),
        expiresAt=moment(row["expires_at"]),
    )


def _maybe(ms: int | None) -> datetime | None:
    return None if ms is None else moment(ms)
