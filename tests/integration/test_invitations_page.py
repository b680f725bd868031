"""The page and the documentation in a real browser, on a real service with SQLite."""

import asyncio
import json

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser import barriers, complaints, focused, look_at, overflow
from tests.invitation_service import environment, opted_out, phone, serving, signed_in, stop_link, token
from workloads.invitations.migrating import migrate
from workloads.invitations.opening import open_database
from workloads.invitations.postgres import Pooling

pytest_plugins = ["tests.integration.browser_fixture"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

LOOKS = [(320, "light"), (768, "dark"), (1440, "light")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('page') / 'invitations.sqlite'}"
    await migrate(url)
    async with serving(environment(url, SIGN_UP_URL="https://app.example.com/sign-up?code={code}")) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module")
async def database(service):
    session = await open_database(service.database_url, Pooling())
    yield session
    await session.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser, service):
    context = await browser.new_context(base_url=str(service.client.base_url), viewport={"width": 800, "height": 900})
    context.set_default_timeout(30_000)  # milliseconds
    yield await context.new_page()
    await context.close()


async def arrive(page, given, *, at=""):
    """As an app opens the page."""
    await page.goto(f"{at}/#token={given}")
    await page.get_by_role("button", name="Continue").click()


async def invite(page, number):
    await page.get_by_label("Friend’s phone number").fill(number)
    await page.get_by_role("button", name="Invite Friend", exact=True).click()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
async def test_the_page_fits_each_width_and_each_reader(page, width, scheme):
    """I27."""
    said = complaints(page)
    await page.set_viewport_size({"width": width, "height": 800})
    await page.emulate_media(color_scheme=scheme)
    await page.goto("/")
    assert (await overflow(page), await barriers(page)) == (0, [])
    await arrive(page, token(f"width {width}"))
    await invite(page, phone(width))
    await expect(page.get_by_role("heading", name="Your invitation is on its way")).to_be_visible()
    await expect(page.locator("#invitations li")).to_have_count(1)
    assert (await overflow(page), await barriers(page)) == (0, [])
    assert said == []
    await invite(page, "+1 555")
    await expect(page.get_by_role("alert")).to_be_visible()
    assert (await overflow(page), await barriers(page)) == (0, [])


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
async def test_the_documentation_fits_each_width_and_each_reader(page, width, scheme):
    """I28."""
    said = complaints(page)
    await page.set_viewport_size({"width": width, "height": 800})
    await page.emulate_media(color_scheme=scheme)
    await page.goto("/docs")
    await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert (await overflow(page), await barriers(page)) == (0, [])
    assert said == []


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
async def test_what_a_friend_sees_fits_each_width_and_each_reader(page, service, database, width, scheme):
    """I8, I27: from the text message to signing up, and to no more messages; and each page where that cannot be."""
    said = complaints(page)
    made = await service.invite(f"landing {width}", phone(2_300_000 + width))
    code = made.json()["inviteCode"]
    await page.set_viewport_size({"width": width, "height": 800})
    await page.emulate_media(color_scheme=scheme)

    async def shows(heading):
        await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        await look_at(page, f"{heading} {width}")
        assert (await overflow(page), await barriers(page)) == (0, [])

    await page.goto(f"/invite/{code}")
    await shows("John invited you to AppName")
    await page.goto((await stop_link(database, code)).replace("/stop", ""))
    await shows("John invited you to AppName")
    link = page.get_by_role("link", name="Sign up for AppName")
    assert await link.get_attribute("href") == f"https://app.example.com/sign-up?code={code}"
    await page.get_by_role("button", name="Stop invitations to my number").click()
    await shows("You will get no more invitations")
    assert code in await opted_out(database)
    assert said == []
    await service.client.post(f"/api/invitations/{code}/accept", headers=signed_in(f"friend {width}"))
    await page.goto(f"/invite/{code.lower()}")
    await shows("This invitation has been used")
    await page.goto("/invite/APP-222222")
    await shows("There is no such invitation")


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
async def test_a_friend_who_types_a_wrong_code_too_often_is_told_until_when(page, service, width, scheme):
    """I7, I27."""
    await page.set_viewport_size({"width": width, "height": 800})
    await page.emulate_media(color_scheme=scheme)
    for _ in range(25):
        await page.goto("/invite/APP-333333")
    await expect(page.get_by_role("heading")).to_have_text("Too many wrong codes")
    await expect(page.locator("header p")).to_contain_text("Try again in 10 minutes.")
    await look_at(page, f"Too many {width}")
    assert (await overflow(page), await barriers(page)) == (0, [])
    service.watch.move(days=1)
    assert (await page.goto("/invite/APP-333333")).status == 404


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
async def test_each_page_that_refuses_a_friend_fits_each_width_and_each_reader(browser, tmp_path, width, scheme):
    """I8, I27: no page at an address, a link that stops nothing, a number that is gone, an invitation that is over."""
    url = f"sqlite:///{tmp_path / 'refusing.sqlite'}"
    await migrate(url)
    async with serving(environment(url)) as refusing:
        code = (await refusing.invite("ana", phone(2_400_000 + width))).json()["inviteCode"]
        page = await browser.new_page(
            base_url=str(refusing.client.base_url), color_scheme=scheme, viewport={"width": width, "height": 800}
        )
        said = complaints(page)

        async def shows(status, heading, *, at=None, sends=None):
            async with page.expect_response("**/invite/**") as answered:
                await (page.goto(at) if sends is None else page.evaluate(_SEND, sends))
            assert (await answered.value).status == status
            await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
            await look_at(page, f"{heading} {width}")
            assert (await overflow(page), await barriers(page)) == (0, [])

        await shows(405, "This did not work", at=f"/invite/{code}/stop")
        await page.goto(f"/invite/{code}")
        await shows(403, "This link stops no invitations", sends=f"/invite/{code}/stop?o={'a' * 22}")
        session = await open_database(url, Pooling())
        stop = await stop_link(session, code)
        async with session.transaction() as rows:
            await rows.execute("UPDATE invitations SET phone_hash = NULL")
        await session.close()
        await page.goto(f"/invite/{code}")
        await shows(410, "We no longer have your number", sends=stop)
        refusing.watch.move(days=400)
        await shows(410, "This invitation is over", at=f"/invite/{code}")
        assert not [each for each in said if "Content Security Policy" in each]
        await page.close()


