"""Who wants no messages says so, and nobody else can: neither for them nor against them."""

import asyncio
from collections import Counter

import pytest
from starlette.requests import Request

from tests.invitation_service import environment, opted_out, phone, problem, serving, signed_in, stop_link
from workloads.invitations.opening import open_database
from workloads.invitations.postgres import Pooling
from workloads.invitations.throttle import WINDOW_S, address_key

pytest_plugins = ["tests.integration.invitations_fixture"]


async def invited(service, user="u1", number=1):
    return (await service.invite(user, phone(number))).json()["inviteCode"]


async def test_an_inviter_cannot_undo_a_stop(service, database):
    """I21: all that an inviter sees is tried."""
    code = await invited(service)
    assert (await service.client.post(await stop_link(database, code))).status_code == 200
    page = await service.client.get(f"/invite/{code}")
    assert "<form" not in page.text
    assert "secret" not in page.text
    assert (await service.client.delete("/api/optouts", params={"code": code, "secret": "x"})).status_code == 405
    assert await opted_out(database) == [code]


async def test_an_inviter_cannot_opt_a_friend_out(service, database):
    """I21: the page of one's own code has no secret, and one of another invitation is none."""
    own, other = await invited(service), await invited(service, number=2)
    secret = (await stop_link(database, own)).partition("o=")[2]
    for wrong in ("", "0" * 15, "é", secret.upper() + "x"):
        answer = await service.client.post(f"/invite/{own}/stop", params={"o": wrong})
        assert (answer.status_code, "Reply STOP" in answer.text) == (403, True)
    problem(await service.client.post("/api/optouts", params={"code": other, "secret": secret}), 403, "FORBIDDEN")
    assert await opted_out(database) == []


async def test_the_secret_of_a_text_message_opts_out_and_no_link_opts_in(service, database):
    """I21: also once the invitation has been accepted, or is over."""
    code = await invited(service)
    await service.client.post(f"/api/invitations/{code}/accept", headers=signed_in("friend"))
    service.watch.move(days=40)
    link = await stop_link(database, code)
    page = await service.client.get(link.replace("/stop", ""))
    assert (page.status_code, "Stop invitations to my number" in page.text) == (410, True)
    for _ in range(2):
        assert "You will get no more invitations" in (await service.client.post(link)).text
    secret = link.partition("o=")[2]
    answer = await service.client.post("/api/optouts", params={"code": code.lower(), "secret": secret})
    assert answer.json() == {"success": True}
    assert await opted_out(database) == [code]


async def test_codes_are_not_found_by_trying(service):
    """I7: each user and each address has some guesses, and an honest one is answered again later."""
    code = await invited(service)
    answers = []
    for number in range(40):
        guess = f"/api/invitations/APP-{number + 22:06d}/accept".replace("0", "2").replace("1", "3")
        answers.append(await service.client.post(guess, headers=signed_in("guesser")))
    assert [answer.status_code for answer in answers] == [404] * 20 + [429] * 20
    problem(answers[-1], 429, "TOO_MANY_ATTEMPTS")
    assert 0 < int(answers[-1].headers["Retry-After"]) <= WINDOW_S
    page = await service.client.get(f"/invite/{code}")
    assert (page.status_code, "Too many wrong codes" in page.text) == (429, True)
    assert 0 < int(page.headers["Retry-After"]) <= WINDOW_S
    service.watch.move(seconds=WINDOW_S)
    assert (await service.client.get(f"/invite/{code}")).status_code == 200


async def test_guesses_that_come_at_once_are_counted_as_exactly(service):
    """I7: all of them were let in before the first was found wrong."""
    codes = [f"APP-{each:06d}".replace("0", "Q").replace("1", "W") for each in range(100)]
    asked = (service.client.post(f"/api/invitations/{code}/accept", headers=signed_in("guesser")) for code in codes)
    assert Counter(answer.status_code for answer in await asyncio.gather(*asked)) == {404: 20, 429: 80}
    service.watch.move(seconds=WINDOW_S)
    pages = await asyncio.gather(*(service.client.get(f"/invite/{code}") for code in codes))
    assert Counter(page.status_code for page in pages) == {404: 20, 429: 80}


