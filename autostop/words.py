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


def clock_words(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
