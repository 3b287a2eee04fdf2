from datetime import timedelta

from django.db import models


class SyncRun(models.Model):
    """One comparison of our records with a list of Novita's: what was seen, what was found to differ, what was done."""

    trigger = models.CharField(max_length=20)  # start-up, poll, watch, person
    actor_kind = models.CharField(max_length=10)
    actor_name = models.CharField(max_length=255, blank=True)
    dry_run = models.BooleanField(default=False)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    complete = models.BooleanField(default=False)
    problem = models.CharField(max_length=500, blank=True)
    pages = models.PositiveIntegerField(default=0)
    seen = models.PositiveIntegerField(default=0)
    counts = models.JSONField(default=dict, blank=True)  # the plan: changes by kind
    applied = models.JSONField(default=dict, blank=True)  # what of it was stored, by kind
    changes = models.JSONField(default=list, blank=True)  # [{"kind", "novita_id", "instance_id", "reason"}], at most 200

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["started_at"])]

    def __str__(self) -> str:
        return f"{self.trigger} at {self.started_at:%F %T}"

    @property
    def duration(self) -> timedelta | None:
        return None if self.finished_at is None else self.finished_at - self.started_at
