"""Reads the metrics of every running instance of ours, one call each for what came since its last sample.

The calls are spread evenly over an interval that stretches with the fleet, so that they take a bounded part of the pace
towards Novita. Due machines are claimed by conditional UPDATEs: any number of workers share them.
"""

import zlib
from datetime import datetime, timedelta
from math import ceil

from django.conf import settings
from django.db.models import F

from instances.lifecycle import Observed
from instances.models import Machine, UtilisationWatch
from instances.periodic import claim, finish
from instances.provider import novita
from instances.set_aside import SetAside
from instances.utilisation.reads import MetricsSource, Question, question_of, read
from instances.utilisation.rows import forget_old, store

EVERY = timedelta(seconds=60)
SHARE_OF_PACE = 0.25
READ_SECONDS = 20.0
_MOST_AT_ONCE = 40
_SWEEP = "utilisation_sweep"
_SWEEP_EVERY = timedelta(seconds=10)
_FORGET = "utilisation_forget"
_NOT_ASKED_AGAIN_IN = timedelta(seconds=5)


def interval_for(machines: int) -> timedelta:
    """How often each of so many machines is read: every minute, less often where that would take too much of the pace."""
    return max(EVERY, timedelta(minutes=machines / (settings.NOVITA_REQUESTS_PER_MINUTE * SHARE_OF_PACE)))


def collect_if_due(now: datetime, *, source: MetricsSource | None = None) -> int:
    """Read what is due; how many machines were asked about."""
    _sweep(now)
    watched = UtilisationWatch.objects.count()
    interval = interval_for(watched)
    room = max(1, min(_MOST_AT_ONCE, ceil(watched / interval.total_seconds()) * 2))
    questions = _claimed(now, interval, room)
    if not questions:
        return 0
    answers = read(questions, source or novita(), seconds=READ_SECONDS)
    store(answers, now=now)
    unasked = [one.machine_id for one in questions if one.machine_id not in answers]
    UtilisationWatch.objects.filter(machine_id__in=unasked).update(due_at=now + _NOT_ASKED_AGAIN_IN)
    return len(answers)


def _claimed(now: datetime, interval: timedelta, room: int) -> list[Question]:
    due = UtilisationWatch.objects.filter(due_at__lte=now).select_related("machine__current_of").order_by("due_at")
    due = due.filter(machine__current_of__isnull=False)  # the sweep ends the watch of one that was replaced
    questions, aside = [], SetAside("metrics", now=now)
    for watch in due.defer("machine__connection", "machine__current_of__envs")[:room]:
        won = UtilisationWatch.objects.filter(pk=watch.pk, due_at=watch.due_at).update(due_at=now + interval)
        if not won:
            continue
        instance = watch.machine.current_of
        with aside.around(instance):
            cpu_only = instance.gpu_num == 0
            questions.append(question_of(watch.machine, newest_at=watch.newest_at, cpu_only=cpu_only, now=now))
    return questions


def _sweep(now: datetime) -> None:
    """Begin to watch what began to run, spread over the interval; stop watching what no longer does; forget old rows."""
    held = claim(_SWEEP, every=_SWEEP_EVERY, lease=_SWEEP_EVERY, now=now)
    if held is not None:
        running = set(_running())
        watched = set(UtilisationWatch.objects.values_list("machine_id", flat=True))
        interval = interval_for(len(running))
        UtilisationWatch.objects.filter(machine_id__in=watched - running).delete()
        UtilisationWatch.objects.bulk_create(
            [UtilisationWatch(machine_id=one, due_at=now + _spread(one, interval)) for one in sorted(running - watched)],
            ignore_conflicts=True,
        )
        finish(held, now=now, ok=True)
    held = claim(_FORGET, every=timedelta(hours=1), lease=timedelta(minutes=5), now=now)
    if held is not None:
        finish(held, now=now, ok=True, detail=f"{forget_old(now)} rows")


def _running() -> list[int]:
    rows = Machine.objects.filter(current_of__managed=True, absent_at=None, running_since__isnull=False)
    rows = rows.filter(current_of__machine=F("pk"), status__iexact=Observed.RUNNING)
    return list(rows.values_list("pk", flat=True))


def _spread(machine_id: int, interval: timedelta) -> timedelta:
    """A moment of the interval, the same for an id."""
    return interval * (zlib.crc32(str(machine_id).encode()) / 0xFFFFFFFF)
