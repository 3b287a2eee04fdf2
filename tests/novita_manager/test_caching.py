"""The cache that rate limits count in, with and without Redis."""

import time
from collections.abc import Iterator

import pytest

from novita_manager import caching
from novita_manager.caching import RedisThenLocalCache
from tests.processes.valkey import Valkey


@pytest.fixture(autouse=True)
def no_address_is_away() -> Iterator[None]:
    caching._away_until.clear()
    yield
    caching._away_until.clear()


def cache_at(url: str) -> RedisThenLocalCache:
    return RedisThenLocalCache(url, {"OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1}})


def test_counters_are_shared_through_redis(valkey: Valkey) -> None:
    one, other = cache_at(valkey.url), cache_at(valkey.url)
    one.clear()

    assert one.add("count", 1)
    assert not other.add("count", 1)
    assert other.incr("count") == 2
    assert one.get("count") == 2
    assert one.delete("count")
    with pytest.raises(ValueError, match="count"):
        one.incr("count")


def test_counting_goes_on_in_memory_while_redis_is_away() -> None:
    cache = cache_at("unix:///nowhere/valkey.sock")
    cache.clear()

    assert cache.add("count", 1)
    assert cache.incr("count") == 2
    assert cache.get("count") == 2
    cache.set("text", "kept")
    assert cache.get("text") == "kept"
    assert cache.get("missing", "default") == "default"


def test_an_address_that_is_away_is_asked_again_later_only(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = cache_at(valkey.url)
    cache.clear()
    cache.set("where", "redis")
    valkey.kill()

    assert cache.get("where") is None
    valkey.start_again()
    cache.set("where", "memory")
    assert cache.get("where") == "memory"
    later = time.monotonic() + 6
    monkeypatch.setattr(time, "monotonic", lambda: later)
    cache.set("where", "redis again")
    assert cache_at(valkey.url).get("where") == "redis again"


def test_a_redis_that_does_not_answer_costs_one_time_out_not_one_per_call() -> None:
    cache = cache_at("redis://10.255.255.1:6379/0")

    began = time.monotonic()
    for number in range(50):
        cache.add(f"key-{number}", 1)

    assert time.monotonic() - began < 4
