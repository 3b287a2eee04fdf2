"""Whether Novita takes our API key, for reads and for writes.

While reads are refused no write is sent, and the first read that works ends that. A write that is refused says less: the key
may be refused altogether, or may not do this one thing, or not write at all. So the first one holds all writes until a read
tells; where that works, only what was refused waits, and nothing else is held until a write is taken again.
"""

from datetime import datetime

from django.db import transaction

from instances.alarms import clear_alarm, raise_alarm
from instances.lifecycle import OPEN_STATES
from instances.models import Job, ProviderAccount
from instances.models.job import CallOutcome
from instances.periodic import bring_forward
from instances.vouching import locked_account

_ALARM = "provider_key_refused"
_CODE = "auth_failed"
_ALL, _WRITES = 1, 0  # how loud the alarm is


def note_key_refused(message: str, *, now: datetime) -> None:
    """A read was refused: hold all writes and say so at once."""
    with transaction.atomic():
        account = ProviderAccount.objects.filter(pk=1)
        account.filter(key_refused_since=None).update(key_refused_since=now)
        account.exclude(writes_refused_since=None).update(writes_refused_since=None)  # it is not about writes
        raise_alarm(
            _ALARM,
            "",
            text=f"Novita refuses the API key: {message}",
            remedy="Set NOVITA_API_KEY to a valid key and restart; jobs wait until then and nothing is sent",
            now=now,
            level=_ALL,
        )


def note_write_refused(what: str, message: str, *, now: datetime) -> datetime | None:
    """A write was refused: say so at once, and hold the others until a read works, unless one did since the first refusal.

    Answers since when writes are refused and reads are not; None while reads are refused too, or before the first contact.
    """
    with transaction.atomic():
        account = locked_account()
        if account is None or (account.key_refused_since is not None and account.writes_refused_since is None):
            note_key_refused(message, now=now)
            return None
        if account.writes_refused_since is None:
            account.key_refused_since = account.writes_refused_since = now
            account.save(update_fields=["key_refused_since", "writes_refused_since"])
            bring_forward("poll", to=now)
        raise_alarm(
            _ALARM,
            "",
            text=f"Novita refuses the API key for {what}: {message}",
            remedy="Set NOVITA_API_KEY to a key that may do this, and restart. Nothing is sent until a read works; then the "
            "rest goes on, and what is refused is asked for ever more slowly",
            now=now,
            level=_WRITES,
        )
        return account.writes_refused_since


def note_key_accepted(*, now: datetime) -> None:
    """A read worked: writes go on, and what waited for it is due. The alarm stays while writes are refused all the same."""
    with transaction.atomic():
        account = locked_account()
        held = account is not None and account.key_refused_since is not None
        refused_since = account.writes_refused_since if account is not None else None
        is_over = refused_since is None or _is_taken_again(refused_since)
        if account is not None and (held or (is_over and refused_since is not None)):
            account.key_refused_since = None
            account.writes_refused_since = None if is_over else refused_since
            account.save(update_fields=["key_refused_since", "writes_refused_since"])
        cleared = is_over and clear_alarm(_ALARM, "", now=now)
        if cleared or held:
            waiting = Job.objects.filter(state__in=OPEN_STATES, error_code=_CODE, next_attempt_at__gt=now)
            waiting.update(next_attempt_at=now)


def _is_taken_again(since: datetime) -> bool:
    """Whether Novita took a write since, and no open job stands refused."""
    refused = Job.objects.filter(state__in=OPEN_STATES, error_code=_CODE, arguments__refused_since=since.isoformat())
    taken = Job.objects.filter(call_outcome=CallOutcome.ACCEPTED, call_ended_at__gt=since).exclude(error_code=_CODE)
    return not refused.exists() and taken.exists()


def key_refused_since() -> datetime | None:
    """Since when no write is sent."""
    return ProviderAccount.objects.filter(pk=1).values_list("key_refused_since", flat=True).first()