_SEND = """(action) => {
  const form = Object.assign(document.createElement("form"), { method: "post", action });
  document.body.append(form);
  form.submit();
}"""


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
@pytest.mark.parametrize("fails", [500, 503])
async def test_a_page_that_says_that_the_service_fails_still_looks_like_one(browser, tmp_path, fails, width, scheme):
    """I27: its style is in it, as a second request would fail too."""
    url = f"sqlite:///{tmp_path / 'failing.sqlite'}"
    if fails == 500:
        await migrate(url)  # else the database is away
    async with serving(environment(url, ALLOW_FAULTS="true", ERROR_RATE="1" if fails == 500 else "0")) as failing:
        page = await browser.new_page(
            base_url=str(failing.client.base_url), color_scheme=scheme, viewport={"width": width, "height": 800}
        )
        said = complaints(page)
        assert (await page.goto("/invite/APP-222222")).status == fails
        await expect(page.get_by_role("heading")).to_have_text("We cannot show your invitation now")
        await look_at(page, f"{fails} {width}")
        ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(244, 246, 250)", "dark": "rgb(17, 21, 29)"}[scheme]
        assert (await overflow(page), await barriers(page)) == (0, [])
        assert not [each for each in said if "Content Security Policy" in each]
        await page.close()


async def test_a_friend_is_invited_by_keyboard_alone_and_focus_is_always_seen(page, service):
    """I27."""
    await page.goto("/")
    keys = page.keyboard
    assert await focused(page) == "token"
    await keys.insert_text(token("keys"))
    await keys.press("Enter")
    await expect(page.locator("#list-note")).to_have_text("You have invited nobody yet.")
    assert await focused(page) == "phone"
    await keys.type("+1 (555) 200-0001")
    await keys.press("Tab")
    assert await focused(page) == "invite"
    await keys.press("Enter")
    await expect(page.locator("#made")).to_be_focused()
    await expect(page.locator("#left")).to_have_text("9 of 10 invitations left.")
    stops = []
    for _ in range(4):
        await keys.press("Tab")
        stops.append(await focused(page))
    assert stops == ["link", "copy", "refresh", "API documentation"]
    (own,) = (await service.get("/api/invitations", "keys")).json()["invitations"]
    assert await page.locator("#code").text_content() == own["inviteCode"]
    assert await page.locator("#link").input_value() == own["referralUrl"]
    await expect(page.locator("#invitations li")).to_contain_text(own["inviteCode"])


