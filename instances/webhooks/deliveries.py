"""Deliveries as rows: what is due, the claim of one, and what came of it. The one writer of `Delivery` after the outbox.

A claim is a lease with a fence, taken by one conditional UPDATE. Whoever lost it stores nothing.
"""

import random
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from instances.encryption import UnreadableSecretError
from instances.events import Actor, record
from instances.models import Delivery, DeliveryAttempt, WebhookEndpoint
from instances.models.webhook import DeliveryState
from instances.operations.refusals import OperationRefused
from instances.webhooks import endpoints
from instances.webhooks.kinds import DIGEST, TEST, Severity
from instances.webhooks.post import Answer
from instances.webhooks.timing import GROUPING, LONGEST_WAIT, gap, retry
from instances.words import clock

LEASE = timedelta(seconds=40)  # beyond every attempt: the look-up of the name and the total time-out
KEPT = timedelta(days=30)
LASTING = timedelta(days=2)  # an endpoint that took nothing for so long when a delivery is given up is switched off
BATCH = 200


class StillPending(OperationRefused):
    code = "still_pending"


def due(now: datetime, *, endpoint_id: UUID | None = None, most: int = BATCH) -> list[tuple[UUID, UUID, bool]]:
    """(delivery, endpoint, whether it is a message) of what may be tried now: urgent news first, then the longest waiting.

    Of each endpoint at least its longest waiting one is among them, however much waits for others.
    """
    free = Q(lease_until=None) | Q(lease_until__lte=now)
    well = Q(endpoint__held_until=None) | Q(endpoint__held_until__lte=now)
    rows = Delivery.objects.filter(free, well, state=DeliveryState.PENDING, next_attempt_at__lte=now, endpoint__enabled=True)
    rows = rows if endpoint_id is None else rows.filter(endpoint_id=endpoint_id)
    told = rows.order_by("next_attempt_at", "event_id").values_list("pk", "endpoint_id", "endpoint__format", "severity")
    batch = found = list(told[:most])
    while endpoint_id is None and len(batch) == most:  # there is more: of those whose turn it has not been yet
        batch = list(told.exclude(endpoint_id__in={one[1] for one in found})[:most])
        found += batch
    found.sort(key=lambda one: one[3] != Severity.URGENT)
    return [(pk, endpoint_id, format_ != "standard") for pk, endpoint_id, format_, _ in found]


def claim(delivery_id: UUID, now: datetime) -> Delivery | None:
    """The delivery with a fresh lease, or None where it is not due, not pending, or somebody else's."""
    free = Q(lease_until=None) | Q(lease_until__lte=now)
    ours = Delivery.objects.filter(free, pk=delivery_id, state=DeliveryState.PENDING, next_attempt_at__lte=now)
    known = ours.values_list("fence", flat=True).first()
    if known is None or not ours.filter(fence=known).update(lease_until=now + LEASE, fence=F("fence") + 1):
        return None
    return Delivery.objects.select_related("endpoint").get(pk=delivery_id)


def claim_message(delivery_id: UUID, now: datetime) -> tuple[Delivery, list[Delivery]] | None:
    """As `claim`, with all that is to be told together with it: the endpoint's other news that is due about now.

    What an earlier claim put into it stays in it until its words are written, however often that breaks off. The endpoint's
    row is locked meanwhile, so that two processes do not make two messages of what is one.
    """
    with transaction.atomic():
        endpoint_id = Delivery.objects.filter(pk=delivery_id).values_list("endpoint_id", flat=True).first()
        if endpoint_id is None:
            return None
        WebhookEndpoint.objects.select_for_update().filter(pk=endpoint_id).first()
        leader = claim(delivery_id, now)
        if leader is None:
            return None
        if has_body(leader):
            return leader, [leader]
        members = [leader, *leader.grouped.all()]
        if leader.attempts or leader.type in (TEST, DIGEST):
            return leader, members
        others = Delivery.objects.filter(
            endpoint_id=endpoint_id,
            state=DeliveryState.PENDING,
            attempts=0,
            lease_until=None,
            next_attempt_at__lte=now + GROUPING,
            grouped=None,  # one that others are told in goes by itself, with them
        )
        joining = [one for one in others.exclude(type__in=(TEST, DIGEST)).exclude(pk=leader.pk) if not has_body(one)]
        Delivery.objects.filter(pk__in=[one.pk for one in joining]).update(
            state=DeliveryState.GROUPED, told_in=leader, finished_at=now
        )
        return leader, [*members, *joining]


def has_body(delivery: Delivery) -> bool:
    """Whether what it sends is written, though no key may decrypt it."""
    try:
        return bool(delivery.body)
    except UnreadableSecretError:
        return True


def keep_body(delivery: Delivery, body: str) -> None:
    """From now on every attempt sends exactly this."""
    if _ours(delivery).update(body=body):
        delivery.body = body


