"""When a delivery is tried, and tried again. Pure; chance comes in from outside.

Trying goes on for three days. Quiet hours postpone what is not urgent to their end.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from instances.webhooks.kinds import Severity

TRIED_FOR = timedelta(days=3)
LONGEST_WAIT = timedelta(hours=12)  # of what a receiver may ask for
# Messages wait so long for others, so that many boxes at once are one message.
GROUPING = timedelta(seconds=10)

_GAPS = tuple(
    timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1800, 3600, 2 * 3600, 4 * 3600)
)  # the last one again and again
_JITTER = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """`at` None: it is given up."""

    at: datetime | None


def gap(failures: int, chance: float) -> timedelta:
    """How long to wait after so many failures in a row; `chance` from 0 to 1 spreads it by a fifth either way."""
    usual = _GAPS[min(max(failures, 1), len(_GAPS)) - 1]
    return usual * (1 - _JITTER + 2 * _JITTER * chance)


def retry(*, attempts: int, tried_from: datetime, asked: timedelta | None, now: datetime, chance: float) -> Retry:
    """After a failure: the last attempt is the first one that lies three days after the beginning, or later."""
    if now - tried_from >= TRIED_FOR:
        return Retry(at=None)
    wait = gap(attempts, chance)
    return Retry(at=now + (max(wait, min(asked, LONGEST_WAIT)) if asked else wait))


def in_quiet_hours(moment: datetime, start: time, end: time, zone: ZoneInfo) -> bool:
    """Whether the local time lies from `start` to before `end`; over midnight where that is earlier."""
    local = moment.astimezone(zone).time()
    return start <= local < end if start < end else local >= start or local < end


def not_before(moment: datetime, *, severity: Severity, quiet: tuple[time, time] | None, zone: ZoneInfo) -> datetime:
    """The moment itself, or the end of the quiet hours it falls into."""
    if quiet is None or quiet[0] == quiet[1] or severity is Severity.URGENT:
        return moment
    return next_time(moment, quiet[1], zone) if in_quiet_hours(moment, *quiet, zone) else moment


def next_time(moment: datetime, at: time, zone: ZoneInfo) -> datetime:
    """The next moment after this one whose local time is `at`."""
    local = moment.astimezone(zone)
    found = datetime.combine(local.date(), at, tzinfo=zone)
    while found <= local:
        found = datetime.combine(found.date() + timedelta(days=1), at, tzinfo=zone)
    return found.astimezone(moment.tzinfo)
