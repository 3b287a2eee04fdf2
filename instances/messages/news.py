"""From stored events to what people are told: the words of the story, the money of now, the alarm's remedy, the links."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.db.models import Q
from django.urls import reverse
from django.utils.module_loading import import_string

from instances.messages.message import Link, News
from instances.models import Alarm, Delivery, Event, Instance
from instances.webhooks.kinds import Severity, alarm_kind_of
from instances.words import clock

log = structlog.get_logger("instances.messages")

_WORDS = {
    "instance.created": "created",
    "instance.ready": "ready",
    "instance.unhealthy": "unhealthy",
    "instance.recovered": "ready again",
    "instance.stopped": "stopped",
    "instance.failed": "failed",
    "instance.deleted": "deleted",
    "instance.gone": "gone from Novita",
    "instance.discovered": "found at Novita, made by someone else",
    "instance.changed_outside": "changed outside of novita-manager",
    "instance.auto_stop_warning": "about to be stopped by auto-stop",
    "instance.reclaim_notified": "about to be taken back by Novita",
    "instance.reclaimed": "taken back by Novita",
    "instance.reclaim_ended": "its reclaim is over",
    "instance.reclaim_failed": "not brought back",
    "instance.migrated": "well at its new place",
    "job.migrate_failed": "could not be moved",
    "automation.paused": "all automation is paused",
    "automation.resumed": "automation is on again",
}
# Kinds not named here are told by their own words.
_ALARM_WORDS = {
    "unconfirmed": "a stop or a deletion is not done at Novita",
    "surplus_machine": "a second machine of it is billed",
    "unmanaged_billing": "instances that nobody made here are billed",
    "startup_overdue": "it does not come up",
    "no_metrics": "it runs, is paid for, and shows no data",
    "balance_runway": "the balance runs out",
    "data_purge": "its data is about to be purged",
    "provider_key_refused": "Novita refuses the API key",
    "account_frozen": "the account is frozen: no rule acts",
    "account_freezing": "Novita freezes instances of the account",
    "list_not_believed": "Novita's list is doubted",
    "record_refused": "what Novita says cannot be stored",
    "default_region": "DEFAULT_REGION does not exist",
    "auto_stop_not_evaluated": "auto-stop judges nothing",
    "auto_stop_stale": "a pass of auto-stop took too long to act",
    "auto_stop_policy_unreadable": "a policy of auto-stop cannot be read",
    "auto_stop_list": "auto-stop holds: Novita's list is not believed",
    "metrics_missing": "auto-stop holds: most metrics are missing",
    "webhook_disabled": "a webhook is switched off",
    "beat_dead": "the beat process is dead",
    "reclaim": "a spot instance was taken back and is not there yet",
    "set_aside": "something cannot be done and is set aside",
    "unreadable_message": "something else writes into our Redis",
}
_ALARMS = ("alarm.opened", "alarm.repeated", "alarm.escalated")


def base_url() -> str:
    """Where people reach this product, without a slash at the end."""
    return (settings.PUBLIC_URL or f"http://127.0.0.1:{settings.PORT}").rstrip("/")


def home_link() -> Link:
    return Link(label="Open the fleet", url=f"{base_url()}{reverse('fleet')}")


def news_of(deliveries: Sequence[Delivery], *, now: datetime) -> list[News]:
    """What the events of these deliveries tell, in a fixed number of queries."""
    severities = {one.event_id: Severity(one.severity) for one in deliveries if one.event_id}
    events = list(Event.objects.filter(pk__in=severities).order_by("id"))
    ids = {event.instance_id for event in events if event.instance_id}
    boxes = {one.pk: one for one in Instance.objects.for_display().filter(pk__in=ids)} if ids else {}
    alarms = _alarms_of(events)
    told = []
    for event in events:
        box = boxes.get(event.instance_id) if event.instance_id else None
        try:
            alarm = alarms.get(_alarm_key(event)) if event.type in _ALARMS else None
            told.append(_news(event, box, alarm, severities[event.pk], now))
        except (TypeError, ValueError, AttributeError, LookupError):
            # Nobody reads a message that is never sent: the others in it must not wait for the one that is odd.
            log.exception("message.event_unreadable", event_id=event.pk)
            why = f"event {event.pk} cannot be read: see the log"
            told.append(News(what=event.type, severity=severities[event.pk], at=event.at, why=why))
    return told


def _news(event: Event, box: Instance | None, alarm: Alarm | None, severity: Severity, now: datetime) -> News:
    machine = box.machine if box else None
    return News(
        what=_what(event, severity),
        severity=severity,
        at=alarm.opened_at if alarm else event.at,
        box=_name(box) if box else "",
        url=f"{base_url()}{reverse('fleet-instance', args=[box.pk])}" if box else "",
        price_usd_per_hour=machine.price_usd_per_hour if machine else None,
        cost_usd=box.cost_usd(now) if box else None,
        why=event.reason,
        remedy=alarm.remedy if alarm and alarm.cleared_at is None else "",
        current=_current(event, box, alarm),
        links=_links_that_act(event),
    )


def _what(event: Event, severity: Severity) -> str:
    if event.type == "instance.failed" and severity is Severity.URGENT:
        return "failed and still billed"
    if event.type in _WORDS:
        return _WORDS[event.type]
    if event.type in (*_ALARMS, "alarm.cleared"):
        kind = alarm_kind_of(event.after)
        words = _ALARM_WORDS.get(kind) or kind.replace("_", " ")
        return {"alarm.cleared": f"over: {words}", "alarm.repeated": f"still: {words}"}.get(event.type, words)
    return event.type.replace(".", ": ").replace("_", " ")


def _name(box: Instance) -> str:
    novita_id = box.machine.novita_id if box.machine else None
    return box.name or novita_id or str(box.pk)


def _current(event: Event, box: Instance | None, alarm: Alarm | None) -> str:
    """What has changed since, for a message that waited."""
    if alarm is not None and alarm.cleared_at is not None:
        return f"over since {clock(alarm.cleared_at)}"
    phase = event.after.get("phase")
    return f"now {box.phase}" if box is not None and phase and phase != box.phase else ""


def _alarm_key(event: Event) -> tuple[str, str]:
    return alarm_kind_of(event.after), str(event.after.get("subject", ""))


def _alarms_of(events: Sequence[Event]) -> dict[tuple[str, str], Alarm]:
    """The newest alarm of each kind and subject that the events name."""
    wanted = Q()
    keys = {_alarm_key(event) for event in events if event.type in _ALARMS}
    for kind, subject in keys:
        wanted |= Q(kind=kind, subject=subject)
    return {(one.kind, one.subject): one for one in Alarm.objects.filter(wanted).order_by("id")} if keys else {}


def _links_that_act(event: Event) -> tuple[Link, ...]:
    """From whoever the setting names: a room above makes them, and no event may hold them."""
    found: list[Link] = []
    for path in settings.MESSAGE_LINKS:
        links_of: Callable[[Event], list[dict[str, Any]]] = import_string(path)
        found += [Link(label=str(one["label"]), url=str(one["url"])) for one in links_of(event)]
    return tuple(found)
