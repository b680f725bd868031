"""When a message may leave: by the clock where the number is at home, also where the clock is set in that night."""

from datetime import datetime

import pytest

from tests.invitation_service import environment
from workloads.common.environment import SettingError
from workloads.invitations.quiet_hours import QuietHoursError, parse, zones_of
from workloads.invitations.settings import read

NEW_YORK, LOS_ANGELES, LONDON, TOLL_FREE, TEST = (
    "+12125550123",
    "+12135550123",
    "+447400123456",
    "+18005550123",
    "+15550000001",
)
QUEUE = {"ROLES": "api", "DELIVERY": "queue"}
TWILIO = {
    "PROVIDER": "twilio",
    "TWILIO_ACCOUNT_SID": f"AC{'0' * 32}",
    "TWILIO_AUTH_TOKEN": "t",
    "TWILIO_SENDER": "+12065550100",
    "PUBLIC_URL": "https://app.example.com",
}


def hours(text):
    found = parse(text)
    assert found is not None
    return found


def at(text):
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("number", "now", "due"),
    [
        (NEW_YORK, "2026-11-30T14:00-05:00", "2026-11-30T14:00-05:00"),
        (NEW_YORK, "2026-11-30T20:59:59.999-05:00", "2026-11-30T20:59:59.999-05:00"),
        (NEW_YORK, "2026-11-30T21:00-05:00", "2026-12-01T08:00-05:00"),
        (NEW_YORK, "2026-12-01T07:59:59.999-05:00", "2026-12-01T08:00-05:00"),
        (NEW_YORK, "2026-12-01T08:00-05:00", "2026-12-01T08:00-05:00"),
        (LOS_ANGELES, "2026-12-01T08:00-05:00", "2026-12-01T08:00-08:00"),
        (LONDON, "2026-12-01T08:00-05:00", "2026-12-01T08:00-05:00"),
        pytest.param(NEW_YORK, "2026-03-07T23:00-05:00", "2026-03-08T08:00-04:00", id="a night of 23 hours"),
        pytest.param(NEW_YORK, "2026-10-31T23:00-04:00", "2026-11-01T08:00-05:00", id="a night of 25 hours"),
    ],
)
def test_a_message_leaves_at_once_by_day_and_in_the_morning_by_night(number, now, due):
    assert hours("21:00-08:00").due(number, now=at(now)) == at(due)


@pytest.mark.parametrize("hour", range(24))
def test_a_number_of_many_zones_waits_for_the_hour_that_is_night_in_the_fewest(hour):
    quiet = hours("21:00-08:00")
    assert len(zones_of(TOLL_FREE)) > 5
    now = at(f"2026-11-30T{hour:02}:30+00:00")
    due = quiet.due(TOLL_FREE, now=now)
    assert now <= due <= now + 24 * 3_600_000
    assert quiet.due(TOLL_FREE, now=due) == due, "whoever looks again then sends it"


def test_hours_within_one_day():
    quiet = hours("12:30-14:00")
    assert quiet.due(NEW_YORK, now=at("2026-11-30T13:00-05:00")) == at("2026-11-30T14:00-05:00")
    assert quiet.due(NEW_YORK, now=at("2026-11-30T23:00-05:00")) == at("2026-11-30T23:00-05:00")


def test_no_number_is_without_a_zone():
    assert all(zones_of(number) for number in (NEW_YORK, LONDON, TOLL_FREE, TEST, "+881612345678"))


@pytest.mark.parametrize(
    "text", ["", "21-8", "21:00", "24:00-08:00", "21:60-08:00", "21:00-21:00", "２１:00-08:00", "off"]
)
def test_hours_that_are_none_are_refused_with_an_example(text):
    with pytest.raises(QuietHoursError, match="none for none"):
        parse(text)


def test_what_reaches_people_is_quiet_at_night_by_default():
    def given(**more):
        variables = {**environment("sqlite:///x"), **QUEUE, **more}
        if "QUIET_HOURS" not in more:
            del variables["QUIET_HOURS"]
        return read(variables).quiet_hours

    assert given() is None, "the sandbox sends nothing"
    assert given(**TWILIO) == given(PROVIDER="sns") == parse("21:00-08:00")
    assert given(PROVIDER="sns", QUIET_HOURS="22:00-07:00") == given(QUIET_HOURS="22:00-07:00") == parse("22:00-07:00")
    assert given(PROVIDER="sns", QUIET_HOURS="none") is None
    assert given(PROVIDER="sns", DELIVERY="synchronous") is None
    with pytest.raises(SettingError, match="QUIET_HOURS: a request cannot wait for the morning"):
        given(DELIVERY="synchronous", QUIET_HOURS="21:00-08:00")
    with pytest.raises(SettingError, match="QUIET_HOURS: 'night' are no hours such as 21:00-08:00"):
        given(QUIET_HOURS="night")
