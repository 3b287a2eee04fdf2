"""Working hours: when an instance is stopped and started by the clock on a wall somewhere. Pure.

Times hold on working days: it starts and stops on these, and a night shift that begins on one ends on the day after.

Two modes. "Once at": at its stop time it is stopped once, at its start time started once; who starts it in between keeps
it running. "Keep off between": from each stop time to the next start time it is kept off, whoever started it, so also over
a weekend that has no working day.

A wall clock that is put forward skips times: what is due at a skipped one is due at the moment of the change. One that is
put back shows times twice: the first one counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

EVERY_DAY = frozenset(range(7))
DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FARTHEST = 16  # days searched for a turn: every weekday twice, whatever a change of the clock or of the date line skips
_DAY = timedelta(days=1)


class ScheduleMode(StrEnum):
    ONCE_AT = "once_at"
    KEEP_OFF_BETWEEN = "keep_off_between"


MODES = [str(mode) for mode in ScheduleMode]


class Turn(StrEnum):
    START = "start"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Wall-clock times of `zone` on working `days` (0 is Monday); None is never. Keeping off needs both times."""

    mode: ScheduleMode
    zone: ZoneInfo
    stop: time | None = None
    start: time | None = None
    days: frozenset[int] = EVERY_DAY

    @property
    def overnight(self) -> bool:
        return self.start is not None and self.stop is not None and self.stop < self.start

    @property
    def keeps_off(self) -> bool:
        """Whether it has spans of time off, not stop times alone."""
        return self.mode is ScheduleMode.KEEP_OFF_BETWEEN and self.start is not None and self.stop is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One turn of a schedule, as an instant in UTC."""

    at: datetime
    turn: Turn


def instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The instant a wall clock first shows this time, or passes it by."""
    local = datetime.combine(day, at)
    before, after = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if before <= after:
        return before
    return _change_between(after, before, zone)


def _change_between(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The second at which the zone's offset changes, which lies after `low` and not after `high`."""
    old = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == old:
            low = middle
        else:
            high = middle
    return high


def next_runs(schedule: Schedule, now: datetime, count: int = 5) -> tuple[Run, ...]:
    """The next turns after `now`, the earliest first."""
    return tuple(_take(_after(schedule, now), count))


@dataclass(frozen=True, slots=True, kw_only=True)
class StopTimes:
    """The stop times around a moment: the last one, the next one, and whether the schedule keeps off what runs now.

    `keeps_off` is that of the schedule.
    """

    last: datetime | None
    next: datetime | None
    keeps_off: bool
    off: bool

    def due_at(self, since: datetime | None) -> datetime | None:
        """When one that is wanted running since `since` is stopped; a time that has passed is due now.

        Once at: the last stop time, where it came after `since` and was missed, else the next. Keep off between: the begin
        of the time off that holds, else the next: a time off that was missed ends with the hours that follow it.
        """
        missed = not self.keeps_off and self.last is not None and (since is None or self.last > since)
        return self.last if self.off or missed else self.next


def stop_times(schedule: Schedule, now: datetime) -> StopTimes:
    following = None
    if schedule.stop is not None:
        following = next((run.at for run in _after(schedule, now) if run.turn is Turn.STOP), None)
    last = _latest(schedule, now, Turn.STOP)
    return StopTimes(last=last, next=following, keeps_off=schedule.keeps_off, off=is_off(schedule, now))


def start_due_at(schedule: Schedule, *, stopped_since: datetime | None, now: datetime) -> datetime | None:
    """The start time that has passed since it was stopped and whose hours still last, or None.

    Without `stopped_since`, the newest start time counts as passed since.
    """
    last = _latest(schedule, now, Turn.START)
    stop = _latest(schedule, now, Turn.STOP)
    if last is None or (stopped_since is not None and last <= stopped_since):
        return None
    return None if _rests(schedule, stop, last) else last


def is_off(schedule: Schedule, now: datetime) -> bool:
    """Whether the schedule keeps off what runs now."""
    if not schedule.keeps_off:
        return False
    return _rests(schedule, _latest(schedule, now, Turn.STOP), _latest(schedule, now, Turn.START))


def _rests(schedule: Schedule, stop: datetime | None, start: datetime | None) -> bool:
    """Whether it is after hours. A change of the clock can bring both turns to one moment: the shorter span is left out."""
    if stop is None or start is None:
        return stop is not None
    return stop > start or (stop == start and not schedule.overnight)


def end_of_day(now: datetime, zone: ZoneInfo) -> datetime:
    """The next midnight on the zone's wall."""
    return instant(now.astimezone(zone).date() + _DAY, time(0), zone)


def _take(runs: Iterator[Run], count: int) -> Iterator[Run]:
    for _, run in zip(range(count), runs, strict=False):
        yield run


def _after(schedule: Schedule, now: datetime) -> Iterator[Run]:
    """Turns after `now` without end; none for a schedule that has no time or no day."""
    day = now.astimezone(schedule.zone).date() - _DAY
    idle_days = 0
    while idle_days < _FARTHEST:
        runs = [run for run in _of_day(schedule, day) if run.at > now]
        idle_days = 0 if runs else idle_days + 1
        yield from runs
        day += _DAY


def _latest(schedule: Schedule, now: datetime, turn: Turn) -> datetime | None:
    """The newest such turn up to `now`."""
    day = now.astimezone(schedule.zone).date() + _DAY
    for _ in range(_FARTHEST):
        past = [run.at for run in _of_day(schedule, day) if run.turn is turn and run.at <= now]
        if past:
            return past[-1]
        day -= _DAY
    return None


def _of_day(schedule: Schedule, day: date) -> list[Run]:
    """The turns of a day, in order."""
    turns = []
    if schedule.start is not None and day.weekday() in schedule.days:
        turns.append(Run(at=instant(day, schedule.start, schedule.zone), turn=Turn.START))
    worked = day - _DAY if schedule.overnight else day
    if schedule.stop is not None and worked.weekday() in schedule.days:
        turns.append(Run(at=instant(day, schedule.stop, schedule.zone), turn=Turn.STOP))
    return sorted(turns, key=_when)


def _when(run: Run) -> datetime:
    return run.at
