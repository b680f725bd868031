"""What becomes of an invitation on its friend's side, on a real server with PostgreSQL and with SQLite."""

import asyncio
from collections import Counter

import pytest

from tests.invitation_service import environment, phone, problem, serving, signed_in

pytest_plugins = ["tests.integration.invitations_fixture"]


async def invited(service, user="u1", number=1, **claims):
    """The code of a new invitation."""
    headers = signed_in(user, **claims)
    answer = await service.client.post("/api/invitations", json={"phoneNumber": phone(number)}, headers=headers)
    return answer.json()["inviteCode"]


async def accept(service, code, user):
    return await service.client.post(f"/api/invitations/{code}/accept", headers=signed_in(user))


async def rewards(service, user):
    answer = await service.get("/api/rewards", user)
    return [(each["kind"], each["invitationId"]) for each in answer.json()["rewards"]]


async def test_an_accepted_invitation_rewards_both(service):
    """I19, I20."""
    code = await invited(service)
    answer = await accept(service, code, "friend")
    assert (answer.status_code, answer.json()["inviteCode"]) == (200, code)
    (seen,) = (await service.get("/api/invitations", "u1")).json()["invitations"]
    assert (seen["status"], seen["acceptedAt"]) == ("ACCEPTED", answer.json()["acceptedAt"])
    assert await rewards(service, "u1") == [("INVITER", seen["invitationId"])]
    assert await rewards(service, "friend") == [("INVITEE", seen["invitationId"])]
    assert await rewards(service, "nobody") == []


async def test_accepting_again_is_answered_the_same_and_rewards_nobody_again(service):
    """I19, I20."""
    code = await invited(service)
    answers = await asyncio.gather(*(accept(service, code, "friend") for _ in range(20)))
    service.watch.move(days=1)
    answers.append(await accept(service, code, "friend"))
    assert {answer.text for answer in answers} == {answers[0].text}
    assert answers[0].status_code == 200
    assert len(await rewards(service, "u1")) == len(await rewards(service, "friend")) == 1


async def test_of_many_who_accept_at_once_one_does(service):
    """I19, I20."""
    code = await invited(service)
    answers = await asyncio.gather(*(accept(service, code, f"friend{number}") for number in range(20)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 19}
    assert len(await rewards(service, "u1")) == 1


async def test_a_user_is_new_once(service):
    """I19."""
    codes = [await invited(service, number=number) for number in range(2)]
    answers = await asyncio.gather(*(accept(service, code, "friend") for code in codes))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert "another invitation before" in problem(refused, 409, "NOT_ACCEPTABLE_NOW")


async def test_two_who_refer_each_other_are_not_two_new_users(service):
    """I19, I20."""
    from_ana, from_bob = await invited(service, user="ana"), await invited(service, user="bob", number=2)
    for code, user in ((from_ana, "bob"), (from_bob, "ana")):
        assert "only a new user" in problem(await accept(service, code, user), 409, "NOT_ACCEPTABLE_NOW")
        assert await rewards(service, user) == []


async def test_who_accepts_and_invites_then_keeps_what_was_accepted(service):
    """I19."""
    code = await invited(service)
    first = await accept(service, code, "friend")
    await invited(service, user="friend", number=2)
    assert (await accept(service, code, "friend")).text == first.text


async def test_the_application_says_who_is_new(sqlite_url):
    """I19."""
    async with serving(environment(sqlite_url, JWT_NEW_USER_CLAIM="is_new")) as service:
        code = await invited(service)
        path = f"/api/invitations/{code}/accept"
        for claims in ({}, {"is_new": False}, {"is_new": "true"}):
            refused = await service.client.post(path, headers=signed_in("old", **claims))
            assert "only a new user" in problem(refused, 409, "NOT_ACCEPTABLE_NOW")
        assert (await service.client.post(path, headers=signed_in("new", is_new=True))).status_code == 200
        assert (await service.client.post(path, headers=signed_in("new"))).status_code == 200


async def test_nobody_accepts_an_own_a_strange_or_an_expired_invitation(service):
    """I19."""
    code = await invited(service)
    assert "your own" in problem(await accept(service, code, "u1"), 409, "NOT_ACCEPTABLE_NOW")
    problem(await accept(service, "APP-222222", "friend"), 404, "NOT_FOUND")
    problem(await accept(service, "APP-000000", "friend"), 400, "MALFORMED_REQUEST")
    problem(await service.client.post(f"/api/invitations/{code}/accept"), 401, "UNAUTHENTICATED")
    service.watch.move(days=30)
    assert "expired" in problem(await accept(service, code, "friend"), 410, "GONE")
    assert await rewards(service, "u1") == []


async def test_the_link_shows_who_invites_until_the_invitation_is_over(service):
    """I8, I19: a page in each case."""
    code = await invited(service, name="Mary & Ann")
    page = await service.client.get(f"/invite/{code}")
    assert page.status_code == 200
    assert "Mary Ann invited you to AppName" in page.text
    assert code in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for unknown in ("APP-222222", "APP-000000", "%00", "%ff", "x" * 64):
        assert "There is no such invitation" in shown(await service.client.get(f"/invite/{unknown}"), 404)
    await accept(service, code, "friend")
    assert "has been used" in shown(await service.client.get(f"/invite/{code}"), 410)
    late = await invited(service, number=2)
    service.watch.move(days=30)
    assert "is over" in shown(await service.client.get(f"/invite/{late}"), 410)


def shown(answer, status):
    """The text of a page."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    return answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("DELETE", "APP-222222", 405, "This did not work"),
        ("GET", "APP-222222/more", 404, "There is no such invitation"),
        ("POST", "APP-222222/stop", 413, "This did not work"),
    ],
)
async def test_whatever_refuses_a_friends_request_it_is_a_page(service, method, path, status, says):
    """I8: nobody who taps a link gets a document for programs."""
    content = b"x" * 20_000 if status == 413 else b""
    answer = await service.client.request(method, f"/invite/{path}", content=content)
    assert says in shown(answer, status)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert status != 405 or answer.headers["Allow"] == "GET"


async def test_a_link_without_its_code_leads_to_a_page(service):
    """I8: as where a phone cuts the text."""
    for path in ("/invite", "/invite/"):
        assert "There is no such invitation" in shown(await service.client.get(path), 404)


async def test_a_version_that_fails_shows_friends_a_page(sqlite_url):
    """I8."""
    async with serving(environment(sqlite_url, ALLOW_FAULTS="true", ERROR_RATE="1")) as service:
        answer = await service.client.get("/invite/APP-222222")
    assert "We cannot show your invitation now" in shown(answer, 500)
    assert answer.headers["Retry-After"]


async def test_the_link_leads_to_signing_up_with_the_code(sqlite_url):
    """I8."""
    sign_up = "https://app.example.com/sign-up?from=sms&code={code}"
    async with serving(environment(sqlite_url, SIGN_UP_URL=sign_up)) as service:
        code = await invited(service)
        page = await service.client.get(f"/invite/{code}")
    assert f'href="https://app.example.com/sign-up?from=sms&amp;code={code}"' in page.text


async def test_a_friend_is_told_when_the_database_is_away(tmp_path):
    """I24: it was never migrated."""
    async with serving(environment(f"sqlite:///{tmp_path / 'empty.sqlite'}")) as service:
        for answer in (
            await service.client.get("/invite/APP-222222"),
            await service.client.post("/invite/APP-222222/stop"),
        ):
            assert "Try again in a minute" in shown(answer, 503)
            assert answer.headers["Retry-After"]
