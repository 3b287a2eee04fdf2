"""A host's clock that was set back: what is stored with times ahead of now proves nothing, and nobody waits for them.

What is decided by "begun after" compares stored times. Those written before the clock went back lie ahead of it: a list from
before a call seems to have begun after it, and what is due waits until the clock has caught up. So the stored times are
moved back by as much as the newest of them lies ahead, and the list that vouched for all is void.
"""

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Max

from instances.alarms import clear_alarm, raise_alarm
from instances.events import SYSTEM, record
from instances.models import Instance, Job, Machine, PeriodicWork, ProviderAccount

log = structlog.get_logger("host_clock")

_ALARM = "clock_went_back"
_TOLERATED = timedelta(seconds=30)  # by which the clocks of two hosts may differ
# Moved back together, so that their order stays. Money is left as it was metered; what a call's lease is worth, see `_move`.
_MOVED: tuple[tuple[type[models.Model], tuple[str, ...]], ...] = (
    (PeriodicWork, ("next_due_at", "lease_until", "started_at", "finished_at", "succeeded_at")),
    (Job, ("created_at", "next_attempt_at", "called_at", "call_ended_at")),
    (Machine, ("status_since", "running_since", "missing_since", "unverified_since", "not_found_at", "details_read_at")),
    (Instance, ("shown_at", "ready_at", "health_due_at")),
)


def is_ahead(moment: datetime | None, now: datetime) -> bool:
    """Whether a time at which something happened lies so far ahead that only a clock set back explains it.

    Less than the settle period is harmless: within it no list proves anything.
    """
    return moment is not None and moment > now + min(_TOLERATED, settings.SETTLE_PERIOD / 2)


def follow(now: datetime) -> bool:
    """Look, by one narrow read a second, whether the clock was set back since work was last begun; True where it was."""
    newest = PeriodicWork.objects.aggregate(newest=Max("started_at"))["newest"]
    if newest is None or not is_ahead(newest, now):
        return False
    by = newest - now
    with transaction.atomic():
        if not PeriodicWork.objects.select_for_update().filter(started_at=newest).exists():
            return False  # another process has moved them
        _move(by, now)
        _tell(by, now)
    log.warning("clock.went_back", seconds=round(by.total_seconds()))
    return True


def note_list(now: datetime) -> None:
    """A list begun by the clock as it is now was taken over: what it vouches for is known anew."""
    clear_alarm(_ALARM, "", now=now)


def _move(by: timedelta, now: datetime) -> None:
    for model, columns in _MOVED:
        for column in columns:
            model._default_manager.filter(**{f"{column}__gt": now}).update(**{column: F(column) - by})
    # A call that is under way keeps a whole lease, which outlives it.
    Job.objects.filter(lease_until__gt=now + settings.JOB_LEASE).update(lease_until=now + settings.JOB_LEASE)
    # Seen some time ago: no proof about a call that ended since.
    Machine.objects.filter(observed_at__gt=now).update(observed_at=now - settings.SETTLE_PERIOD)
    ProviderAccount.objects.filter(complete_list_at__gt=now).update(complete_list_at=None)


def _tell(by: timedelta, now: datetime) -> None:
    seconds = round(by.total_seconds())
    text = f"the clock of a host was set back by about {seconds} s, or the clocks of two hosts differ by as much"
    record("clock.went_back", at=now, actor=SYSTEM, reason=text, after={"seconds": seconds})
    raise_alarm(
        _ALARM,
        "",
        text=f"{text}: what was stored with later times is moved back, and Novita is listed anew before anything is judged",
        remedy="See that every host keeps its time by NTP; costs and spans of these minutes may be off by as much",
        now=now,
    )
