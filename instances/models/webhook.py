"""Who is told of events, and each telling with its attempts. Written by `instances.webhooks` alone."""

import uuid

from django.db import models
from django.db.models import Q

from instances.encryption import EncryptedJSONField
from instances.webhooks.kinds import Severity


class WebhookFormat(models.TextChoices):
    STANDARD = "standard"
    SLACK = "slack"
    DISCORD = "discord"
    MAIL = "mail"


class WebhookSource(models.TextChoices):
    API = "api"
    SETTINGS = "settings"  # WEBHOOK_URL
    INSTANCE = "instance"  # an instance's own webhook_url


class DeliveryState(models.TextChoices):
    PENDING = "pending"
    DELIVERED = "delivered"
    GROUPED = "grouped"  # told by another message, `told_in`
    FAILED = "failed"


class WebhookEndpoint(models.Model):
    """An address that is told. Whoever has a chat's address may write there: it is a secret like the signing ones."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, blank=True)
    source = models.CharField(max_length=10, choices=WebhookSource, default=WebhookSource.API)
    instance = models.OneToOneField(
        "instances.Instance", null=True, blank=True, on_delete=models.CASCADE, related_name="webhook_endpoint"
    )
    url = EncryptedJSONField(default="")
    format = models.CharField(max_length=10, choices=WebhookFormat, default=WebhookFormat.STANDARD)
    types = models.JSONField(default=list, blank=True)  # none: all
    owner = models.CharField(max_length=255, blank=True)

    # Of messages only.
    min_severity = models.CharField(max_length=10, choices=Severity, default=Severity.WARNING)
    time_zone = models.CharField(max_length=64, default="UTC")
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)
    digest_at = models.TimeField(null=True, blank=True)
    next_digest_at = models.DateTimeField(null=True, blank=True)

    # Signing. The previous secret signs too until its time is over.
    secret = EncryptedJSONField(blank=True, default="")
    secret_shown = models.BooleanField(default=False)
    previous_secret = EncryptedJSONField(blank=True, default="")
    previous_until = models.DateTimeField(null=True, blank=True)

    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=500, blank=True)
    # How it fares: failures in a row, since when, and until when it is left alone.
    failures = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    held_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["source"], condition=Q(source=WebhookSource.SETTINGS), name="webhook_one_of_the_settings"
            ),
            models.CheckConstraint(
                condition=Q(source=WebhookSource.INSTANCE, instance__isnull=False)
                | (~Q(source=WebhookSource.INSTANCE) & Q(instance=None)),
                name="webhook_source_names_its_instance",
            ),
            models.CheckConstraint(condition=Q(format__in=WebhookFormat.values), name="webhook_format_known"),
        ]

    def __str__(self) -> str:
        return self.name or f"{self.format} webhook {self.id}"

    @property
    def is_for_people(self) -> bool:
        return self.format != WebhookFormat.STANDARD


class Delivery(models.Model):
    """One event told to one endpoint, or a test or a digest. Its id is the `webhook-id`, the same in every attempt."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey("instances.Event", null=True, blank=True, on_delete=models.CASCADE, related_name="deliveries")
    type = models.CharField(max_length=60)
    severity = models.CharField(max_length=10, choices=Severity, default=Severity.INFO)
    # Exactly what is sent and signed; a message gets its own when it is composed. It may hold links that act.
    body = EncryptedJSONField(blank=True, default="")
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.PENDING)
    told_in = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="grouped")
    attempts = models.PositiveIntegerField(default=0)
    tried_from = models.DateTimeField()  # the three days of trying begin here
    next_attempt_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["event", "endpoint"], name="delivery_once_per_event_and_endpoint"),
            models.CheckConstraint(condition=Q(state__in=DeliveryState.values), name="delivery_state_known"),
            models.CheckConstraint(
                condition=Q(state=DeliveryState.PENDING, finished_at=None)
                | (~Q(state=DeliveryState.PENDING) & Q(finished_at__isnull=False)),
                name="delivery_finished_has_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(state=DeliveryState.PENDING), name="delivery_due"),
            models.Index(fields=["endpoint", "-created_at"], name="delivery_of_endpoint"),
            models.Index(fields=["finished_at"], name="delivery_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.type} to {self.endpoint_id}"

    @property
    def message_id(self) -> str:
        return f"msg_{self.id.hex}"


class DeliveryAttempt(models.Model):
    """One try: the HTTP status, or why there is none."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempt_log")
    at = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    milliseconds = models.PositiveIntegerField()
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.at:%F %T}: {self.status or self.error}"
