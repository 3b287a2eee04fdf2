"""Waiting for real processes: look again and again until a deadline, never sleep and hope."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


# Each look costs the machine something: the longer it has been waited, the rarer they are.
_SHARE_OF_WAITED, _SHORTEST, _LONGEST = 0.05, 0.05, 0.5


def wait_for(look: Callable[[], T], *, seconds: float = 30.0, every: float | None = None, what: str = "") -> T:
    """The first truthy value that `look` returns, seen at most a twentieth of the wait too late, or after `every` seconds.

    AssertionError, with the last value, when the time is over.
    """
    began = time.monotonic()
    while True:
        value = look()
        if value:
            return value
        waited = time.monotonic() - began
        if waited > seconds:
            raise AssertionError(f"not so within {seconds:g} s: {what or look}; last seen: {value!r}")
        time.sleep(every if every is not None else min(max(waited * _SHARE_OF_WAITED, _SHORTEST), _LONGEST))
