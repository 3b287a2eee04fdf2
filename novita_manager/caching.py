"""Cache backends for rate limits: Redis shared by all processes, local memory while Redis is away."""

import time
from collections.abc import Callable
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django_redis.cache import RedisCache
from django_redis.exceptions import ConnectionInterrupted
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

_AWAY_SECONDS = 5.0
_LOCAL_ENTRIES = 100_000
# Until when each address counts as away, shared by the threads of a process.
_away_until: dict[str, float] = {}


class LocalCache(LocMemCache):
    """Django's local-memory cache under a name of its own, since django-ratelimit refuses to run on the original.

    Counters are exact within one process. `MAX_ENTRIES` must be large: a cull resets counters.
    """


class RedisThenLocalCache(BaseCache):
    """Redis, and local memory for a few seconds whenever Redis fails. Never raises for its sake nor waits for it twice."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._server = server
        options = {
            **params.get("OPTIONS", {}),
            "CONNECTION_POOL_KWARGS": {"retry": Retry(NoBackoff(), 0)},  # its own retries would take seconds
        }
        self._redis = RedisCache(server, {**params, "OPTIONS": options})
        self._local = LocalCache(f"beside {server}", {**params, "OPTIONS": {"MAX_ENTRIES": _LOCAL_ENTRIES}})

    def _first(self, ask: Callable[[BaseCache], Any]) -> Any:
        if time.monotonic() >= _away_until.get(self._server, 0.0):
            try:
                return ask(self._redis)
            except (ConnectionInterrupted, RedisError, OSError):
                _away_until[self._server] = time.monotonic() + _AWAY_SECONDS
        return ask(self._local)

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return bool(self._first(lambda cache: cache.add(key, value, timeout=timeout, version=version)))

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return self._first(lambda cache: cache.get(key, default, version=version))

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._first(lambda cache: cache.set(key, value, timeout=timeout, version=version))

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """As Django's: raises ValueError where the key does not exist."""
        return int(self._first(lambda cache: cache.incr(key, delta, version=version)))

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return bool(self._first(lambda cache: cache.touch(key, timeout=timeout, version=version)))

    def delete(self, key: Any, version: int | None = None) -> bool:
        return bool(self._first(lambda cache: cache.delete(key, version=version)))

    def clear(self) -> None:
        self._first(lambda cache: cache.clear())
        self._local.clear()
