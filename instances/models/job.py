"""One verb on one instance, written before Novita is asked. At most one is open per instance: the database holds that."""

import uuid

from django.db import models
from django.db.models import Q

from instances.lifecycle import OPEN_STATES, JobState, Verb


class CallOutcome(models.TextChoices):
    NONE = ""
    ACCEPTED = "accepted"
    UNCLEAR = "unclear"


class Job(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    instance = models.ForeignKey("instances.Instance", on_delete=models.PROTECT, related_name="jobs")
    verb = models.CharField(max_length=12, choices=Verb)
    state = models.CharField(max_length=12, choices=JobState, default=JobState.QUEUED)
    arguments = models.JSONField(default=dict, blank=True)  # what an errand needs; never a secret
    requested_by_kind = models.CharField(max_length=10)
    requested_by_name = models.CharField(max_length=255, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    request_id = models.CharField(max_length=64, blank=True)

    # The lease of a claim.
    lease_owner = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(default=0)

    # The calls made for it.
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    patience_until = models.DateTimeField(null=True, blank=True)
    called_at = models.DateTimeField(null=True, blank=True)
    call_ended_at = models.DateTimeField(null=True, blank=True)
    call_outcome = models.CharField(max_length=10, choices=CallOutcome, blank=True)
    provider_job_id = models.CharField(max_length=64, blank=True)
    # A newer wish waits for this job to settle.
    yields = models.BooleanField(default=False)

    placement = models.JSONField(null=True, blank=True)
    error_code = models.CharField(max_length=50, blank=True)
    error_detail = models.CharField(max_length=2000, blank=True)
    superseded_by = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["instance"],
                condition=Q(state__in=OPEN_STATES),
                name="job_one_open_per_instance",
                violation_error_message="Another job of this instance is open",
            ),
            models.CheckConstraint(condition=Q(state__in=JobState.values), name="job_state_known"),
            models.CheckConstraint(
                condition=Q(state__in=OPEN_STATES, finished_at=None)
                | (~Q(state__in=OPEN_STATES) & Q(finished_at__isnull=False)),
                name="job_finished_has_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(state__in=OPEN_STATES), name="job_due"),
            models.Index(fields=["created_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.id}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def was_called(self) -> bool:
        return self.called_at is not None

    @property
    def is_about_own_moves(self) -> bool:
        """An edit that only switches Novita's own moving of the machine."""
        return "auto_migrate" in self.arguments

    @property
    def is_by_rule(self) -> bool:
        """A rule asked; the command that brings reclaimed ones back is the rule by another way."""
        return self.requested_by_kind == "rule" or (self.requested_by_kind == "command" and "reclaim" in self.arguments)
