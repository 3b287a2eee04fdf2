"""When a delivery is tried again, and when people are left in peace."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.webhooks.kinds import Severity
from instances.webhooks.timing import LONGEST_WAIT, TRIED_FOR, gap, next_time, not_before, retry

BEGAN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
UTC_ZONE, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")
NIGHT = (time(22), time(7))


@given(st.lists(st.floats(min_value=0, max_value=1), min_size=200, max_size=200))
def test_trying_goes_on_past_three_days_and_then_ends(chances: list[float]) -> None:
    now, tries = BEGAN, 0
    for chance in chances:
        tries += 1
        again = retry(attempts=tries, tried_from=BEGAN, asked=None, now=now, chance=chance)
        if again.at is None:
            break
        assert again.at > now
        now = again.at

    assert TRIED_FOR <= now - BEGAN <= TRIED_FOR + timedelta(hours=4) * 1.2
    assert 15 < tries < 40


def test_gaps_grow_to_four_hours_and_are_spread_by_a_fifth() -> None:
    assert gap(1, 0.5) == timedelta(seconds=5)
    assert gap(1, 0.0) == timedelta(seconds=4)
    assert gap(1, 1.0) == timedelta(seconds=6)
    assert gap(100, 0.5) == timedelta(hours=4)
    assert [gap(n, 0.5) for n in range(1, 10)] == sorted(gap(n, 0.5) for n in range(1, 10))


def test_a_receiver_may_ask_for_more_patience_up_to_a_limit_but_not_for_less() -> None:
    def after(asked: timedelta) -> timedelta:
        again = retry(attempts=1, tried_from=BEGAN, asked=asked, now=BEGAN, chance=0.5)
        assert again.at is not None
        return again.at - BEGAN

    assert after(timedelta(minutes=10)) == timedelta(minutes=10)
    assert after(timedelta(seconds=1)) == timedelta(seconds=5)
    assert after(timedelta(days=30)) == LONGEST_WAIT


@pytest.mark.parametrize(
    ("at", "severity", "due"),
    [
        ("12:00", Severity.INFO, "12:00"),
        ("21:59", Severity.WARNING, "21:59"),
        ("22:00", Severity.WARNING, "07:00"),
        ("23:30", Severity.INFO, "07:00"),
        ("03:00", Severity.WARNING, "07:00"),
        ("06:59", Severity.WARNING, "07:00"),
        ("07:00", Severity.WARNING, "07:00"),
        ("03:00", Severity.URGENT, "03:00"),
    ],
)
def test_quiet_hours_postpone_what_is_not_urgent_to_their_end(at: str, severity: Severity, due: str) -> None:
    moment = datetime.combine(BEGAN.date(), time.fromisoformat(at), tzinfo=UTC)

    found = not_before(moment, severity=severity, quiet=NIGHT, zone=UTC_ZONE)

    assert f"{found:%H:%M}" == due
    assert timedelta(0) <= found - moment < timedelta(hours=9, minutes=1)


def test_quiet_hours_are_those_of_the_place() -> None:
    half_past_ten_there = datetime(2026, 11, 24, 21, 30, tzinfo=UTC)

    found = not_before(half_past_ten_there, severity=Severity.INFO, quiet=NIGHT, zone=BERLIN)

    assert found == datetime(2026, 11, 25, 6, 0, tzinfo=UTC)


def test_hours_within_a_day_and_none_at_all() -> None:
    noon = (time(12), time(13))

    assert not_before(BEGAN, severity=Severity.INFO, quiet=noon, zone=UTC_ZONE) == BEGAN + timedelta(hours=1)
    assert not_before(BEGAN, severity=Severity.INFO, quiet=None, zone=UTC_ZONE) == BEGAN
    assert not_before(BEGAN, severity=Severity.INFO, quiet=(time(5), time(5)), zone=UTC_ZONE) == BEGAN


def test_the_next_nine_o_clock_is_found_over_a_change_of_the_clocks() -> None:
    before_the_change = datetime(2026, 10, 24, 8, 0, tzinfo=UTC)  # 10:00 in summer time

    assert next_time(before_the_change, time(9), BERLIN) == datetime(2026, 10, 25, 8, 0, tzinfo=UTC)
    assert next_time(datetime(2026, 10, 24, 7, 0, tzinfo=UTC), time(9), BERLIN) == datetime(2026, 10, 25, 8, 0, tzinfo=UTC)
