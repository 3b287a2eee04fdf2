"""Working hours on the wall clocks of many places, over every kind of change of the clock."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise, product
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostop.schedule import (
    Schedule,
    ScheduleMode,
    Turn,
    end_of_day,
    instant,
    is_off,
    next_runs,
    start_due_at,
    stop_times,
)

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WORKDAYS = frozenset(range(5))
BERLIN = ZoneInfo("Europe/Berlin")

# Each with the days in 2026 on which its clock is put forward and put back, and the wall time before each change.
EDGES = {
    "Europe/Berlin": ((date(2026, 3, 29), time(2)), (date(2026, 10, 25), time(3))),
    "Europe/London": ((date(2026, 3, 29), time(1)), (date(2026, 10, 25), time(2))),
    "America/New_York": ((date(2026, 3, 8), time(2)), (date(2026, 11, 1), time(2))),
    "America/St_Johns": ((date(2026, 3, 8), time(2)), (date(2026, 11, 1), time(2))),
    "America/Santiago": ((date(2026, 9, 6), time(0)), (date(2026, 4, 4), time(23, 59, 59))),
    "America/Havana": ((date(2026, 3, 8), time(0)), (date(2026, 11, 1), time(1))),
    "Australia/Sydney": ((date(2026, 10, 4), time(2)), (date(2026, 4, 5), time(3))),
    "Australia/Lord_Howe": ((date(2026, 10, 4), time(2)), (date(2026, 4, 5), time(2))),
    "Pacific/Chatham": ((date(2026, 9, 27), time(2, 45)), (date(2026, 4, 5), time(3, 45))),
    "Pacific/Auckland": ((date(2026, 9, 27), time(2)), (date(2026, 4, 5), time(3))),
    "Africa/Cairo": ((date(2026, 4, 24), time(0)), (date(2026, 10, 29), time(23, 59, 59))),
    "Asia/Beirut": ((date(2026, 3, 29), time(0)), (date(2026, 10, 24), time(23, 59, 59))),
}
WITHOUT_CHANGES = ("Asia/Kathmandu", "Asia/Kolkata", "Asia/Hong_Kong", "UTC")
ZONES = [*EDGES, *WITHOUT_CHANGES]


def schedule(
    zone: str,
    *,
    stop: time | None = time(20),
    start: time | None = time(8),
    mode: ScheduleMode = ScheduleMode.KEEP_OFF_BETWEEN,
    days: frozenset[int] = frozenset(range(7)),
) -> Schedule:
    return Schedule(mode=mode, zone=ZoneInfo(zone), stop=stop, start=start, days=days)


def offset_at(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def wall(day: date, at: time, zone: str, *, fold: int = 0) -> datetime:
    return datetime.combine(day, at, tzinfo=ZoneInfo(zone)).replace(fold=fold)


@pytest.mark.parametrize(("zone", "mode"), list(product(EDGES, ScheduleMode)))
def test_a_time_the_clock_skips_is_due_at_the_change(zone: str, mode: ScheduleMode) -> None:
    day, before = EDGES[zone][0]
    place = ZoneInfo(zone)
    skipped = (datetime.combine(day, before) + 10 * MINUTE).time()
    of_it = schedule(zone, stop=skipped, start=time(12), mode=mode)

    stops = [run.at for run in next_runs(of_it, instant(day, time(0), place) - HOUR, 8) if run.turn is Turn.STOP]
    (at,) = [one for one in stops if one.astimezone(place).date() == day and one.astimezone(place).hour < 12]

    assert offset_at(at, place) - offset_at(at - timedelta(seconds=1), place) in (HOUR, HOUR / 2)
    assert at.astimezone(place).replace(tzinfo=None) - datetime.combine(day, before) in (HOUR, HOUR / 2)
    assert stop_times(of_it, at).last == at
    assert is_off(of_it, at) == (mode is ScheduleMode.KEEP_OFF_BETWEEN)
    assert not is_off(of_it, at - timedelta(seconds=1)) or mode is ScheduleMode.KEEP_OFF_BETWEEN


@pytest.mark.parametrize(("zone", "mode"), list(product(EDGES, ScheduleMode)))
def test_a_time_the_clock_shows_twice_is_due_once_at_its_first(zone: str, mode: ScheduleMode) -> None:
    day, before = EDGES[zone][1]
    place = ZoneInfo(zone)
    twice = (datetime.combine(day, before) - 10 * MINUTE).time()
    first, second = (wall(day, twice, zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    assert first < second
    of_it = schedule(zone, stop=twice, start=time(12), mode=mode)

    runs = [run.at for run in next_runs(of_it, first - 6 * HOUR, 8) if run.turn is Turn.STOP]

    assert first in runs
    assert second not in runs
    assert stop_times(of_it, second + MINUTE).last == first
    assert instant(day, twice, place) == first


@pytest.mark.parametrize(("zone", "mode", "edge"), list(product(EDGES, ScheduleMode, (0, 1))))
def test_turns_alternate_and_keep_their_wall_time_over_a_change(zone: str, mode: ScheduleMode, edge: int) -> None:
    day, _ = EDGES[zone][edge]
    place = ZoneInfo(zone)

    runs = next_runs(schedule(zone, mode=mode), instant(day, time(0), place) - 2 * DAY, 10)

    assert [run.turn for run in runs] in ([Turn.START, Turn.STOP] * 5, [Turn.STOP, Turn.START] * 5)
    assert {run.at.astimezone(place).time() for run in runs} == {time(8), time(20)}
    assert {run.at.astimezone(place).date() - day for run in runs} >= {-DAY, 0 * DAY, DAY}


@pytest.mark.parametrize(("zone", "edge"), list(product(EDGES, (0, 1))))
def test_hours_off_last_as_long_as_the_wall_says_and_the_change_takes_or_adds(zone: str, edge: int) -> None:
    day, _ = EDGES[zone][edge]
    place = ZoneInfo(zone)
    whole = schedule(zone, stop=time(20), start=time(8))
    begin = instant(day, time(12), place) - 2 * DAY
    minutes = [begin + 10 * MINUTE * step for step in range(6 * 48)]

    off = sum(is_off(whole, at) for at in minutes) / 6

    moved = offset_at(minutes[-1], place) - offset_at(begin, place)
    assert abs(off - (24 - moved / HOUR)) <= 1.2 or moved == timedelta(0)


@pytest.mark.parametrize("zone", ZONES)
def test_the_next_five_runs_are_on_the_wall_of_the_zone(zone: str) -> None:
    place = ZoneInfo(zone)
    now = datetime(2026, 6, 3, 12, tzinfo=place)

    runs = next_runs(schedule(zone, days=WORKDAYS), now)

    assert [(f"{run.at.astimezone(place):%a %H:%M}", run.turn) for run in runs] == [
        ("Wed 20:00", Turn.STOP),
        ("Thu 08:00", Turn.START),
        ("Thu 20:00", Turn.STOP),
        ("Fri 08:00", Turn.START),
        ("Fri 20:00", Turn.STOP),
    ]
    assert all(run.at.tzinfo is UTC for run in runs)


def test_working_days_keep_it_off_over_the_weekend() -> None:
    office = schedule("Europe/Berlin", days=WORKDAYS)
    friday = datetime(2026, 6, 5, 20, tzinfo=BERLIN)

    assert not is_off(office, friday - MINUTE)
    assert all(is_off(office, friday + step * HOUR) for step in range(60))
    assert not is_off(office, datetime(2026, 6, 8, 8, tzinfo=BERLIN))


def test_a_night_shift_ends_on_the_day_after() -> None:
    night = schedule("Europe/Berlin", start=time(22), stop=time(6), days=frozenset({4}))

    runs = next_runs(night, datetime(2026, 6, 3, tzinfo=BERLIN), 4)

    assert [f"{run.at.astimezone(BERLIN):%a %H:%M} {run.turn}" for run in runs] == [
        "Fri 22:00 start",
        "Sat 06:00 stop",
        "Fri 22:00 start",
        "Sat 06:00 stop",
    ]


def test_hours_that_a_change_of_the_clock_leaves_nothing_of() -> None:
    """Both turns fall on the moment the clock moves from 2 to 3: no working hour is left, or no hour off."""
    at_change = datetime(2026, 3, 29, 1, tzinfo=UTC)
    short_day = schedule("Europe/Berlin", start=time(2, 10), stop=time(2, 40))
    short_rest = schedule("Europe/Berlin", start=time(2, 40), stop=time(2, 10))

    assert is_off(short_day, at_change)
    assert not is_off(short_rest, at_change)


# --- what is due ----------------------------------------------------------------------------------------------------
EIGHT = datetime(2026, 6, 3, 20, tzinfo=BERLIN)


def due(mode: ScheduleMode, *, since: datetime | None, now: datetime) -> datetime | None:
    return stop_times(schedule("Europe/Berlin", mode=mode), now).due_at(since)


def test_once_at_stops_once_and_respects_who_starts_it_afterwards() -> None:
    assert due(ScheduleMode.ONCE_AT, since=EIGHT - 3 * HOUR, now=EIGHT - MINUTE) == EIGHT
    assert due(ScheduleMode.ONCE_AT, since=EIGHT - 3 * HOUR, now=EIGHT) == EIGHT
    assert due(ScheduleMode.ONCE_AT, since=EIGHT + HOUR, now=EIGHT + 2 * HOUR) == EIGHT + DAY
    assert due(ScheduleMode.ONCE_AT, since=None, now=EIGHT + HOUR) == EIGHT


def test_keeping_off_stops_whoever_starts_it_within_the_hours_off() -> None:
    night, morning = EIGHT + 2 * HOUR, EIGHT + 12 * HOUR
    assert due(ScheduleMode.KEEP_OFF_BETWEEN, since=night, now=night + HOUR) == EIGHT
    assert due(ScheduleMode.KEEP_OFF_BETWEEN, since=night, now=morning) == EIGHT + DAY or morning < EIGHT
    assert due(ScheduleMode.KEEP_OFF_BETWEEN, since=morning, now=morning) == EIGHT + DAY


def test_keeping_off_leaves_alone_what_runs_in_the_hours_though_the_stop_before_them_was_missed() -> None:
    """It may have been kept, protected or held over the night: its time off has ended all the same."""
    morning = EIGHT + 12 * HOUR
    for since in (EIGHT - DAY, EIGHT - HOUR, None):
        assert due(ScheduleMode.KEEP_OFF_BETWEEN, since=since, now=morning - MINUTE) == EIGHT
        assert due(ScheduleMode.KEEP_OFF_BETWEEN, since=since, now=morning) == EIGHT + DAY
        assert due(ScheduleMode.KEEP_OFF_BETWEEN, since=since, now=EIGHT + DAY - MINUTE) == EIGHT + DAY


def test_keeping_off_without_an_end_stops_as_once_at_does() -> None:
    endless = schedule("Europe/Berlin", start=None)
    times = stop_times(endless, EIGHT + HOUR)
    assert (times.due_at(EIGHT - HOUR), times.due_at(EIGHT + MINUTE)) == (EIGHT, EIGHT + DAY)


def test_one_that_began_before_the_last_stop_is_due_even_when_nobody_looked_then() -> None:
    assert due(ScheduleMode.ONCE_AT, since=EIGHT - HOUR, now=EIGHT + 30 * HOUR) == EIGHT + DAY


@pytest.mark.parametrize("mode", ScheduleMode)
def test_a_start_is_due_from_its_time_to_the_end_of_the_hours(mode: ScheduleMode) -> None:
    hours = schedule("Europe/Berlin", mode=mode)
    morning = EIGHT + 12 * HOUR
    evening = EIGHT + DAY

    assert start_due_at(hours, stopped_since=EIGHT, now=morning - MINUTE) is None
    assert start_due_at(hours, stopped_since=EIGHT, now=morning) == morning
    assert start_due_at(hours, stopped_since=EIGHT, now=evening - MINUTE) == morning
    assert start_due_at(hours, stopped_since=EIGHT, now=evening) is None
    assert start_due_at(hours, stopped_since=morning, now=morning + HOUR) is None


def test_a_schedule_without_a_turn_or_a_day_is_never_due() -> None:
    empty = schedule("UTC", stop=None, start=None, mode=ScheduleMode.ONCE_AT)
    no_day = schedule("UTC", days=frozenset())
    only_start = schedule("UTC", stop=None, mode=ScheduleMode.ONCE_AT)
    now = datetime(2026, 6, 3, tzinfo=UTC)

    assert next_runs(empty, now) == next_runs(no_day, now) == ()
    assert stop_times(no_day, now).due_at(now - DAY) is None
    assert stop_times(only_start, now).due_at(now - DAY) is None
    assert start_due_at(only_start, stopped_since=now - DAY, now=now + 9 * HOUR) == now + 8 * HOUR
    assert not is_off(schedule("UTC", start=None), now)


def test_the_end_of_the_day_is_the_next_midnight_even_where_the_clock_skips_it() -> None:
    assert end_of_day(datetime(2026, 6, 3, 21, 30, tzinfo=UTC), BERLIN) == datetime(2026, 6, 4, tzinfo=BERLIN)
    havana = ZoneInfo("America/Havana")
    assert end_of_day(datetime(2026, 3, 7, 12, tzinfo=havana), havana) == datetime(2026, 3, 8, 5, tzinfo=UTC)


TIMES = st.times(min_value=time(0), max_value=time(23, 59)).map(lambda at: at.replace(second=0, microsecond=0))
MOMENTS = st.integers(min_value=1_704_067_200, max_value=1_956_528_000).map(lambda at: datetime.fromtimestamp(at, UTC))


@given(
    st.sampled_from(ZONES),
    TIMES,
    TIMES,
    st.frozensets(st.integers(min_value=0, max_value=6), min_size=1),
    MOMENTS,
    st.sampled_from(ScheduleMode),
)
def test_runs_are_to_come_in_order_and_agree_with_what_is_due(
    zone: str, stop: time, start: time, days: frozenset[int], now: datetime, mode: ScheduleMode
) -> None:
    of_it = schedule(zone, stop=stop, start=start, days=days, mode=mode)

    runs = next_runs(of_it, now, 6)

    assert len(runs) == 6
    assert all(run.at > now for run in runs)
    assert all(one.at <= other.at for one, other in pairwise(runs))
    times = stop_times(of_it, now)
    assert times.next == next(run.at for run in runs if run.turn is Turn.STOP)
    assert times.last is not None
    assert times.last <= now
    assert times.off == (mode is ScheduleMode.KEEP_OFF_BETWEEN and times.off)
    if mode is ScheduleMode.KEEP_OFF_BETWEEN:
        for since in (None, now - 3 * DAY, now):
            assert times.due_at(since) == (times.last if times.off else times.next)
