"""What is old is cleared away, and nothing else; on PostgreSQL and on SQLite."""

import pytest

from tests.invitation_service import Watch, environment, phone
from workloads.invitations.inviting import Inviting
from workloads.invitations.numbers import Phone
from workloads.invitations.order import Invited, Order
from workloads.invitations.privacy import Privacy
from workloads.invitations.purging import Purging
from workloads.invitations.settings import Settings, read

pytest_plugins = ["tests.integration.invitations_fixture"]


@pytest.fixture
def settings(database_url) -> Settings:
    return read(environment(database_url, PURGE_DAYS="40"))


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def invite(database, settings, watch):
    inviting = Inviting(database, Privacy(settings.keys), settings.limits)

    async def invite(number: int, key: str = "") -> str:
        person = Phone(phone(number), "US", test_range=True)
        order = Order(inviter="u1", inviter_name="John", phone=person, trace_parent="", key=key)
        answer = await inviting.invite(order, now=watch())
        assert isinstance(answer, Invited)
        return answer.invitation_id

    return invite


@pytest.fixture
def clear(database, settings, watch):
    return Purging(database, settings.limits, clock=watch).clear


async def test_nothing_is_left_of_a_number_after_its_days(database, invite, clear, watch):
    """I22."""
    old = await invite(1)
    watch.move(days=35)
    young = await invite(2)
    watch.move(days=5, seconds=1)
    assert (await clear())["numbers"] == 1
    rows = {row["invitation_id"]: row for row in await database.once("SELECT * FROM invitations")}
    assert [rows[old][name] for name in ("phone_hash", "phone_cipher", "key_id", "inviter_name")] == [None] * 3 + [""]
    assert rows[young]["phone_cipher"] is not None
    assert rows[young]["inviter_name"] == "John"
    assert (await clear())["numbers"] == 0


async def test_an_invitation_whose_time_is_over_expires_unless_it_was_accepted(database, invite, clear, watch):
    """I19."""
    ids = [await invite(number) for number in range(3)]
    await database.once("UPDATE invitations SET status = 'ACCEPTED' WHERE invitation_id = $1", ids[0])
    await database.once("UPDATE invitations SET status = 'DELIVERED' WHERE invitation_id = $1", ids[1])
    watch.move(days=30)
    ids.append(await invite(4))
    assert (await clear())["expired"] == 2
    rows = await database.once("SELECT invitation_id, status FROM invitations")
    statuses = {row["invitation_id"]: row["status"] for row in rows}
    assert [statuses[each] for each in ids] == ["ACCEPTED", "EXPIRED", "EXPIRED", "PENDING"]


async def test_places_and_keys_that_are_over_go(database, invite, clear, watch):
    """I4, I5, I11."""
    await invite(1, key="k1")
    watch.move(hours=23)
    await invite(2, key="k2")
    assert set((await clear()).values()) == {0}
    watch.move(hours=1)
    changed = await clear()
    assert (changed["phones"], changed["keys"], changed["quotas"]) == (1, 1, 0)
    watch.move(hours=23)
    assert (await clear())["quotas"] == 1


async def test_of_the_outbox_only_what_was_sent_goes(database, invite, clear, watch):
    """I14."""
    ids = [await invite(number) for number in range(2)]
    await database.once("UPDATE outbox SET sent_at = $2 WHERE invitation_id = $1", ids[0], watch())
    watch.move(days=30)
    assert (await clear())["sent"] == 1
    assert [row["invitation_id"] for row in await database.once("SELECT * FROM outbox")] == [ids[1]]


async def test_more_than_a_piece_goes_in_pieces(database, clear, watch):
    """I22."""
    async with database.transaction() as rows:
        for number in range(2500):
            await rows.execute("INSERT INTO phones VALUES ($1, $2, '')", str(number).encode(), watch() - 1)
        await rows.execute("INSERT INTO phones VALUES ($1, $2, '')", b"young", watch() + 1)
    assert (await clear())["phones"] == 2500
    assert len(await database.once("SELECT * FROM phones")) == 1
