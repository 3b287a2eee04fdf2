"""The deliveries lane: write what is told, take what is due, send it. Several at a time, no receiver waiting for another."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from uuid import UUID

import structlog
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.utils import timezone

from instances import set_aside
from instances.encryption import UnreadableSecretError
from instances.failpoints import reach
from instances.messages import news, rendering
from instances.models import Delivery
from instances.models.webhook import WebhookFormat
from instances.periodic import claim, finish
from instances.webhooks import deliveries, digests, endpoints, outbox
from instances.webhooks.addresses import AddressRefused, destination, resolve
from instances.webhooks.post import SECONDS, Answer, post
from instances.webhooks.signing import signed_headers
from instances.work_pool import WorkPool

log = structlog.get_logger("instances.webhooks")

THREADS = 8
MOST_AT_ONCE = 4  # to one endpoint; messages go one by one, so that what came together is told together
TURN_SECONDS = 1.0
_FORGET_EVERY = timedelta(hours=1)
_FORGET_LEASE = timedelta(minutes=2)

pool: WorkPool[UUID] = WorkPool("deliveries", threads=THREADS)


def run_due(now: datetime) -> int:
    """Hand every due delivery to the lane's threads and return at once; how many were handed over."""
    outbox.fan_out(now)
    digests.queue_due(now)
    _forget_if_due(now)
    return sum(
        pool.hand_over(
            delivery_id,
            partial(_take_turns, delivery_id, endpoint_id, is_message),
            group=endpoint_id,
            most=1 if is_message else MOST_AT_ONCE,
        )
        for delivery_id, endpoint_id, is_message in deliveries.due(now)
    )


def send(delivery_id: UUID, *, is_message: bool) -> Answer | None:
    """One attempt at one delivery, and what came of it stored. None where it is not ours to try."""
    now = timezone.now()
    if is_message:
        claimed = deliveries.claim_message(delivery_id, now)
        if claimed is None:
            return None
        delivery, members = claimed
        unwritten = _compose(delivery, members, now)
        if unwritten is None and not deliveries.has_body(delivery):
            return None  # its lease lapsed over the words, and somebody else has it
    else:
        alone = deliveries.claim(delivery_id, now)
        if alone is None:
            return None
        delivery, unwritten = alone, None
    reach("webhook.before_call")
    answer = unwritten or _attempt(delivery)
    reach("webhook.after_call")
    deliveries.store(delivery, answer, at=now, now=timezone.now())
    log.info(
        "webhook.attempted",
        delivery_id=str(delivery.pk),
        webhook_id=str(delivery.endpoint_id),
        type=delivery.type,
        attempt=delivery.attempts,
        status=answer.status,
        error=answer.error,
        milliseconds=answer.milliseconds,
    )
    return answer


def _compose(delivery: Delivery, members: Sequence[Delivery], now: datetime) -> Answer | None:
    """Write its words, once. What cannot be written counts as an attempt, so that it is given up like any other."""
    if deliveries.has_body(delivery):
        return None
    try:
        deliveries.keep_body(delivery, rendering.body_of(delivery, news.news_of(members, now=now), now=now))
    except set_aside.AWAY:
        raise
    except Exception as error:
        log.exception("webhook.not_composed", delivery_id=str(delivery.pk))
        return Answer(error=f"its words cannot be written: {type(error).__name__}: {error}"[:300], ours=True)
    return None


def _attempt(delivery: Delivery) -> Answer:
    try:
        return _mail(delivery) if delivery.endpoint.format == WebhookFormat.MAIL else _post(delivery)
    except UnreadableSecretError as error:
        return Answer(error=f"its address, secret or body is lost: {error}")


def _post(delivery: Delivery) -> Answer:
    endpoint, now = delivery.endpoint, timezone.now()
    body = (delivery.body or "").encode()
    headers: dict[str, str] = {}
    if endpoint.format == WebhookFormat.STANDARD:
        signing = endpoints.signing_secrets(endpoint, now)
        headers = signed_headers(delivery.message_id, int(now.timestamp()), body, signing)
    try:
        place = destination(endpoint.url or "", allowed=settings.WEBHOOK_ALLOWED_NETWORKS, resolver=resolve)
    except AddressRefused as refusal:
        return Answer(error=f"refused: {refusal}")
    except OSError as error:
        return Answer(error=f"its name cannot be resolved: {error.strerror or error}"[:300])
    return post(place, body, headers, now=now, seconds=SECONDS)


def _mail(delivery: Delivery) -> Answer:
    """By EMAIL_URL; its id is the delivery's, so that a repeated one can be told."""
    began = monotonic()
    words = json.loads(delivery.body or "{}")
    to = endpoints.recipients(delivery.endpoint.url or "")
    message = EmailMessage(
        words.get("subject", ""),
        words.get("text", ""),
        to=to,
        headers={"Message-ID": f"<{delivery.message_id}@novita-manager>", "Auto-Submitted": "auto-generated"},
        connection=get_connection(timeout=SECONDS),
    )
    try:
        message.send()
    except (OSError, ValueError) as error:  # smtplib's own errors are OSErrors
        text = f"{error.__class__.__name__}: {getattr(error, 'smtp_error', b'') or error}"
        return Answer(error=text[:300], milliseconds=round((monotonic() - began) * 1000))
    return Answer(milliseconds=round((monotonic() - began) * 1000))


def _take_turns(delivery_id: UUID, endpoint_id: UUID, is_message: bool) -> None:
    """Send it, and go on with what else waits for its endpoint until it is another's turn."""
    until = monotonic() + TURN_SECONDS
    following: UUID | None = delivery_id
    try:
        while following is not None:
            delivery_id = following
            send(delivery_id, is_message=is_message)
            following = _next_of(endpoint_id) if monotonic() < until and not is_message else None
    except Exception:
        log.exception("webhook.attempt_failed", delivery_id=str(delivery_id))


def _next_of(endpoint_id: UUID) -> UUID | None:
    """Another due delivery of the endpoint that nobody here has in hand."""
    waiting = deliveries.due(timezone.now(), endpoint_id=endpoint_id, most=MOST_AT_ONCE + 1)
    return pool.go_on_with(key for key, _, _ in waiting)


def _forget_if_due(now: datetime) -> None:
    held = claim("webhook_forget", every=_FORGET_EVERY, lease=_FORGET_LEASE, now=now)
    if held is not None:
        finish(held, now=now, ok=True, detail=f"{deliveries.forget_old(now)} forgotten")
