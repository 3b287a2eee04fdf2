"""When the daily digests are due, and what they say; written once per endpoint and day, whoever looks first."""

from datetime import datetime

from django.db import transaction

from instances.messages import digest, news, rendering
from instances.models import WebhookEndpoint
from instances.webhooks import endpoints
from instances.webhooks.deliveries import queue_digest
from instances.webhooks.timing import next_time


def queue_due(now: datetime) -> int:
    """How many digests were queued."""
    queued = 0
    for endpoint in WebhookEndpoint.objects.filter(enabled=True, next_digest_at__lte=now):
        zone, at = endpoints.zone_of(endpoint), endpoint.digest_at
        following = next_time(now, at, zone) if at else None
        with transaction.atomic():
            ours = WebhookEndpoint.objects.filter(pk=endpoint.pk, next_digest_at=endpoint.next_digest_at)
            if not ours.update(next_digest_at=following) or at is None:
                continue
            message = digest.digest(digest.day_before(now, zone), home=news.home_link())
            queue_digest(endpoint, rendering.render(endpoint.format, message), due_at=now, now=now)
            queued += 1
    return queued