def store(delivery: Delivery, answer: Answer, *, at: datetime, now: datetime) -> None:
    """What came of an attempt that began at `at`, for the delivery and for its endpoint."""
    delivery.attempts += 1
    changes: dict[str, Any] = {"attempts": delivery.attempts, "lease_until": None}
    if answer.accepted:
        changes |= {"state": DeliveryState.DELIVERED, "finished_at": now}
    else:
        again = retry(
            attempts=delivery.attempts, tried_from=delivery.tried_from, asked=answer.retry_after, now=now, chance=_chance()
        )
        changes |= {"next_attempt_at": again.at} if again.at else {"state": DeliveryState.FAILED, "finished_at": now}
    with transaction.atomic():
        endpoint = WebhookEndpoint.objects.select_for_update().filter(pk=delivery.endpoint_id).first()
        if endpoint is None or not _ours(delivery).update(**changes):
            return
        DeliveryAttempt.objects.create(
            delivery=delivery, at=at, status=answer.status, milliseconds=answer.milliseconds, error=answer.error[:500]
        )
        given_up = "finished_at" in changes and not answer.accepted
        _store_endpoint(endpoint, answer, at=at, given_up=given_up, now=now)


def request_test(endpoint: WebhookEndpoint, body: str, *, actor: Actor, now: datetime) -> Delivery:
    """A delivery that says it is a test; of a message its words are made when it is sent."""
    with transaction.atomic():
        delivery = _fresh(endpoint, TEST, body, now)
        told = {"webhook_id": str(endpoint.pk), "delivery_id": str(delivery.pk)}
        record("webhook.test_requested", at=now, actor=actor, instance=endpoint.instance, after=told)
        return delivery


def queue_digest(endpoint: WebhookEndpoint, body: str, *, due_at: datetime, now: datetime) -> Delivery:
    return _fresh(endpoint, DIGEST, body, now, due_at=due_at)


def redeliver(delivery: Delivery, *, actor: Actor, now: datetime) -> Delivery:
    """Send it again, with the same id and body and three days of trying. Raises StillPending while it is being tried."""
    with transaction.atomic():
        # What a message told of others is told again in it.
        again = delivery.told_in or delivery
        changed = Delivery.objects.filter(pk=again.pk).exclude(state=DeliveryState.PENDING)
        if not changed.update(
            state=DeliveryState.PENDING, finished_at=None, attempts=0, tried_from=now, next_attempt_at=now, lease_until=None
        ):
            raise StillPending(f"it is tried again by itself at {clock(again.next_attempt_at)}")
        told = {"webhook_id": str(again.endpoint_id), "delivery_id": str(again.pk)}
        record("webhook.redelivery_requested", at=now, actor=actor, instance=again.endpoint.instance, after=told)
        again.refresh_from_db()
        return again


def forget_old(now: datetime) -> int:
    """Finished ones are kept for thirty days."""
    old = Delivery.objects.filter(finished_at__lt=now - KEPT).values_list("pk", flat=True)[:BATCH]
    count, _ = Delivery.objects.filter(pk__in=list(old)).delete()
    return count


def _fresh(endpoint: WebhookEndpoint, type_: str, body: str, now: datetime, due_at: datetime | None = None) -> Delivery:
    at = due_at or now
    return Delivery.objects.create(
        endpoint=endpoint,
        type=type_,
        severity=Severity.INFO,
        body=body,
        tried_from=at,
        next_attempt_at=at,
        created_at=now,
    )


def _ours(delivery: Delivery) -> Any:
    return Delivery.objects.filter(pk=delivery.pk, fence=delivery.fence, state=DeliveryState.PENDING)


def _chance() -> float:
    return random.random()  # noqa: S311 - it spreads retries and guards nothing


def _store_endpoint(endpoint: WebhookEndpoint, answer: Answer, *, at: datetime, given_up: bool, now: datetime) -> None:
    """Attempts that ran side by side fail for one reason and count as one failure: a burst makes no outage longer."""
    if answer.accepted:
        if endpoint.failing_since is not None:
            _note_well(endpoint, now)
        return
    if answer.ours:
        return
    endpoint.failing_since = endpoint.failing_since or now
    endpoint.last_error = answer.error[:500]
    if answer.unwell:
        asked = now + min(answer.retry_after or timedelta(0), LONGEST_WAIT)
        if endpoint.held_until is None or at >= endpoint.held_until:
            endpoint.failures += 1
            endpoint.held_until = now + gap(endpoint.failures, _chance())
        endpoint.held_until = max(endpoint.held_until, asked)
    endpoint.save(update_fields=["failing_since", "last_error", "failures", "held_until"])
    if answer.gone:
        endpoints.disable(endpoint, "its receiver says that it is gone for good (HTTP 410)", now=now)
    elif given_up and now - endpoint.failing_since >= LASTING:
        endpoints.disable(endpoint, f"it took nothing since {clock(endpoint.failing_since)}: {answer.error}", now=now)


def _note_well(endpoint: WebhookEndpoint, now: datetime) -> None:
    """It takes deliveries again: what waits for it is tried at once."""
    endpoint.failing_since, endpoint.held_until, endpoint.failures, endpoint.last_error = None, None, 0, ""
    endpoint.save(update_fields=["failing_since", "held_until", "failures", "last_error"])
    waiting = endpoint.deliveries.filter(state=DeliveryState.PENDING, attempts__gt=0, next_attempt_at__gt=now)
    waiting.update(next_attempt_at=now)
