"""Why an instance is in its phase, what happens next and when, and what holds it back: joined from what each room says."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from autostop.explain import auto_stop_json, stored_json
from instances.api.detail_shapes import ExplanationShape
from instances.api.references import find
from instances.api.representations import event_json, job_json, money, next_action_json
from instances.api.times import rfc3339
from instances.lifecycle import BILLED, Observed, Wanted
from instances.models import Alarm, AutomationPause, Event, Instance, Job, ProviderAccount, ProviderBreaker
from instances.phases import current_job
from instances.vouching import effective_observed_at
from novita_manager.remedies import what_would_change

_RECENT_EVENTS = 10
_ON_ITS_WAY = (Observed.CREATING, Observed.PULLING, Observed.STARTING)


class Explain(APIView):
    scopes = {"get": "read"}

    @extend_schema(operation_id="instances_explain", responses=ExplanationShape)
    def get(self, request: Request, ref: str) -> Response:
        """Why this phase, what next and when, what holds it back, and what would change it."""
        return Response(explanation(find(ref), now=timezone.now()))


def explanation(instance: Instance, *, now: datetime, afresh: bool = True) -> dict[str, Any]:
    """Also what the instance's page shows: with what was last decided, which the clock alone does not change."""
    job = current_job(instance)
    account = ProviderAccount.objects.filter(pk=1).first()
    events = Event.objects.filter(instance=instance)[:_RECENT_EVENTS]
    told = {
        "instance_id": str(instance.pk),
        "name": instance.name,
        "phase": instance.phase,
        "phase_reason": instance.phase_reason,
        "phase_since": _time(instance.phase_since),
        "wish": _wish(instance),
        "observed": _observed(instance, account),
        "open_job": job_json(job) if job else None,
        "next_action": next_action_json(instance.next_action),
        "next_actions": {
            "job": next_action_json(instance.next_job_action),
            "auto_stop": next_action_json(instance.next_auto_stop_action),
            "sync": next_action_json(instance.next_sync_action),
        },
        "auto_stop": auto_stop_json(instance, now=now) if afresh else stored_json(instance),
        "held_by": held_by(instance, job, account, now=now),
        "alarms": [
            {"kind": alarm.kind, "text": alarm.text, "remedy": alarm.remedy}
            for alarm in Alarm.objects.filter(instance=instance, cleared_at=None)
        ],
        "recent_events": [event_json(event) for event in events],
    }
    return {**told, "would_change": what_would_change(told, job_was_called=job is not None and job.was_called)}


def held_by(instance: Instance, job: Job | None, account: ProviderAccount | None, *, now: datetime) -> list[dict[str, str]]:
    """What keeps rules or jobs from acting on it: a code and a sentence each."""
    pause = AutomationPause.objects.filter(pk=1).first()
    found: list[tuple[str, str]] = []
    if not instance.managed:
        found.append(("unmanaged", "it was not made here: nothing touches it until it is adopted"))
    if instance.protected:
        found.append(("protected", "it is protected: rules never stop or move it, and nobody deletes it"))
    if pause is not None and pause.paused_until is not None and pause.holds(now):
        found.append(
            ("automation_paused", f"rules are paused until {rfc3339(pause.paused_until)}: {pause.reason}".rstrip(": "))
        )
    if account is not None and account.frozen_since is not None:
        found.append(("frozen", f"no rule acts since {rfc3339(account.frozen_since)}: {account.frozen_reason}".rstrip(": ")))
    machine = instance.machine
    if machine is not None and machine.unverified_since is not None:
        since = rfc3339(machine.unverified_since)
        found.append(("unverified", f"lists of Novita's that are not believed lack it since {since}: no rule touches it"))
    if instance.keep_until is not None and instance.keep_until > now:
        found.append(
            ("kept", f"no rule stops it before {rfc3339(instance.keep_until)}: {instance.keep_reason}".rstrip(": "))
        )
    if job is not None:
        found += _job_waits(job)
    if instance.wanted == Wanted.STOPPED and not instance.met and instance.observed in _ON_ITS_WAY:
        found.append(("starting_first", _stop_waits(instance)))
    return [{"code": code, "detail": detail} for code, detail in found]


def _job_waits(job: Job) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if job.error_code:
        text = f"its {job.verb} is tried again at {rfc3339(job.next_attempt_at)}: {job.error_detail}"
        found.append((job.error_code, text))
    opened = sorted(row.kind for row in ProviderBreaker.objects.all() if float(row.state.get("opened_at") or 0) > 0)
    if opened:
        found.append(("provider_failing", f"Novita keeps failing at these calls: {', '.join(opened)}"))
    return found


def _stop_waits(instance: Instance) -> str:
    machine = instance.machine
    text = "Novita stops it only once it runs: the stop is sent then"
    if machine is not None and machine.hourly_usd is not None and instance.observed in BILLED:
        text += f"; until then it costs ${money(machine.hourly_usd)} per hour"
    return text


def _wish(instance: Instance) -> dict[str, Any] | None:
    if not instance.wanted:
        return None
    return {
        "wanted": instance.wanted,
        "wanted_at": _time(instance.wanted_at),
        "by": {"kind": instance.wanted_by_kind, "name": instance.wanted_by_name},
        "reason": instance.wanted_reason,
        "met_at": _time(instance.met_at),
    }


def _observed(instance: Instance, account: ProviderAccount | None) -> dict[str, Any] | None:
    machine = instance.machine
    if machine is None:
        return None
    return {
        "novita_id": machine.novita_id,
        "provider_status": machine.status or None,
        "provider_error": machine.status_error or None,
        "status_since": _time(machine.status_since),
        "observed_at": _time(effective_observed_at(machine, account)),
        "missing_since": _time(machine.missing_since),
        "unverified_since": _time(machine.unverified_since),
        "not_found_at": _time(machine.not_found_at),
        "spot_status": machine.spot_status or None,
        "reclaim_at": _time(machine.reclaim_at),
        "billed_since": _time(machine.billed_since),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
