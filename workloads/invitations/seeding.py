"""Fills a service with invitations to look at, through its own API: users, friends, and some who accept."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from workloads.invitations.signing import Signer

_NAMES = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Radia", "Tim")
_HOUR_S = 3600.0
_NUMBERS = 10_000_000


@dataclass(frozen=True, slots=True)
class Seeded:
    user: str
    phone: str
    status: int
    code: str
    """The invitation's, or that of the problem."""
    accepted: bool


def seed(client: httpx.Client, signer: Signer, *, users: int, each: int, first: int) -> Iterator[Seeded]:
    """`each` invitations of each user, to numbers of the test range from `first` on; every third is accepted.

    The same again changes nothing within a day: numbers and idempotency keys are the same.
    Raises httpx.HTTPError.
    """
    for place in range(users * each):
        user = f"seed-user-{place // each}"
        phone = f"+1555{(first + place) % _NUMBERS:07d}"
        headers = _signed(signer, user, _NAMES[place // each % len(_NAMES)])
        answer = client.post(
            "/api/invitations",
            json={"phoneNumber": phone},
            headers={**headers, "Idempotency-Key": f"seed-{first}-{place}"},
        )
        code = str(answer.json().get("inviteCode") or answer.json().get("code"))
        accepted = False
        if answer.is_success and place % 3 == 0:
            friend = _signed(signer, f"seed-friend-{first + place}", "A friend")
            accepted = client.post(f"/api/invitations/{code}/accept", headers=friend).is_success
        yield Seeded(user, phone, answer.status_code, code, accepted)


def _signed(signer: Signer, user: str, name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {signer.token(user, name=name, seconds=_HOUR_S)}"}
