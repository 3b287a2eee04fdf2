"""What holds rules: the one switch, which always has an end, and a freeze that a person may lift."""

from datetime import datetime, timedelta

from django.db import transaction

from instances.alarms import clear_alarm
from instances.events import Actor, record
from instances.models import AutomationPause, Machine, ProviderAccount
from instances.operations.refusals import TooLong
from instances.provider import key_fingerprint

LONGEST_PAUSE = timedelta(days=7)


def pause_automation(*, until: datetime, reason: str, actor: Actor, now: datetime) -> AutomationPause:
    """Hold all rules until then; people's own acts go on. Raises TooLong, whoever asks."""
    if until > now + LONGEST_PAUSE:
        raise TooLong("a pause lasts at most 7 days: pause again then", field="paused_until")
    with transaction.atomic():
        pause, _ = AutomationPause.objects.update_or_create(
            pk=1,
            defaults={
                "paused_until": until,
                "reason": reason[:500],
                "actor_kind": actor.kind,
                "actor_name": actor.name,
            },
        )
        record("automation.paused", at=now, actor=actor, reason=reason, after={"paused_until": until.isoformat()})
        return pause


def hold_reason(now: datetime) -> str:
    """Why rules may not act now, or "": automation is paused, or the account is frozen."""
    pause = AutomationPause.objects.filter(pk=1).first()
    if pause is not None and pause.holds(now):
        return f"automation is paused until {pause.paused_until:%F %T} UTC: {pause.reason}"
    account = ProviderAccount.objects.filter(pk=1).first()
    return account.frozen_reason if account is not None and account.frozen_since else ""


def destruction_hold_reason(now: datetime) -> str:
    """Why rules may not delete, move or replace anything now, or "": as `hold_reason`, or Novita's lists are doubted."""
    reason = hold_reason(now)
    if reason:
        return reason
    account = ProviderAccount.objects.filter(pk=1).first()
    return account.doubt_reason if account is not None and account.doubted_since else ""


def lift_freeze(*, actor: Actor, reason: str, now: datetime) -> list[str]:
    """A person says that the key is the account's own, or that what lists lack is lacking indeed.

    The next list is believed; gone still takes a read by id. Answers what was lifted: "key", "lists", or nothing.
    """
    with transaction.atomic():
        account = ProviderAccount.objects.select_for_update().filter(pk=1).first()
        if account is None:
            return []
        before = {"key": account.frozen_reason, "lists": account.doubt_reason}
        lifted = [name for name, since in (("key", account.frozen_since), ("lists", account.doubted_since)) if since]
        if not lifted:
            return []
        account.key_fingerprint = key_fingerprint()
        account.frozen_since, account.frozen_reason = None, ""
        account.accepted_lack = account.suspicion
        account.doubted_since, account.doubt_reason, account.suspicion = None, "", ""
        account.save(
            update_fields=[
                *("key_fingerprint", "frozen_since", "frozen_reason"),
                *("accepted_lack", "doubted_since", "doubt_reason", "suspicion"),
            ]
        )
        Machine.objects.exclude(unverified_since=None).update(unverified_since=None)
        told = {name: before[name] for name in lifted}
        record("account.freeze_lifted", at=now, actor=actor, reason=reason, before=told, after={"lifted": lifted})
        clear_alarm("account_frozen", "", now=now)
        clear_alarm("list_not_believed", "", now=now)
        return lifted


def resume_automation(*, actor: Actor, reason: str = "", now: datetime) -> AutomationPause:
    with transaction.atomic():
        pause, _ = AutomationPause.objects.get_or_create(pk=1)
        if pause.holds(now):
            AutomationPause.objects.filter(pk=1).update(paused_until=None, reason="", actor_kind="", actor_name="")
            record("automation.resumed", at=now, actor=actor, reason=reason)
        pause.refresh_from_db()
        return pause
