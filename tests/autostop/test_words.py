from datetime import UTC, datetime, timedelta

import pytest

from autostop.words import clock_words, duration_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (1230, "20 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (86_400, "1 d"),
        (100_000, "1 d 3 h"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, words: str) -> None:
    assert duration_words(timedelta(seconds=seconds)) == words


def test_times_are_told_in_utc() -> None:
    assert clock_words(datetime(2026, 1, 5, 12, tzinfo=UTC)) == "2026-01-05 12:00:00 UTC"
