from datetime import datetime

from django.db import models
from django.db.models import Q


class Alarm(models.Model):
    """A condition that needs a person: opened and cleared by the code that sees it."""

    kind = models.CharField(max_length=50)
    subject = models.CharField(max_length=255, blank=True)
    instance = models.ForeignKey(
        "instances.Instance", null=True, blank=True, on_delete=models.CASCADE, related_name="alarms"
    )
    text = models.CharField(max_length=1000)
    remedy = models.CharField(max_length=1000)
    # How bad it is; a higher one is told anew, whoever had acknowledged the lower.
    level = models.PositiveBigIntegerField(default=0)
    opened_at = models.DateTimeField()
    told_at = models.DateTimeField(null=True, blank=True)  # when an event last told of it
    last_seen_at = models.DateTimeField()
    acknowledged_by = models.CharField(max_length=255, blank=True)
    acknowledged_reason = models.CharField(max_length=500, blank=True)
    acknowledged_until = models.DateTimeField(null=True, blank=True)
    cleared_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-opened_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"], condition=Q(cleared_at=None), name="alarm_one_open_per_subject"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.subject}"

    def is_acknowledged(self, now: datetime) -> bool:
        """Whether somebody knows of it; what was noted until a time lapses then."""
        lapsed = self.acknowledged_until is not None and self.acknowledged_until <= now
        return bool(self.acknowledged_by) and not lapsed
