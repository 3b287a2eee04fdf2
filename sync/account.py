"""The one account a database belongs to: first contact, the key, and how far its lists are believed."""

from datetime import datetime

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from instances import host_clock
from instances.alarms import clear_alarm, raise_alarm
from instances.events import SYSTEM, record
from instances.models import Machine, ProviderAccount
from instances.novita.types import InstanceList
from instances.provider import key_fingerprint
from instances.provider_key import note_key_accepted
from sync.plan import Plan, Trust


def first_contact(now: datetime) -> None:
    """Novita has answered: store which account this database belongs to, and that the key is taken."""
    account, is_first = ProviderAccount.objects.get_or_create(
        pk=1, defaults={"name": settings.ACCOUNT_NAME, "first_contact_at": now, "key_fingerprint": key_fingerprint()}
    )
    if is_first or account.key_refused_since is not None or account.writes_refused_since is not None:
        note_key_accepted(now=now)


def verify_account() -> None:
    """Refuse to go on with another account's database. Raises ImproperlyConfigured with both names and the remedy."""
    account = ProviderAccount.objects.filter(pk=1).first()
    if account is not None and account.name != settings.ACCOUNT_NAME:
        raise ImproperlyConfigured(
            f"this database belongs to {account.name} and the settings name {settings.ACCOUNT_NAME}: set "
            f"NOVITA_API_BASE_URL and NOVITA_API_KEY back, or give the other account a DATABASE_URL or DATA_DIR of its own"
        )


def frozen_by_key(account: ProviderAccount | None, known_seen: int, *, complete: bool) -> bool:
    """Whether a list leaves the account frozen: under a new key none of our live machines was seen yet."""
    if account is None:
        return False
    was_frozen = account.frozen_since is not None
    if account.key_fingerprint == key_fingerprint() and not was_frozen:
        return False
    if known_seen or not Machine.objects.known().exists():
        return False
    return was_frozen or complete


def store_key_verdict(account: ProviderAccount, *, frozen: bool, now: datetime) -> None:
    """Freeze or thaw by what `frozen_by_key` said, with an event; a new key that shows our machines is taken silently."""
    if frozen and account.frozen_since is None:
        live = Machine.objects.known().count()
        reason = f"under the new key none of the {live} known machines is seen: no rule acts and nothing becomes gone"
        account.frozen_since, account.frozen_reason = now, reason
        account.save(update_fields=["frozen_since", "frozen_reason"])
        record("account.frozen", at=now, actor=SYSTEM, reason=reason)
        raise_alarm(
            "account_frozen",
            "",
            text=reason,
            remedy="Set NOVITA_API_KEY to a key of the account this database belongs to, or lift the freeze",
            now=now,
        )
    elif not frozen and account.frozen_since is not None:
        account.frozen_since, account.frozen_reason = None, ""
        account.save(update_fields=["frozen_since", "frozen_reason"])
        record("account.thawed", at=now, actor=SYSTEM, reason="a known machine is seen again, or none is known any more")
        clear_alarm("account_frozen", "", now=now)


def store_fingerprint(account: ProviderAccount, found: Plan, *, frozen: bool) -> None:
    """The key in use is the account's own once a list under it was taken over."""
    unproven = not found.known_seen and Machine.objects.known().exists()
    if not frozen and not unproven and account.key_fingerprint != key_fingerprint():
        account.key_fingerprint = key_fingerprint()
        account.save(update_fields=["key_fingerprint"])


def trust_of(account: ProviderAccount | None) -> Trust:
    if account is None:
        return Trust()
    return Trust(doubted=account.doubted_since is not None, lacked=account.suspicion, accepted=account.accepted_lack)


def note_list(account: ProviderAccount, found: Plan, listed: InstanceList, *, now: datetime) -> None:
    """The list is taken over: from now on it vouches for what it left unchanged, if it was complete and is believed."""
    account.list_total = listed.total
    account.last_list_problem = (found.doubt or listed.problem)[:500]
    if found.doubt:
        _doubt(account, found, now)
    elif listed.complete and account.frozen_since is None:
        _believe(account, now)
        # A list that is not believed vouches for nothing: neither for what it lacks nor for what it never made.
        account.complete_list_at, account.accepted_lack = listed.began_at, ""
        host_clock.note_list(now)
    account.save(
        update_fields=[
            *("list_total", "last_list_problem", "complete_list_at"),
            *("doubted_since", "doubt_reason", "suspicion", "accepted_lack"),
        ]
    )


def _doubt(account: ProviderAccount, found: Plan, now: datetime) -> None:
    account.doubt_reason, account.suspicion = found.doubt[:500], found.lacked
    if account.doubted_since is None:
        account.doubted_since = now
        record("account.doubted", at=now, actor=SYSTEM, reason=found.doubt)
    raise_alarm(
        "list_not_believed",
        "",
        text=found.doubt,
        remedy="Rules delete and move nothing, and nothing becomes gone, until two complete lists agree and a read of each "
        "missing machine confirms it; where you know that the list is right, lift the freeze",
        now=now,
    )


def _believe(account: ProviderAccount, now: datetime) -> None:
    if account.doubted_since is None:
        return
    record("account.trusted", at=now, actor=SYSTEM, reason="two complete lists agree, and reads confirm what they lack")
    account.doubted_since, account.doubt_reason, account.suspicion = None, "", ""
    # Machines whose call of ours is too young to be missed stay known; nothing is left in doubt.
    Machine.objects.exclude(unverified_since=None).update(unverified_since=None)
    clear_alarm("list_not_believed", "", now=now)
