"""Rows that cannot be worked on: told by an alarm and tried again later, so that they never stop the rest.

Whatever a single row makes fail (a secret whose key was lost, a value that no code of ours writes) is caught around that
row. A database that is away is nobody's fault and goes on to whoever called.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog
from django.db import InterfaceError, OperationalError

from instances.alarms import clear_alarm, raise_alarm
from instances.models import Alarm, Instance

log = structlog.get_logger("set_aside")

KIND = "set_aside"
AWAY = (OperationalError, InterfaceError)
_FIRST_GAP, _LONGEST_GAP = timedelta(minutes=1), timedelta(minutes=15)


class SetAside:
    """Those of one kind of work, over one pass. `work` names it in the alarm: "health check"."""

    def __init__(self, work: str, *, now: datetime) -> None:
        self.work = work
        self.now = now
        known = Alarm.objects.filter(kind=KIND, subject__startswith=f"{work}:", cleared_at=None)
        self._known = frozenset(known.values_list("subject", flat=True))

    @contextmanager
    def around(self, instance: Instance) -> Iterator[None]:
        """What is done for one instance: an error is told and kept here, a success ends its alarm."""
        subject = f"{self.work}:{instance.pk}"
        try:
            yield
        except AWAY:
            raise
        except Exception as error:
            log.exception("row.set_aside", subject=subject)
            tell(subject, f"{self.work} of {instance.name}", error, instance=instance, now=self.now)
        else:
            if subject in self._known:
                clear_alarm(KIND, subject, now=self.now)

    def forget_all_but(self, instances: Iterable[Instance]) -> None:
        """End the alarms of rows that this work looks at no longer."""
        present = {f"{self.work}:{one.pk}" for one in instances}
        for subject in sorted(self._known - present):
            clear_alarm(KIND, subject, now=self.now)


def tell(subject: str, what: str, error: Exception, *, instance: Instance | None, now: datetime) -> None:
    """Raise or refresh the alarm of what failed."""
    raise_alarm(
        KIND,
        subject,
        text=f"{what} cannot be done and is set aside: {type(error).__name__}: {str(error)[:300]}",
        remedy="It is tried again ever more slowly and nothing else waits for it; mend what the text names, or report it",
        now=now,
        instance=instance,
    )


def gap(subject: str, *, now: datetime) -> timedelta:
    """How long to leave it alone: as long as it has been failing, from one minute to fifteen."""
    opened_at = Alarm.objects.filter(kind=KIND, subject=subject, cleared_at=None).values_list("opened_at", flat=True).first()
    return min(max(now - opened_at, _FIRST_GAP), _LONGEST_GAP) if opened_at else _FIRST_GAP
