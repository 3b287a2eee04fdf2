"""Whether Redis answers, remembered for a moment so that requests do not each pay for a connect time-out."""

import threading
import time

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

_REMEMBERED_SECONDS = 2.0
_TIMEOUT_SECONDS = 0.5


class _LastAnswer:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.asked_at = float("-inf")
        self.address = ""
        self.problem = ""


_last = _LastAnswer()


def redis_answers() -> bool:
    return not redis_problem()


def redis_problem() -> str:
    """Why Redis does not answer, or "" where it does. At most one caller asks at a time."""
    address = str(settings.REDIS_URL)
    with _last.lock:
        if address != _last.address or time.monotonic() - _last.asked_at > _REMEMBERED_SECONDS:
            _last.problem = _ask(address)
            _last.address, _last.asked_at = address, time.monotonic()
        return _last.problem


def _ask(address: str) -> str:
    try:
        client = redis.Redis.from_url(
            address,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            socket_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        with client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        return f"Redis does not answer ({type(error).__name__})"
    return ""
