from django.db import models


class Event(models.Model):
    """One change: what, when, who, why, before and after. Append only; written in the transaction of the change."""

    type = models.CharField(max_length=60)
    at = models.DateTimeField()
    instance = models.ForeignKey(
        "instances.Instance", null=True, blank=True, on_delete=models.PROTECT, related_name="events"
    )
    job = models.ForeignKey("instances.Job", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    actor_kind = models.CharField(max_length=10)
    actor_name = models.CharField(max_length=255, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    reason = models.CharField(max_length=1000, blank=True)
    before = models.JSONField(default=dict, blank=True)
    after = models.JSONField(default=dict, blank=True)
    # False until its webhooks and messages are written: the outbox, in the event's own row and transaction.
    told = models.BooleanField(default=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["instance", "-id"]),
            models.Index(fields=["type", "-id"]),
            models.Index(fields=["id"], condition=models.Q(told=False), name="event_outbox"),
        ]

    def __str__(self) -> str:
        return f"{self.type} at {self.at:%F %T}"