async def test_the_link_is_copied(page):
    """I8, I27."""
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await arrive(page, token("copying"))
    await invite(page, phone(2_000_002))
    await page.locator("#copy").click()
    await expect(page.locator("#copied")).to_have_text("Copied.")
    assert await page.evaluate("navigator.clipboard.readText()") == await page.locator("#link").input_value()


async def test_without_tls_the_link_is_selected_for_copying(page, service):
    """I27."""
    await arrive(page, token("selecting"), at=f"http://page.test:{service.client.base_url.port}")
    await invite(page, phone(2_000_006))
    await page.locator("#copy").click()
    await expect(page.locator("#copied")).to_have_text("The link is selected: copy it with Ctrl+C or ⌘C.")
    assert await page.evaluate("getSelection().toString()") == await page.locator("#link").input_value()


async def test_refusals_say_what_to_do_and_keep_the_number(page, service):
    """I10, I27."""
    await arrive(page, token("refused"))
    error, number = page.get_by_role("alert"), page.get_by_label("Friend’s phone number")
    for given, answer in {
        "": "Enter your friend’s phone number.",
        "555 123 4567": "The number must begin with + and its country code, such as +1 for the USA.",
        "+1 800 234 5678": "The number is a toll-free number. Give a mobile number.",
        "+1 415 555 0100 ext. 5": "Remove the extension. Text messages cannot be sent to one.",
    }.items():
        await invite(page, given)
        await expect(error).to_have_text(answer)
        await expect(number).to_be_focused()
        assert await number.input_value() == given
        assert await number.get_attribute("aria-invalid") == "true"
    assert (await service.invite("another", phone(2_000_003))).status_code == 201
    await invite(page, phone(2_000_003))
    await expect(error).to_contain_text("was invited a short time ago")
    for each in range(10):
        assert (await service.invite("refused", phone(2_100_000 + each))).status_code == 201
    await invite(page, phone(2_000_004))
    await expect(error).to_contain_text("You have no invitations left for now. You can send the next one in")


async def test_no_answer_is_asked_again_with_the_same_key_and_invites_nobody_twice(page, service):
    """I11, I27."""
    await arrive(page, token("offline"))
    await expect(page.locator("#list-note")).to_have_text("You have invited nobody yet.")
    lost = []

    async def lose_the_answer(route):
        answer = await route.fetch()
        lost.append(answer.status)
        await route.abort()

    await page.route("/api/invitations", lose_the_answer, times=1)
    await invite(page, phone(2_000_005))
    await expect(page.get_by_role("alert")).to_contain_text("Check your connection and try again")
    await page.get_by_role("button", name="Invite Friend").click()
    await expect(page.locator("#made")).to_be_visible()
    assert lost == [201]
    assert len((await service.get("/api/invitations", "offline")).json()["invitations"]) == 1


async def test_a_link_signs_nobody_in_before_they_have_read_whom(page, service):
    """I27: anybody can send a link with a token of theirs."""
    asked = []
    page.on("request", lambda request: asked.append(request.headers.get("authorization")))
    await page.goto(f"/#token={token('mallory', name='Mallory <b>')}")
    await expect(page.get_by_role("heading", name="Continue as Mallory <b>?")).to_be_visible()
    await expect(page.get_by_role("button", name="Continue")).to_be_focused()
    await expect(page.locator("#signed-in")).to_be_hidden()
    assert "token" not in page.url
    assert (await overflow(page), await barriers(page)) == (0, [])
    assert not any(asked)
    await page.goto("/#token=rubbish")
    await expect(page.get_by_role("heading", name="Continue as somebody unknown?")).to_be_visible()


