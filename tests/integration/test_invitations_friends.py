"""What becomes of an invitation on its friend's side, on a real server with PostgreSQL and with SQLite."""

import asyncio
from collections import Counter
from html import unescape
from urllib.parse import parse_qsl, urlsplit

from tests.invitation_service import phone, problem, signed_in

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
    """I8, I19."""
    code = await invited(service, name="Mary & Ann")
    page = await service.client.get(f"/invite/{code}")
    assert page.status_code == 200
    assert "Mary Ann invited you to AppName" in page.text
    assert code in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for unknown in ("APP-222222", "APP-000000", "%00", "%ff", "x" * 64):
        problem(await service.client.get(f"/invite/{unknown}"), 404, "NOT_FOUND")
    await accept(service, code, "friend")
    assert "accepted" in problem(await service.client.get(f"/invite/{code}"), 410, "GONE")
    late = await invited(service, number=2)
    service.watch.move(days=30)
    assert "expired" in problem(await service.client.get(f"/invite/{late}"), 410, "GONE")


async def test_who_opts_out_by_the_link_is_noted_until_that_is_taken_back(service, database):
    """I21."""
    code = await invited(service)
    page = (await service.client.get(f"/invite/{code}")).text
    action = unescape(page.partition('action="')[2].partition('"')[0])
    for _ in range(2):
        assert (await service.client.post(action)).json() == {"success": True}
    async with database.transaction() as rows:
        (row,) = await rows.fetch("SELECT * FROM optouts NATURAL JOIN invitations")
    assert row["invite_code"] == code
    assert (await service.client.delete(action)).json() == {"success": True}
    async with database.transaction() as rows:
        assert await rows.fetch("SELECT * FROM optouts") == []


async def test_a_link_that_was_not_signed_for_this_code_opts_nobody_out(service, database):
    """I21."""
    codes = [await invited(service, number=number) for number in range(2)]
    page = (await service.client.get(f"/invite/{codes[0]}")).text
    signed = dict(parse_qsl(urlsplit(unescape(page.partition('action="')[2].partition('"')[0])).query))
    for parameters in ({**signed, "code": codes[1]}, {**signed, "signature": "0" * 32}, {**signed, "signature": "é"}):
        for method in ("POST", "DELETE"):
            problem(await service.client.request(method, "/api/optouts", params=parameters), 403, "FORBIDDEN")
    async with database.transaction() as rows:
        assert await rows.fetch("SELECT * FROM optouts") == []
