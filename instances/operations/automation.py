"""The one switch that holds every rule. A pause always has an end."""

from datetime import datetime

from django.db import transaction

from instances.events import Actor, record
from instances.models import AutomationPause, ProviderAccount


def pause_automation(*, until: datetime, reason: str, actor: Actor, now: datetime) -> AutomationPause:
    """Hold all rules until then; people's own acts go on."""
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


def resume_automation(*, actor: Actor, reason: str = "", now: datetime) -> AutomationPause:
    with transaction.atomic():
        pause, _ = AutomationPause.objects.get_or_create(pk=1)
        if pause.holds(now):
            AutomationPause.objects.filter(pk=1).update(paused_until=None, reason="", actor_kind="", actor_name="")
            record("automation.resumed", at=now, actor=actor, reason=reason)
        pause.refresh_from_db()
        return pause
