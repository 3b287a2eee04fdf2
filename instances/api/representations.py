"""Rows as the API, the webhooks and the pages show them: plain JSON with the contract's names, never a secret."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.dateparse import parse_datetime

from instances.api.times import duration_text, rfc3339
from instances.models import Alarm, Event, Instance, Job, Machine, ProviderAccount
from instances.models.instance import AfterReclaim, OnNotice
from instances.vouching import effective_observed_at

_SIX_PLACES = Decimal("0.000001")


def instance_json(instance: Instance, *, now: datetime, account: ProviderAccount | None) -> dict[str, Any]:
    """An instance fetched with `for_display`: costs no query."""
    machine = instance.machine
    job = instance.open_job
    return {
        "id": str(instance.pk),
        "name": instance.name,
        "novita_id": machine.novita_id if machine else None,
        "managed": instance.managed,
        "phase": instance.phase,
        "phase_reason": instance.phase_reason,
        "phase_since": _time(instance.phase_since),
        "wanted": instance.wanted or None,
        "provider_status": (machine.status if machine else "") or None,
        "provider_error": (machine.status_error if machine else "") or None,
        **_place(instance, machine),
        "cost_usd_so_far": cost_json(instance, now),
        "spot_status": (machine.spot_status if machine else "") or None,
        "reclaim_at": _time(machine.reclaim_at if machine else None),
        "endpoints": machine.endpoints if machine else [],
        "health": {
            "state": instance.health_state,
            "checked_at": _time(instance.health_checked_at),
            "detail": instance.health_detail,
        },
        "auto_stop": auto_stop_json(instance),
        "next_action": next_action_json(instance.next_action),
        "last_used_at": _time(instance.last_used_at),
        "data_purged_at": _time(machine.data_purged_at if machine else None),
        "disk_usd_per_day": money(machine.disk_usd_per_day if machine else None),
        "unverified_since": _time(machine.unverified_since if machine else None),
        "labels": instance.labels,
        "owner": instance.owner or None,
        "protected": instance.protected,
        "local_data": instance.local_data,
        "on_reclaim": on_reclaim_json(instance),
        "template_id": instance.template_id or None,
        "image_url": (machine.image_url if machine else "") or instance.image_url or None,
        "open_job": job_json(job) if job else None,
        "created_at": rfc3339(instance.created_at),
        "started_at": _time((machine.started_at or machine.running_since) if machine else None),
        "ready_at": _time(instance.ready_at),
        "stopped_at": _time(machine.stopped_at if machine else None),
        "observed_at": _time(effective_observed_at(machine, account) if machine else None),
    }


def cost_json(instance: Instance, now: datetime) -> str:
    return f"{instance.cost_usd(now).quantize(_SIX_PLACES):f}"


def _place(instance: Instance, machine: Machine | None) -> dict[str, Any]:
    """Where and what it is: as Novita shows it, else as it was asked for."""
    asked_region = instance.regions[0] if len(instance.regions) == 1 else ""
    price = machine.price_usd_per_hour if machine else None
    return {
        "region": (machine.region if machine else "") or asked_region or None,
        "cluster_id": (machine.cluster_id if machine else "") or None,
        "product_id": (machine.product_id if machine else "") or instance.product_id or None,
        "product_name": (machine.product_name if machine else "") or instance.product_name or None,
        "gpu_num": instance.gpu_num,
        "billing_mode": (machine.billing_mode if machine else "") or instance.billing_mode,
        "price_usd_per_hour": money(price),
    }


def auto_stop_json(instance: Instance) -> dict[str, Any]:
    """`threshold` and `policy` are null where nobody set them on the instance itself."""
    threshold = instance.auto_stop_threshold
    return {
        "mode": instance.auto_stop_mode,
        "threshold": None if threshold is None else duration_text(threshold),
        "stop_at": _time(instance.stop_at),
        "policy": instance.auto_stop_policy or None,
        "keep_until": _time(instance.keep_until),
        "keep_reason": instance.keep_reason or None,
    }


def on_reclaim_json(instance: Instance) -> dict[str, Any]:
    """With the defaults that hold where nothing was said."""
    return {"on_notice": OnNotice.WAIT.value, "after": AfterReclaim.AUTO.value, "save_image": "", **instance.on_reclaim}


def next_action_json(action: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """{"what", "at", "why"} as stored by its source, its time in our form."""
    if action is None:
        return None
    at = parse_datetime(str(action.get("at") or ""))
    return {"what": action.get("what"), "at": _time(at), "why": action.get("why")}


def job_json(job: Job) -> dict[str, Any]:
    error = {"code": job.error_code, "detail": job.error_detail} if job.error_code else None
    return {
        "id": str(job.pk),
        "instance_id": str(job.instance_id),
        "verb": job.verb,
        "state": job.state,
        "requested_by": {"kind": job.requested_by_kind, "name": job.requested_by_name},
        "reason": job.reason,
        "error": error,
        "attempts": job.attempts,
        "next_attempt_at": rfc3339(job.next_attempt_at) if job.is_open else None,
        "placement": job.placement,
        "superseded_by": str(job.superseded_by_id) if job.superseded_by_id else None,
        "created_at": rfc3339(job.created_at),
        "finished_at": _time(job.finished_at),
    }


def event_json(event: Event) -> dict[str, Any]:
    return {
        "id": event.pk,
        "type": event.type,
        "at": rfc3339(event.at),
        "instance_id": str(event.instance_id) if event.instance_id else None,
        "job_id": str(event.job_id) if event.job_id else None,
        "actor": {"kind": event.actor_kind, "name": event.actor_name},
        "request_id": event.request_id or None,
        "reason": event.reason,
        "before": event.before,
        "after": event.after,
    }


def alarm_json(alarm: Alarm) -> dict[str, Any]:
    acknowledged = (
        {
            "by": alarm.acknowledged_by,
            "reason": alarm.acknowledged_reason,
            "until": _time(alarm.acknowledged_until),
        }
        if alarm.acknowledged_by
        else None
    )
    return {
        "id": alarm.pk,
        "kind": alarm.kind,
        "subject": alarm.subject,
        "instance_id": str(alarm.instance_id) if alarm.instance_id else None,
        "text": alarm.text,
        "remedy": alarm.remedy,
        "opened_at": rfc3339(alarm.opened_at),
        "last_seen_at": rfc3339(alarm.last_seen_at),
        "acknowledged": acknowledged,
        "cleared_at": _time(alarm.cleared_at),
    }


def money(amount: Decimal | None) -> str | None:
    """A decimal string without needless zeros."""
    return None if amount is None else f"{amount.normalize():f}"


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
