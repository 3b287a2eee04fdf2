"""One pace for everybody who calls Novita: so many requests a minute, shared by rank.

Writes may use all of it, lists at most half, and the rest only what leaves a reserve for writes. After a 429
everything but writes pauses, and those go at half speed. In no minute are more requests let through than the
pace says: a part of it may come as a burst, the remainder flows evenly.

The rules are pure functions of a state, so that a state in memory and one shared through a database obey
the same.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Protocol

_BURST_SHARE = 0.2
_LIST_SHARE = 0.5
_RESERVE_SHARE = 0.25
_SLOW_SHARE = 0.5
LONGEST_SLOW_SECONDS = 60.0


class Rank(Enum):
    """Who goes first."""

    WRITE = "write"
    """Writes, and the reads that confirm them."""
    LIST = "list"
    REST = "rest"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceState:
    """Tokens left, over all and for lists; when they were counted; until when we go slow (epoch seconds)."""

    tokens: float
    list_tokens: float
    at: float
    slow_until: float = 0.0


class Pace(Protocol):
    """What the client asks before each request."""

    def take(self, rank: Rank) -> float:
        """0.0: a token was taken, go. More: nothing was taken, ask again after that many seconds.

        May raise PaceExceeded; the client itself does so when its patience for the rank runs out.
        """

    def slow_down(self, until: datetime) -> None:
        """Novita said 429: go slow until then."""


def full_pace(now: float, per_minute: float) -> PaceState:
    """The state of a pace nobody has used yet."""
    burst = _burst(per_minute)
    return PaceState(tokens=burst, list_tokens=_list_burst(per_minute), at=now)


def take_token(state: PaceState, rank: Rank, now: float, per_minute: float) -> tuple[PaceState, float]:
    """The state after asking, and 0.0 if a token was taken, else the seconds until asking again may help."""
    state = _refilled(state, now, per_minute)
    rate = _rate(per_minute)
    slow = max(0.0, state.slow_until - now)
    if rank is Rank.WRITE:
        wait = max(0.0, 1.0 - state.tokens) / (rate * _SLOW_SHARE if slow else rate)
        spent = replace(state, tokens=state.tokens - 1.0)
    elif rank is Rank.LIST:
        lacking = max((1.0 - state.tokens) / rate, (1.0 - state.list_tokens) / (rate * _LIST_SHARE))
        wait = max(slow, lacking, 0.0)
        spent = replace(state, tokens=state.tokens - 1.0, list_tokens=state.list_tokens - 1.0)
    else:
        needed = min(1.0 + _burst(per_minute) * _RESERVE_SHARE, _burst(per_minute))
        wait = max(slow, (needed - state.tokens) / rate, 0.0)
        spent = replace(state, tokens=state.tokens - 1.0)
    # A wait this small is rounding: sleeping it off would end at the same numbers.
    return (spent, 0.0) if wait < 1e-6 else (state, wait)


def tokens_left(state: PaceState, now: float, per_minute: float) -> tuple[float, float]:
    """How many requests may go at once, and how many of them may be lists. Below 0: so many are owed."""
    state = _refilled(state, now, per_minute)
    return state.tokens, min(state.tokens, state.list_tokens)


def slowed(state: PaceState, until: float, now: float, per_minute: float) -> PaceState:
    """The state after a 429: no burst left, and slow until then, at most a minute from now."""
    state = _refilled(state, now, per_minute)
    return replace(
        state,
        tokens=min(state.tokens, 0.0),
        list_tokens=min(state.list_tokens, 0.0),
        slow_until=max(state.slow_until, min(until, now + LONGEST_SLOW_SECONDS)),
    )


def _burst(per_minute: float) -> float:
    return max(1.0, per_minute * _BURST_SHARE)


def _list_burst(per_minute: float) -> float:
    return max(1.0, _burst(per_minute) * _LIST_SHARE)


def _rate(per_minute: float) -> float:
    """Tokens a second, such that a burst and a minute of flow are no more than the pace."""
    return max(per_minute - _burst(per_minute), per_minute * 0.1) / 60.0


def _refilled(state: PaceState, now: float, per_minute: float) -> PaceState:
    """With the tokens that came since. A clock that went back gives none and harms nothing."""
    elapsed = max(0.0, now - state.at)
    slow = min(elapsed, max(0.0, state.slow_until - state.at))
    tokens = (elapsed - slow * (1.0 - _SLOW_SHARE)) * _rate(per_minute)
    return replace(
        state,
        tokens=min(_burst(per_minute), state.tokens + tokens),
        list_tokens=min(_list_burst(per_minute), state.list_tokens + tokens * _LIST_SHARE),
        at=now,
        # A clock set back must not leave a pause of hours behind.
        slow_until=min(state.slow_until, now + LONGEST_SLOW_SECONDS),
    )


class LocalPace:
    """A pace for the threads of one process."""

    def __init__(self, per_minute: float, *, clock: Callable[[], float] = time.time) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._state = full_pace(clock(), per_minute)

    def take(self, rank: Rank) -> float:
        with self._lock:
            self._state, wait = take_token(self._state, rank, self._clock(), self._per_minute)
        return wait

    def slow_down(self, until: datetime) -> None:
        with self._lock:
            self._state = slowed(self._state, until.timestamp(), self._clock(), self._per_minute)
