"""Times and durations as people read them."""

from datetime import UTC, datetime, timedelta


def duration_words(length: timedelta) -> str:
    """`45 s`, `24 min`, `2 h 5 min` or `3 d 4 h`: two units at most, cut off below."""
    seconds = int(length.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min" + (f" {seconds % 60} s" if seconds < 600 and seconds % 60 else "")
    large, small, names = (3600, 60, ("h", "min")) if seconds < 86_400 else (86_400, 3600, ("d", "h"))
    rest = seconds % large // small
    return f"{seconds // large} {names[0]}" + (f" {rest} {names[1]}" if rest else "")


def duration_text(length: timedelta) -> str:
    """As settings and requests write it: `1200s` is `20m`, whole hours are `2h`."""
    seconds = length.total_seconds()
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def clock_words(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