async def test_a_token_lives_in_memory_only(page):
    """I27."""
    await arrive(page, token("memory"))
    await expect(page.locator("#signed-in")).to_be_visible()
    assert "token" not in page.url
    left = await page.evaluate("[localStorage.length, sessionStorage.length, document.cookie, location.hash]")
    assert left == [0, 0, "", ""]
    await page.reload()
    await expect(page.locator("#sign-in")).to_be_visible()


async def test_a_token_that_is_over_leads_back_to_signing_in(page):
    """I12, I27."""
    await arrive(page, token("expired", exp=1))
    await expect(page.locator("#sign-in-why")).to_have_text("Your sign-in has expired. Sign in again.")
    await expect(page.locator("#token")).to_be_focused()
    await expect(page.locator("#signed-in")).to_be_hidden()


async def test_more_invitations_than_a_page_are_fetched_when_asked_for(page, service):
    """I27."""
    for day in range(3):
        for each in range(10):
            assert (await service.invite("many", phone(2_200_000 + 10 * day + each))).status_code == 201
        service.watch.move(days=1)
    await arrive(page, token("many"))
    await expect(page.locator("#invitations li")).to_have_count(20)
    await page.get_by_role("button", name="Show more").press("Enter")
    await expect(page.locator("#invitations li")).to_have_count(30)
    await expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    await expect(page.locator("#invitations li").nth(20)).to_be_focused()


async def test_nothing_inline_and_nothing_foreign_runs(page, service):
    """I27, I28."""
    for path in ("/", "/docs", "/page/page.js"):
        answer = await service.client.get(path)
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert (await service.client.get(path, headers={"If-None-Match": answer.headers["ETag"]})).status_code == 304
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for path in ("/", "/docs"):
        await page.goto(path)
    assert asked
    assert all(url.startswith(str(service.client.base_url)) for url in asked)
    said = complaints(page)
    await page.evaluate("document.body.append(Object.assign(document.createElement('p'), {onclick: 'x'}))")
    with pytest.raises(Exception, match="TrustedHTML"):
        await page.evaluate("document.body.innerHTML = '<script>window.ran = 1</script>'")
    assert await page.evaluate("window.ran") is None
    assert any("TrustedHTML" in each for each in said)


async def test_files_outside_the_page_are_not_served(service):
    """I27."""
    names = ["index.html", "documentation.html.jinja", "..%2Fapp.py", "%2Fetc%2Fpasswd", "missing.js"]
    answers = await asyncio.gather(*(service.client.get(f"/page/{name}") for name in names))
    assert [answer.status_code for answer in answers] == [404] * len(names)


async def test_the_documentation_tells_of_everything_in_the_document(page, service):
    """I28."""
    document = (await service.client.get("/openapi.json")).json()
    await page.goto("/docs")
    text = await page.locator("main").inner_text()
    for path, item in document["paths"].items():
        for method in item:
            await expect(page.locator(f"#{item[method]['operationId']} .path")).to_have_text(f"{method.upper()} {path}")
    for name in document["components"]["schemas"]:
        await expect(page.locator(f"#schema-{name} h3")).to_have_text(name)
    assert all(code in text for code in ("DUPLICATE_INVITATION", "RATE_LIMITED", "INVALID_PHONE_NUMBER"))
    broken = await page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map((each) => each.hash.slice(1))"
        ".filter((id) => !document.getElementById(id))"
    )
    assert broken == []
    assert await page.locator("script").count() == 0


async def test_the_documented_call_is_answered_as_documented(page, service):
    """I28."""
    await page.goto("/docs")
    shown = await page.locator("#invite_api_invitations_post pre").first.inner_text()
    answer = await service.client.post("/api/invitations", json=json.loads(shown), headers=signed_in("reader"))
    assert answer.status_code == 201
