"""Facts for tests of `decide`: every value that matters is named by the test."""

from datetime import UTC, datetime, timedelta
from typing import Any

from autostop.decide_facts import Facts, Rules, Usage

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
THRESHOLD = 20 * MINUTE
FRESH = NOW - MINUTE

CALM = Usage(window_start=NOW - THRESHOLD, read_at=NOW, newest_at=FRESH, gpu_peak=4.9, cpu_peak=0.49, known_share=1.0)


def usage(**changes: Any) -> Usage:
    """Idle, fully known and read just now, but for what is named."""
    values = {name: getattr(CALM, name) for name in CALM.__slots__}
    return Usage(**values | changes)


def rules(**changes: Any) -> Rules:
    return Rules(**{"threshold": THRESHOLD, **changes})


def idle_for_two_hours(**changes: Any) -> Facts:
    """Ready for two hours, never used, its metrics calm."""
    values: dict[str, Any] = {
        "now": NOW,
        "rules": rules(),
        "running_since": NOW - 3 * HOUR,
        "ready_at": NOW - 2 * HOUR,
        "usage": CALM,
    }
    return Facts(**values | changes)
