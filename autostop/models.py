"""What auto-stop thought: the last evaluation of each instance, the decisions that matter, and its passes."""

from datetime import timedelta

from django.db import models


class PassRun(models.Model):
    """One pass over every managed instance."""

    started_at = models.DateTimeField()
    duration = models.DurationField(default=timedelta(0))
    trigger = models.CharField(max_length=20)  # schedule, api or command
    actor_kind = models.CharField(max_length=10, blank=True)
    actor_name = models.CharField(max_length=255, blank=True)
    hold = models.CharField(max_length=10, blank=True)
    hold_reason = models.CharField(max_length=1000, blank=True)
    act_limit = models.PositiveIntegerField(default=0)
    running = models.PositiveIntegerField(default=0)
    evaluated = models.PositiveIntegerField(default=0)
    metrics_read = models.PositiveIntegerField(default=0)
    stopped = models.PositiveIntegerField(default=0)
    would_stop = models.PositiveIntegerField(default=0)
    waiting = models.PositiveIntegerField(default=0)
    not_judged = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["started_at"], name="autostop_pass_started")]

    def __str__(self) -> str:
        return f"pass at {self.started_at:%F %T}"


class DecisionColumns(models.Model):
    """A decision as it was made; see `autostop.decide`."""

    action = models.CharField(max_length=20)
    code = models.CharField(max_length=40)
    hold = models.CharField(max_length=10, blank=True)
    reason = models.CharField(max_length=1000)
    evidence = models.JSONField(default=dict, blank=True)
    decided_at = models.DateTimeField()

    class Meta:
        abstract = True


class Evaluation(DecisionColumns):
    """What the last pass decided about an instance, and since when that is so."""

    instance = models.OneToOneField(
        "instances.Instance", on_delete=models.CASCADE, related_name="auto_stop_evaluation", primary_key=True
    )
    same_since = models.DateTimeField()
    idle_since = models.DateTimeField(null=True, blank=True)
    metrics_read_at = models.DateTimeField(null=True, blank=True)
    next_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-decided_at"]
        indexes = [models.Index(fields=["code"], name="autostop_evaluation_code")]

    def __str__(self) -> str:
        return f"{self.action}: {self.code}"


class RecordedDecision(DecisionColumns):
    """An act, or a decision that differs from the one before it."""

    instance = models.ForeignKey("instances.Instance", on_delete=models.CASCADE, related_name="auto_stop_decisions")
    pass_run = models.ForeignKey(PassRun, null=True, blank=True, on_delete=models.SET_NULL, related_name="decisions")
    job = models.ForeignKey("instances.Job", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    acted = models.BooleanField(default=False)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["instance", "-id"]), models.Index(fields=["acted", "decided_at"])]

    def __str__(self) -> str:
        return f"{self.action}: {self.code} at {self.decided_at:%F %T}"
