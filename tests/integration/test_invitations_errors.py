"""Every row of the error table, on a real server; and lists."""

import logging

import pytest

from tests.invitation_service import KEY, environment, phone, problem, serving, signed_in

pytest_plugins = ["tests.integration.invitations_fixture"]

GOOD = {"phoneNumber": "+15551234567"}


@pytest.fixture
async def service(sqlite_url):
    """What is refused here never comes as far as the database."""
    async with serving(environment(sqlite_url)) as service:
        yield service


MALFORMED = [
    (b"", "body"),
    (b"{", "body"),
    (b"\xff\xfe", "body"),
    (b"null", "body"),
    (b"[]", "body"),
    (b"{}", "body.phoneNumber"),
    (b'{"phoneNumber": null}', "body.phoneNumber"),
    (b'{"phoneNumber": 15551234567}', "body.phoneNumber"),
    (b'{"phoneNumber": ""}', "body.phoneNumber"),
    (b'{"phoneNumber": "+1555' + b"5" * 100 + b'"}', "body.phoneNumber"),
    (b'{"phoneNumber": "+15551234567", "count": 2}', "body.count"),
    (b"[" * 10_000, "body"),
]


async def test_a_malformed_body_is_400_and_names_the_field(service):
    """I10."""
    for body, names in MALFORMED:
        headers = {**signed_in("u1"), "Content-Type": "application/json"}
        answer = await service.client.post("/api/invitations", content=body, headers=headers)
        assert problem(answer, 400, "MALFORMED_REQUEST").startswith(names)


async def test_a_form_is_415(service):
    """I10."""
    answer = await service.client.post("/api/invitations", data=GOOD, headers=signed_in("u1"))
    problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


NOT_INVITED = ["5551234567", "+1 800 555 0123", "+33612345678", "+1 555 123 4567 ext 9"]


async def test_a_number_that_is_not_invited_is_422(service):
    """I2, I10."""
    for number in NOT_INVITED:
        assert problem(await service.invite("u1", number), 422, "INVALID_PHONE_NUMBER").startswith("phoneNumber: ")


async def test_the_test_range_is_422_with_a_paid_provider(sqlite_url):
    """I3."""
    async with serving(environment(sqlite_url, PROVIDER="sns")) as paid:
        assert "for tests" in problem(await paid.invite("u1", "+15551234567"), 422, "INVALID_PHONE_NUMBER")


async def test_a_second_invitation_of_a_phone_is_409(service):
    """I5, I10."""
    await service.invite("u1", "+15551234567")
    problem(await service.invite("u2", "+1 (555) 123-4567"), 409, "DUPLICATE_INVITATION")


async def test_the_eleventh_of_a_day_is_429(service):
    """I4, I10."""
    for number in range(10):
        await service.invite("u1", phone(number))
    answer = await service.invite("u1", phone(10))
    assert "at most 10" in problem(answer, 429, "RATE_LIMITED")
    assert int(answer.headers["Retry-After"]) > 0


