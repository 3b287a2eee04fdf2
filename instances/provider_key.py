"""Whether Novita takes our API key. While it does not, no write is sent; reads go on, and the first that works ends it."""

from datetime import datetime

from django.db import transaction

from instances.alarms import clear_alarm, raise_alarm
from instances.lifecycle import OPEN_STATES
from instances.models import Job, ProviderAccount

_ALARM = "provider_key_refused"
_CODE = "auth_failed"


def note_key_refused(message: str, *, now: datetime) -> None:
    """Hold all writes and say so at once."""
    with transaction.atomic():
        ProviderAccount.objects.filter(pk=1, key_refused_since=None).update(key_refused_since=now)
        raise_alarm(
            _ALARM,
            "",
            text=f"Novita refuses the API key: {message}",
            remedy="Set NOVITA_API_KEY to a valid key and restart; jobs wait until then and nothing is sent",
            now=now,
        )


def note_key_accepted(*, now: datetime) -> None:
    """A read worked: writes go on, and what waited for it is due."""
    with transaction.atomic():
        held = ProviderAccount.objects.filter(pk=1, key_refused_since__isnull=False).update(key_refused_since=None)
        if clear_alarm(_ALARM, "", now=now) or held:
            waiting = Job.objects.filter(state__in=OPEN_STATES, error_code=_CODE, next_attempt_at__gt=now)
            waiting.update(next_attempt_at=now)


def key_refused_since() -> datetime | None:
    return ProviderAccount.objects.filter(pk=1).values_list("key_refused_since", flat=True).first()
