"""Celery's Redis transport, for which a message that nobody can read is no reason to end the worker.

A queue can hold anything that was written under its name. What was popped and is no message is dropped with an alarm: it
carries no state, since every poke is followed by the next within a second.
"""

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import DatabaseError
from django.utils import timezone
from kombu.transport import TRANSPORT_ALIASES, redis

from instances.alarms import clear_alarm, raise_alarm
from instances.models import Alarm

log = structlog.get_logger("broker")

KIND = "unreadable_message"
QUIET = timedelta(hours=1)  # without another one the alarm ends
_UNREADABLE = (TypeError, KeyError, ValueError, AttributeError)  # what decoding raises over something else than a message


class Channel(redis.Channel):
    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]  # the published types leave it out
        except _UNREADABLE as error:
            _dropped(error)
            return True


class Transport(redis.Transport):
    Channel = Channel


def use_for_redis() -> None:
    """Let addresses of Redis mean this transport, whichever way they are spelt."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{Transport.__name__}"


def end_alarm(now: datetime) -> bool:
    """Clear the alarm once no such message came for an hour."""
    over = Alarm.objects.filter(kind=KIND, cleared_at=None, last_seen_at__lt=now - QUIET).exists()
    return over and clear_alarm(KIND, "", now=now)


def _dropped(error: Exception) -> None:
    log.exception("broker.message_dropped")
    try:
        raise_alarm(
            KIND,
            "",
            text=f"a message in Redis was none of ours and was dropped: {type(error).__name__}: {error}",
            remedy="Nothing is lost by it; see what else writes to the lists of this Redis, and give it one of its own",
            now=timezone.now(),
        )
    except DatabaseError:
        log.warning("broker.alarm_not_stored")
