"""The one account a database belongs to: first contact, the key, and how far its newest list is believed."""

import hashlib
from datetime import datetime

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from instances.alarms import clear_alarm, raise_alarm
from instances.events import SYSTEM, record
from instances.models import Machine, ProviderAccount
from instances.novita.types import InstanceList
from sync.plan import Plan


def first_contact(now: datetime) -> None:
    """Store which account this database belongs to, once Novita has answered."""
    ProviderAccount.objects.get_or_create(
        pk=1, defaults={"name": settings.ACCOUNT_NAME, "first_contact_at": now, "key_fingerprint": _fingerprint()}
    )


def verify_account() -> None:
    """Refuse to go on with another account's database. Raises ImproperlyConfigured with both names and the remedy."""
    account = ProviderAccount.objects.filter(pk=1).first()
    if account is not None and account.name != settings.ACCOUNT_NAME:
        raise ImproperlyConfigured(
            f"this database belongs to {account.name} and the settings name {settings.ACCOUNT_NAME}: set "
            f"NOVITA_API_BASE_URL and NOVITA_API_KEY back, or give the other account a DATABASE_URL or DATA_DIR of its own"
        )


def judge_key(account: ProviderAccount, found: Plan, listed: InstanceList, *, now: datetime) -> bool:
    """A new key under which none of our live machines is seen starts frozen; the first known one seen lifts it.

    True where it was frozen or thawed just now, so that the plan has to be made again.
    """
    fingerprint = _fingerprint()
    was_frozen = account.frozen_since is not None
    if account.key_fingerprint == fingerprint and not was_frozen:
        return False
    live = Machine.objects.known().count()
    if found.known_seen or not live:
        _thaw(account, fingerprint, now=now, reason="a known machine is seen again" if live else "no machine was known")
    elif account.frozen_since is None and listed.complete:
        reason = f"under the new key none of the {live} known machines is seen: no rule acts and nothing becomes gone"
        account.frozen_since, account.frozen_reason = now, reason
        account.save(update_fields=["frozen_since", "frozen_reason"])
        record("account.frozen", at=now, actor=SYSTEM, reason=reason)
        raise_alarm(
            "account_frozen",
            "",
            text=reason,
            remedy="Set NOVITA_API_KEY to a key of the account this database belongs to, or delete the old records by hand",
            now=now,
        )
    return was_frozen != (account.frozen_since is not None)


def note_list(found: Plan, listed: InstanceList, *, now: datetime) -> None:
    """The list is taken over: from now on it vouches for what it left unchanged, if it was complete."""
    changes: dict[str, object] = {
        "list_total": listed.total,
        "last_list_problem": (found.suspicion_text or listed.problem)[:500],
    }
    if listed.complete:
        changes["suspicion"] = found.suspicion
    if listed.complete and not found.suspicion_text and not account_is_frozen():
        # A list that is not believed vouches for nothing: neither for what it lacks nor for what it never made.
        changes["complete_list_at"] = listed.began_at
    ProviderAccount.objects.filter(pk=1).update(**changes)
    if found.suspicion_text:
        raise_alarm(
            "list_not_believed",
            "",
            text=found.suspicion_text,
            remedy="Nothing is called gone until a second complete list and a read of each missing machine confirm it",
            now=now,
        )
    elif listed.complete:
        clear_alarm("list_not_believed", "", now=now)


def account_is_frozen() -> bool:
    return ProviderAccount.objects.filter(pk=1, frozen_since__isnull=False).exists()


def _thaw(account: ProviderAccount, fingerprint: str, *, now: datetime, reason: str) -> None:
    was_frozen = account.frozen_since is not None
    account.key_fingerprint, account.frozen_since, account.frozen_reason = fingerprint, None, ""
    account.save(update_fields=["key_fingerprint", "frozen_since", "frozen_reason"])
    if was_frozen:
        record("account.thawed", at=now, actor=SYSTEM, reason=reason)
        clear_alarm("account_frozen", "", now=now)


def _fingerprint() -> str:
    return hashlib.sha256(settings.NOVITA_API_KEY.encode()).hexdigest()[:16]
