"""Waiting for real processes: look again and again until a deadline, never sleep and hope."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(look: Callable[[], T], *, seconds: float = 30.0, every: float = 0.1, what: str = "") -> T:
    """The first truthy value that `look` returns. AssertionError, with the last value, when the time is over."""
    until = time.monotonic() + seconds
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"not so within {seconds:g} s: {what or look}; last seen: {value!r}")
        time.sleep(every)
