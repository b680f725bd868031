"""Bodies of requests and answers, as the OpenAPI document shows them."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from workloads.invitations import codes
from workloads.invitations.rewards import Kind
from workloads.invitations.status import Status

EXAMPLE_CODE = "APP-8F3K92"
_SEEN: dict[str, JsonValue] = {
    "invitationId": "0196b4c2f3a1b6d0c9e85a7f4321",
    "inviteCode": EXAMPLE_CODE,
    "referralUrl": f"https://app.example.com/invite/{EXAMPLE_CODE}",
    "phoneNumber": "+1•••4567",
    "status": "DELIVERED",
    "createdAt": "2025-05-09T10:00:00Z",
    "sentAt": "2025-05-09T10:00:01Z",
    "deliveredAt": "2025-05-09T10:00:03Z",
    "acceptedAt": None,
    "expiresAt": "2025-06-08T10:00:00Z",
}
_REWARD: dict[str, JsonValue] = {
    "invitationId": "0196b4c2f3a1b6d0c9e85a7f4321",
    "kind": "INVITER",
    "createdAt": "2025-05-10T08:30:00Z",
}
Code = Annotated[str, StringConstraints(pattern=codes.PATTERN)]


class InvitationOrder(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"phoneNumber": "+15551234567"}]}
    )

    phone_number: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        alias="phoneNumber",
        description="A mobile number in international form, such as `+1 415 555 0100`. "
        "`+1555…` are test numbers, which only the sandbox takes.",
    )


class InvitationMade(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"success": True, "inviteCode": EXAMPLE_CODE}]})

    success: Literal[True] = True
    invite_code: Code = Field(alias="inviteCode")


class InvitationSeen(BaseModel):
    """An invitation as its inviter sees it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [_SEEN]},
    )

    invitation_id: str = Field(alias="invitationId")
    invite_code: Code = Field(alias="inviteCode")
    referral_url: str = Field(alias="referralUrl")
    phone_number: str | None = Field(alias="phoneNumber", description="Masked; null once it was cleared away.")
    status: Status
    created_at: datetime = Field(alias="createdAt")
    sent_at: datetime | None = Field(alias="sentAt")
    delivered_at: datetime | None = Field(alias="deliveredAt")
    accepted_at: datetime | None = Field(alias="acceptedAt")
    expires_at: datetime = Field(alias="expiresAt")


class InvitationPage(BaseModel):
    """The newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"invitations": [_SEEN], "nextCursor": None}]})

    invitations: list[InvitationSeen]
    next_cursor: str | None = Field(alias="nextCursor", description="For the page after this one; null on the last.")


class InvitationAccepted(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"success": True, "inviteCode": EXAMPLE_CODE, "acceptedAt": "2025-05-10T08:30:00Z"}]
        }
    )

    success: Literal[True] = True
    invite_code: Code = Field(alias="inviteCode")
    accepted_at: datetime = Field(alias="acceptedAt")


class Reward(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [_REWARD]})

    invitation_id: str = Field(alias="invitationId")
    kind: Kind
    created_at: datetime = Field(alias="createdAt")


class Rewards(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"rewards": [_REWARD]}]})

    rewards: list[Reward]


class Done(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"success": True}]})

    success: Literal[True] = True


def moment(ms: int) -> datetime:
    """Of milliseconds since 1970."""
    return datetime.fromtimestamp(ms / 1000, UTC)
