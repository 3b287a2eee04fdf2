"""Times and durations as the API writes and reads them."""

import re
from datetime import UTC, datetime, timedelta

_DURATION = re.compile(r"(\d{1,9})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def rfc3339(moment: datetime) -> str:
    """In UTC with a Z, to the millisecond where it has a fraction."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.removesuffix("+00:00") + "Z"


def duration_text(span: timedelta) -> str:
    """The shortest form that `parse_duration` reads back: 90s, 20m, 2h."""
    seconds = int(span.total_seconds())
    for unit in ("h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds // _SECONDS[unit]}{unit}"
    return f"{seconds}s"


def parse_duration(text: str) -> timedelta:
    """`30s`, `20m`, `2h` or `1d` as a timedelta. Raises ValueError for anything else."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("write a duration such as 30s, 20m or 2h")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
