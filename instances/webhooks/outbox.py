"""From events to deliveries: each event that was stored untold becomes a row for every endpoint that wants it.

An event is its own outbox: `told` is false in the row that the change's own transaction stored. One pass at a time holds
the lease; where two overlap, the unique constraint keeps each telling single.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction

from instances import set_aside
from instances.alarms import clear_alarm
from instances.failpoints import reach
from instances.models import Alarm, Delivery, Event, Instance, ProviderAccount, WebhookEndpoint
from instances.models.webhook import WebhookSource
from instances.periodic import claim, finish
from instances.webhooks import endpoints
from instances.webhooks.kinds import (
    Circumstances,
    Severity,
    alarm_kind_of,
    reaches,
    severity_of,
    telling_of,
    wants,
)
from instances.webhooks.payloads import event_body
from instances.webhooks.timing import GROUPING, not_before

log = structlog.get_logger("instances.webhooks")

BATCH = 200
LEASE = timedelta(seconds=30)
_EVERY = timedelta(0)
_UNTOLD = "events:telling"
_QUIET = timedelta(hours=1)
REVIVING_RULE = "reclaim"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Receivers:
    """Who is told now: for programs, for people, and by instance."""

    programs: Sequence[WebhookEndpoint]
    people: Sequence[WebhookEndpoint]
    own: dict[UUID, WebhookEndpoint] = field(default_factory=dict)


def fan_out(now: datetime) -> int:
    """Write the deliveries of what is untold, a batch; how many events those were."""
    if not Event.objects.filter(told=False).exists():
        return 0
    held = claim("webhook_outbox", every=_EVERY, lease=LEASE, now=now)
    if held is None:
        return 0
    done = False
    try:
        endpoints.follow_settings(now)
        events = list(Event.objects.filter(told=False).select_related("job").order_by("id")[:BATCH])
        reach("webhook.before_fan_out")
        _write(events, now)
        _end_alarm(now)
        done = True
    finally:
        finish(held, now=now, ok=done)
    return len(events)


def _write(events: Sequence[Event], now: datetime) -> None:
    with transaction.atomic():
        instances = _instances(events)
        receivers = _receivers(instances, now)
        account = ProviderAccount.objects.filter(pk=1).first()
        deliveries: list[Delivery] = []
        for event in events:
            instance = instances.get(event.instance_id) if event.instance_id else None
            with _kept_from_the_others(event, now):
                deliveries += _for_programs(event, instance, receivers, account, now)
                deliveries += _for_people(event, instance, receivers, now)
        Delivery.objects.bulk_create(deliveries, batch_size=BATCH, ignore_conflicts=True)
        Event.objects.filter(pk__in=[event.pk for event in events]).update(told=True)


@contextmanager
def _kept_from_the_others(event: Event, now: datetime) -> Iterator[None]:
    """An event that cannot be told is skipped, with one alarm for all such: it must not keep back what follows it."""
    try:
        yield
    except set_aside.AWAY:
        raise
    except Exception as error:
        log.exception("webhook.event_not_told", event_id=event.pk)
        set_aside.tell(_UNTOLD, f"the telling of event {event.pk} ({event.type})", error, instance=None, now=now)


def _end_alarm(now: datetime) -> None:
    quiet = Alarm.objects.filter(kind=set_aside.KIND, subject=_UNTOLD, cleared_at=None, last_seen_at__lt=now - _QUIET)
    if quiet.exists():
        clear_alarm(set_aside.KIND, _UNTOLD, now=now)


def _instances(events: Sequence[Event]) -> dict[UUID, Instance]:
    ids = {event.instance_id for event in events if event.instance_id}
    return {one.pk: one for one in Instance.objects.for_display().filter(pk__in=ids)} if ids else {}


def _receivers(instances: dict[UUID, Instance], now: datetime) -> _Receivers:
    found = list(WebhookEndpoint.objects.filter(enabled=True).exclude(source=WebhookSource.INSTANCE))
    return _Receivers(
        programs=[one for one in found if not one.is_for_people],
        people=[one for one in found if one.is_for_people],
        own=_own([one for one in instances.values() if one.webhook_url], now),
    )


def _own(named: Sequence[Instance], now: datetime) -> dict[UUID, WebhookEndpoint]:
    """The endpoints of instances that name one; made or changed here where another way than the API has named it."""
    if not named:
        return {}
    rows = list(WebhookEndpoint.objects.filter(instance__in=named))
    known = {one.instance_id: endpoints.url_of(one) for one in rows}
    changed = [instance for instance in named if known.get(instance.pk) != instance.webhook_url]
    for instance in changed:
        endpoints.follow_instance(instance, now=now)
    if changed:
        rows = list(WebhookEndpoint.objects.filter(instance__in=named))
    return {one.instance_id: one for one in rows if one.enabled and one.instance_id}


def _for_programs(
    event: Event, instance: Instance | None, receivers: _Receivers, account: ProviderAccount | None, now: datetime
) -> list[Delivery]:
    type_ = telling_of(event.type).webhook
    if not type_ or instance is None:
        return []
    own = receivers.own.get(instance.pk)
    told = [one for one in (*receivers.programs, *([own] if own else [])) if wants(one.types, type_)]
    if not told:
        return []
    body = event_body(event, instance, account=account, now=now)
    return [_row(one, event, type_, now=now, due=now, body=body) for one in told]


def _for_people(event: Event, instance: Instance | None, receivers: _Receivers, now: datetime) -> list[Delivery]:
    if not receivers.people:
        return []
    severity = severity_of(event.type, _circumstances(event, instance))
    if severity is None:
        return []
    topic = telling_of(event.type).topic
    return [
        _row(one, event, event.type, now=now, due=_due(one, severity, now), severity=severity)
        for one in receivers.people
        if wants(one.types, topic) and reaches(severity, Severity(one.min_severity))
    ]


def _circumstances(event: Event, instance: Instance | None) -> Circumstances:
    job = event.job
    return Circumstances(
        billed=bool(instance and instance.machine and instance.machine.billed_since),
        by_rule=job is not None and (job.requested_by_kind, job.requested_by_name) == ("rule", REVIVING_RULE),
        alarm_kind=alarm_kind_of(event.after),
    )


def _due(endpoint: WebhookEndpoint, severity: Severity, now: datetime) -> datetime:
    quiet = (endpoint.quiet_from, endpoint.quiet_until)
    hours = (quiet[0], quiet[1]) if quiet[0] is not None and quiet[1] is not None else None
    return not_before(now + GROUPING, severity=severity, quiet=hours, zone=endpoints.zone_of(endpoint))


def _row(
    endpoint: WebhookEndpoint,
    event: Event,
    type_: str,
    *,
    now: datetime,
    due: datetime,
    severity: Severity = Severity.INFO,
    body: str = "",
) -> Delivery:
    return Delivery(
        endpoint=endpoint,
        event=event,
        type=type_,
        severity=severity,
        body=body,
        tried_from=due,
        next_attempt_at=due,
        created_at=now,
    )
