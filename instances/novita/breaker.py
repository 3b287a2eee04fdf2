"""One circuit breaker per kind of call: when Novita keeps failing, stop asking for a while, then try one.

Only what Novita did wrong counts: 5xx, time-outs and 429, and being away altogether (refused, reset, no
address). Any other answer, a 400 too, shows that it works. No lock is held during a call. A probe that never
reports (its process died, the pace refused it) stops blocking after one reset time.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Protocol

from instances.novita.errors import BreakerOpen


class CallKind(Enum):
    """The kinds of call that fail together."""

    LIST = "list"
    GET = "get"
    CREATE = "create"
    COMMAND = "command"
    METRICS = "metrics"
    CATALOGUE = "catalogue"
    LOGS = "logs"
    BALANCE = "balance"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerLimits:
    """How many failures in a row open it, and for how many seconds."""

    failures: int = 5
    reset_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerState:
    """Failures in a row; when it opened (0: closed); until when a probe may take (0: none). Epoch seconds."""

    failures: int = 0
    opened_at: float = 0.0
    probe_until: float = 0.0

    @property
    def is_open(self) -> bool:
        return self.opened_at > 0


class Breaker(Protocol):
    """What the client tells about each attempt."""

    def before(self, kind: CallKind) -> None:
        """Raises BreakerOpen when this kind of call must not be made now."""

    def success(self, kind: CallKind) -> None:
        """Novita answered, if only with a refusal."""

    def failure(self, kind: CallKind) -> None:
        """Novita failed in a way that counts."""


def may_call(state: BreakerState, now: float, limits: BreakerLimits) -> tuple[BreakerState, float]:
    """The state after asking, and 0.0 to go ahead, else the seconds until a probe may be due.

    The one that may go ahead after the reset time is the probe; the state then remembers it.
    """
    if not state.is_open:
        return state, 0.0
    due = max(state.opened_at + limits.reset_seconds, state.probe_until)
    wait = min(due - now, limits.reset_seconds)  # bounded, should the clock have been set back
    if wait > 0:
        return state, wait
    return replace(state, probe_until=now + limits.reset_seconds), 0.0


def after_success(state: BreakerState) -> BreakerState:
    """Closed, with nothing counted."""
    return state if state == BreakerState() else BreakerState()


def after_failure(state: BreakerState, now: float, limits: BreakerLimits) -> BreakerState:
    """One failure more. A failed probe opens it anew; a straggler from before it opened changes nothing."""
    if state.is_open and not state.probe_until:
        return state
    failures = state.failures + 1
    if state.is_open or failures >= limits.failures:
        return BreakerState(failures=failures, opened_at=now)
    return BreakerState(failures=failures)


def breaker_open(kind: CallKind, now: float, wait: float) -> BreakerOpen:
    """The error for a refused call."""
    return BreakerOpen(
        f"Novita kept failing at {kind.value} calls; the next try is in {wait:.0f} s",
        reason="BREAKER_OPEN",
        retry_at=datetime.fromtimestamp(now + wait, UTC),
    )


class LocalBreaker:
    """Breakers for the threads of one process."""

    def __init__(self, limits: BreakerLimits | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._limits = limits or BreakerLimits()
        self._clock = clock
        self._lock = threading.Lock()
        self._states: dict[CallKind, BreakerState] = {}

    def state(self, kind: CallKind) -> BreakerState:
        with self._lock:
            return self._states.get(kind, BreakerState())

    def before(self, kind: CallKind) -> None:
        now = self._clock()
        with self._lock:
            state = self._states.get(kind, BreakerState())
            self._states[kind], wait = may_call(state, now, self._limits)
        if wait > 0:
            raise breaker_open(kind, now, wait)

    def success(self, kind: CallKind) -> None:
        with self._lock:
            self._states[kind] = after_success(self._states.get(kind, BreakerState()))

    def failure(self, kind: CallKind) -> None:
        now = self._clock()
        with self._lock:
            state = self._states.get(kind, BreakerState())
            self._states[kind] = after_failure(state, now, self._limits)