async def test_an_error_tells_the_trace_of_its_request(service):
    """I10."""
    answer = await service.client.get("/nowhere", headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    problem(answer, 404, "NOT_FOUND")
    assert answer.json()["traceId"] == "a" * 32
    other = await service.client.get("/nowhere", headers={"traceparent": "00-nonsense"})
    assert other.json()["traceId"] != (await service.client.get("/nowhere")).json()["traceId"]


async def test_another_method_is_405(service):
    """I10."""
    answer = await service.client.delete("/api/invitations")
    problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["Allow"] == "GET, POST"
    assert (await service.client.post("/healthz")).headers["Allow"] == "GET"


async def test_no_path_leads_to_the_host_that_a_request_names(service):
    """I10: a slash too many was answered with a redirect to it."""
    headers = {**signed_in("u1"), "Host": "evil.example"}
    for path in ("/api/invitations/", "/docs/", "/invite/APP-222222/"):
        answer = await service.client.post(path, json=GOOD, headers=headers)
        assert answer.status_code == 404
        assert "evil.example" not in str(answer.headers)


async def test_head_is_answered_as_get_is_without_a_body(service):
    """I10: as messengers ask before they show a link."""
    code = (await service.invite("u1", phone(77))).json()["inviteCode"]
    for path in (
        "/",
        "/docs",
        "/openapi.json",
        "/healthz",
        "/readyz",
        f"/invite/{code}",
        "/invite/APP-222222",
        "/nowhere",
    ):
        get, head = await service.client.get(path), await service.client.head(path)
        assert (head.status_code, head.content) == (get.status_code, b""), path
        for name in ("Content-Type", "Content-Length", "ETag", "Content-Security-Policy"):
            assert head.headers.get(name) == get.headers.get(name), (path, name)


async def test_a_defect_is_500_and_says_no_more_than_its_trace(sqlite_url, caplog):
    """I10: here a key that is gone, though numbers are encrypted with it."""
    async with serving(environment(sqlite_url)) as service:
        await service.invite("u1", phone(1))
    async with serving(environment(sqlite_url, PHONE_KEYS=f"k2:{KEY}")) as service:
        answer = await service.get("/api/invitations", "u1")
    assert "k1" not in problem(answer, 500, "INTERNAL_ERROR")
    assert "PHONE_KEYS has no key 'k1'" in caplog.text


async def test_no_log_line_holds_a_number(database_url, caplog):
    """I22."""
    caplog.set_level(logging.DEBUG)
    async with serving(environment(database_url)) as service:
        for written in ("+15551234567", "+15551234567", "+1 555 123 4567 ext 1", "+1 415 155 1234567"):
            await service.invite("u1", written, headers={"Idempotency-Key": "k1"})
        await service.client.post("/api/invitations", content=b'{"phoneNumber": "+15551234567', headers=signed_in("u1"))
        await service.get("/api/invitations", "u1")
    ours = [record for record in caplog.records if record.name.startswith(("workloads", "uvicorn", "asyncpg"))]
    assert ours
    text = " ".join(f"{record.getMessage()} {record.__dict__}" for record in ours)
    assert "1234567" not in text.replace(" ", "")


async def test_a_user_sees_the_own_invitations_page_by_page_and_nobody_elses(database_url):
    """I9, I22."""
    async with serving(environment(database_url)) as service:
        for number in range(5):
            service.watch.move(seconds=1)
            await service.invite("u1", phone(number))
        await service.invite("u2", phone(9))
        seen: list[dict] = []
        cursor = None
        while len(seen) < 5:
            where = {"limit": 2, **({"cursor": cursor} if cursor else {})}
            page = (await service.get("/api/invitations", "u1", params=where)).json()
            seen += page["invitations"]
            cursor = page["nextCursor"]
        assert cursor is None
        assert [each["phoneNumber"] for each in seen] == [f"+1•••000{n}" for n in (4, 3, 2, 1, 0)]
        assert seen[0]["status"] == "PENDING"
        assert seen[0]["referralUrl"] == f"https://app.example.com/invite/{seen[0]['inviteCode']}"
        other = (await service.get("/api/invitations", "u2")).json()["invitations"][0]["invitationId"]
        problem(await service.get(f"/api/invitations/{other}", "u1"), 404, "NOT_FOUND")


NO_PAGES = ["cursor=x", "limit=0", "limit=51", "limit=many"]


async def test_a_page_that_cannot_be_is_400(service):
    """I10."""
    for query in NO_PAGES:
        answer = await service.get(f"/api/invitations?{query}", "u1")
        assert query.split("=")[0] in problem(answer, 400, "MALFORMED_REQUEST")


async def test_titles_are_plain_english(service):
    """I10: what people and logs read first."""
    refused = await service.invite("u1", "+1 415 555 0100 ext. 5")
    assert refused.json()["title"] == "This phone number cannot be invited"
    assert refused.json()["detail"] == "phoneNumber: remove the extension. Text messages cannot be sent to one"
    unknown = await service.client.get("/api/invitations")
    assert unknown.json()["title"] == "Authentication required"
