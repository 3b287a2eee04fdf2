"""Counters of requests, shared by all processes without asking Redis at each step."""

import threading
import time
from dataclasses import dataclass
from typing import Any

from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

# A fiftieth of what is counted already may be held back here, for a second at most.
_SHARE_HELD_BACK = 50
_LONGEST_HELD_BACK = 1.0
_MOST_KEYS = 10_000


@dataclass(slots=True)
class _Counted:
    everywhere: int
    here: int
    told_at: float
    ends_at: float


class SharedCounters(BaseCache):
    """`add` and `incr` as django-ratelimit uses them, on the cache that `LOCATION` names.

    Exact up to fifty; from there on each process tells its steps in bundles, so that a limit may be passed by a fiftieth for
    each process that counts.
    """

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._shared = server
        self._known: dict[str, _Counted] = {}
        self._lock = threading.Lock()

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        now = time.monotonic()
        with self._lock:
            if key in self._known and self._known[key].ends_at > now:
                return False
        added = bool(caches[self._shared].add(key, value, timeout, version))
        seconds = float(timeout) if isinstance(timeout, int | float) else float(self.default_timeout or 0)
        with self._lock:
            self._forget_some(now)
            self._known[key] = _Counted(everywhere=int(value) if added else 0, here=0, told_at=now, ends_at=now + seconds)
        return added

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """The count so far. Raises ValueError for a key that was not added or is forgotten."""
        now = time.monotonic()
        with self._lock:
            counted = self._known.get(key)
            if counted is not None:
                counted.here += delta
                held_back = counted.here * _SHARE_HELD_BACK <= counted.everywhere
                if held_back and now - counted.told_at < _LONGEST_HELD_BACK:
                    return counted.everywhere + counted.here
                delta, counted.here = counted.here, 0
        try:
            total = caches[self._shared].incr(key, delta, version)
        except ValueError:
            with self._lock:
                self._known.pop(key, None)
            raise
        if counted is not None:
            with self._lock:
                counted.everywhere, counted.told_at = max(counted.everywhere, total), now
        return total

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return caches[self._shared].get(key, default, version)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        caches[self._shared].set(key, value, timeout, version)

    def delete(self, key: Any, version: int | None = None) -> bool:
        with self._lock:
            self._known.pop(key, None)
        return caches[self._shared].delete(key, version)

    def clear(self) -> None:
        with self._lock:
            self._known.clear()

    def _forget_some(self, now: float) -> None:
        if len(self._known) >= _MOST_KEYS:
            self._known = {key: one for key, one in self._known.items() if one.ends_at > now}
            if len(self._known) >= _MOST_KEYS:
                self._known.clear()
