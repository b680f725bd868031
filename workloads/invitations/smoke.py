"""Does a service that runs somewhere do what it is for? Asked from outside, as callers do, with one invitation."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx

_SENT = frozenset({"SENT", "DELIVERED", "ACCEPTED"})
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    wrong: str
    """Empty: it is as it should be."""
    seconds: float


@dataclass(slots=True)
class Smoke:
    """`client` has the service's address, `phone` is the number to invite, `sent_within` in seconds: 0 does not ask."""

    client: httpx.Client
    token: str
    phone: str
    sent_within: float = 0
    _location: str = field(default="", init=False)
    _code: str = field(default="", init=False)

    def run(self) -> Iterator[Check]:
        """One after the other; a failure does not keep the others from being asked, unless they build on it."""
        checks: list[tuple[str, Callable[[], str]]] = [
            ("the page is there", lambda: self._answers("/", 200, holding="Invite Friend")),
            ("the documentation is there", lambda: self._answers("/docs", 200, holding="/api/invitations")),
            ("nobody invites without a token", self._nobody),
            ("a number that is none is refused", self._no_number),
            ("a friend is invited", self._invite),
        ]
        of_invitation: list[tuple[str, Callable[[], str]]] = [
            ("the same phone is not invited twice", self._twice),
            ("the invitation is listed", self._listed),
            ("the friend's link leads somewhere", lambda: self._answers(f"/invite/{self._code}", 200)),
        ]
        if self.sent_within:
            of_invitation.append((f"the message is sent within {self.sent_within:g} s", self._sent))
        for name, check in checks:
            yield self._timed(name, check)
        for name, check in of_invitation:
            yield self._timed(name, check if self._code else lambda: "there is no invitation to look at")

    def _timed(self, name: str, check: Callable[[], str]) -> Check:
        begun = time.monotonic()
        try:
            wrong = check()
        except (httpx.HTTPError, ValueError, KeyError) as problem:
            wrong = f"{type(problem).__name__}: {problem}"
        return Check(name, wrong, time.monotonic() - begun)

    def _answers(self, path: str, status: int, *, holding: str = "") -> str:
        answer = self.client.get(path)
        if answer.status_code == status and holding not in answer.text:
            return f"{path} does not hold {holding!r}"
        return _differs(answer, status)

    def _nobody(self) -> str:
        return _differs(self.client.post("/api/invitations", json={"phoneNumber": self.phone}), 401, "UNAUTHENTICATED")

    def _no_number(self) -> str:
        return _differs(self._post("+1 000"), 422, "INVALID_PHONE_NUMBER")

    def _invite(self) -> str:
        answer = self._post(self.phone)
        if wrong := _differs(answer, 201):
            return wrong
        self._code, self._location = answer.json()["inviteCode"], answer.headers["Location"]
        return ""

    def _twice(self) -> str:
        return _differs(self._post(self.phone), 409, "DUPLICATE_INVITATION")

    def _listed(self) -> str:
        answer = self.client.get("/api/invitations", headers=self._signed)
        if wrong := _differs(answer, 200):
            return wrong
        codes = [each["inviteCode"] for each in answer.json()["invitations"]]
        return "" if self._code in codes else f"{self._code} is not among {codes}"

    def _sent(self) -> str:
        until = time.monotonic() + self.sent_within
        while (status := self._status()) not in _SENT:
            if time.monotonic() >= until:
                return f"it is {status}"
            time.sleep(_LOOK_S)
        return ""

    def _status(self) -> str:
        answer = self.client.get(self._location, headers=self._signed)
        return _differs(answer, 200) or str(answer.json()["status"])

    def _post(self, number: str) -> httpx.Response:
        return self.client.post("/api/invitations", json={"phoneNumber": number}, headers=self._signed)

    @property
    def _signed(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def _differs(answer: httpx.Response, status: int, code: str = "") -> str:
    """What is wrong with it, if anything."""
    if answer.status_code != status:
        return f"{answer.request.url.path} answers {answer.status_code} instead of {status}: {answer.text[:200]}"
    if code and answer.json().get("code") != code:
        return f"{answer.request.url.path} answers {answer.json().get('code')} instead of {code}"
    return ""
