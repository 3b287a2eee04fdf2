"""The one switch that holds every rule. A pause always has an end."""

from datetime import datetime

from django.db import transaction

from instances.events import Actor, record
from instances.models import AutomationPause


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


def resume_automation(*, actor: Actor, reason: str = "", now: datetime) -> AutomationPause:
    with transaction.atomic():
        pause, _ = AutomationPause.objects.get_or_create(pk=1)
        if pause.holds(now):
            AutomationPause.objects.filter(pk=1).update(paused_until=None, reason="", actor_kind="", actor_name="")
            record("automation.resumed", at=now, actor=actor, reason=reason)
        pause.refresh_from_db()
        return pause