async def test_a_friend_behind_the_address_of_a_guesser_still_sees_the_button(service, database):
    """I21: many phones share an address."""
    code = await invited(service)
    for _ in range(25):
        await service.client.get("/invite/APP-222222")
    assert (await service.client.get(f"/invite/{code}")).status_code == 429
    page = await service.client.get((await stop_link(database, code)).replace("/stop", ""))
    assert (page.status_code, "Stop invitations to my number" in page.text) == (200, True)
    for wrong in (f"/invite/{code}?o=x", "/invite/APP-222222?o=x"):
        assert (await service.client.get(wrong)).status_code == 429


async def test_a_secret_is_not_found_by_asking_for_the_page(sqlite_url):
    """I21: the page with the right one has a button, so each wrong one counts."""
    async with serving(environment(sqlite_url, TRUSTED_PROXIES="1")) as service:
        code = await invited(service)
        page = f"/invite/{code}"
        answers = []
        for each in range(30):
            address = {"X-Forwarded-For": f"198.51.100.{each}"}
            answers.append(await service.client.get(page, params={"o": f"{each:015d}"}, headers=address))
        assert [answer.status_code for answer in answers] == [200] * 20 + [429] * 10
        assert (await service.client.get(page, headers={"X-Forwarded-For": "203.0.113.1"})).status_code == 200


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.7:5012", "192.0.2.7:5013", True),
        ("[2001:db8::1]:5012", "2001:db8::2", True),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.8", False),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
    ],
)
def test_an_address_is_the_same_however_a_proxy_writes_it(one, other, same):
    """I7: one who guesses must not get more tries by another port, nor use up those of all others."""

    def key(entry):
        scope = {"type": "http", "headers": [(b"x-forwarded-for", entry.encode())], "client": None}
        return address_key(Request(scope), proxies=1)

    assert (key(one) == key(other)) is same


async def test_guesses_from_one_address_keep_nobody_at_another_from_accepting(sqlite_url):
    """I7: behind a gateway, the address is what the gateway says, and not what a caller claims."""
    async with serving(environment(sqlite_url, TRUSTED_PROXIES="1")) as service:
        code = await invited(service)
        for number in range(30):
            seen = {"X-Forwarded-For": f"10.0.0.{number}, 198.51.100.7"}
            last = await service.client.get("/invite/APP-222222", headers=seen)
        assert last.status_code == 429
        for address in ("198.51.100.8", "2001:db8::1"):
            page = await service.client.get(f"/invite/{code}", headers={"X-Forwarded-For": f"1.1.1.1, {address}"})
            assert page.status_code == 200


async def test_wrong_secrets_of_a_code_run_out_and_the_right_one_does_not(sqlite_url):
    """I21: whoever guesses cannot keep the friend from opting out."""
    async with serving(environment(sqlite_url, TRUSTED_PROXIES="1")) as service:
        code = await invited(service)
        answers = [
            await service.client.post(
                "/api/optouts",
                params={"code": code, "secret": f"{number:015d}"},
                headers={"X-Forwarded-For": f"198.51.100.{number}"},
            )
            for number in range(30)
        ]
        assert [answer.status_code for answer in answers] == [403] * 20 + [429] * 10
        database = await open_database(sqlite_url, Pooling())
        try:
            assert (await service.client.post(await stop_link(database, code))).status_code == 200
            assert await opted_out(database) == [code]
        finally:
            await database.close()


@pytest.mark.parametrize("text", ["app-8f3k92", "App-8F3k92"])
async def test_a_code_is_the_same_in_small_letters(service, database, text):
    """I7: as people type it."""
    code = await invited(service)
    async with database.transaction() as rows:
        await rows.execute("UPDATE invitations SET invite_code = 'APP-8F3K92' WHERE invite_code = $1", code)
    assert (await service.client.get(f"/invite/{text}")).status_code == 200
    answer = await service.client.post(f"/api/invitations/{text}/accept", headers=signed_in("friend"))
    assert (answer.status_code, answer.json()["inviteCode"]) == (200, "APP-8F3K92")
