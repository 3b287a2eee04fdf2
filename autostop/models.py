"""What auto-stop goes by and what it thought: policies, heartbeats, warnings, evaluations, decisions that matter, passes."""

from datetime import timedelta

from django.db import models
from django.db.models import Q


class PolicyMode(models.TextChoices):
    OFF = "off"
    OBSERVE = "observe"
    CANARY = "canary"
    ENFORCE = "enforce"


class Policy(models.Model):
    """A named set of rules for the instances that name it or have all of its labels. Null: as the default has it.

    The default is made from the environment and is no row. Of several that fit by labels the one of the lowest `rank` holds.
    """

    name = models.CharField(max_length=100, unique=True)
    description = models.CharField(max_length=500, blank=True)
    rank = models.PositiveIntegerField(default=100)
    labels = models.JSONField(default=dict, blank=True)
    mode = models.CharField(max_length=10, choices=PolicyMode, default=PolicyMode.OBSERVE)
    canary_count = models.PositiveIntegerField(null=True, blank=True)
    canary_percent = models.PositiveSmallIntegerField(null=True, blank=True)

    threshold = models.DurationField(null=True, blank=True)
    gpu_percent = models.FloatField(null=True, blank=True)
    cpu_cores = models.FloatField(null=True, blank=True)
    coverage_percent = models.PositiveSmallIntegerField(default=80)
    in_a_row = models.PositiveSmallIntegerField(default=1)
    holds = models.JSONField(default=dict, blank=True)  # {signal: longest hold in seconds, or null}; {} is all without limit
    grace_after_start = models.DurationField(default=timedelta(0))
    grace_after_ready = models.DurationField(default=timedelta(0))
    max_age = models.DurationField(null=True, blank=True)
    warning_lead = models.DurationField(default=timedelta(minutes=5))
    unknown_limit = models.DurationField(default=timedelta(minutes=15))

    time_zone = models.CharField(max_length=64, default="UTC")
    schedule_mode = models.CharField(max_length=20, blank=True)  # "" is no schedule
    schedule_start = models.TimeField(null=True, blank=True)
    schedule_stop = models.TimeField(null=True, blank=True)
    schedule_days = models.JSONField(default=list, blank=True)  # ["mon", ...]; [] is every day

    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    evaluated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["rank", "name"]
        verbose_name_plural = "policies"
        constraints = [
            models.CheckConstraint(condition=Q(mode__in=PolicyMode.values), name="policy_mode_known"),
            models.CheckConstraint(condition=~Q(name="default"), name="policy_default_is_no_row"),
        ]

    def __str__(self) -> str:
        return self.name


class Heartbeat(models.Model):
    """The address a program inside an instance calls to say that it works, and its newest call. Only the hash is kept."""

    instance = models.OneToOneField(
        "instances.Instance", on_delete=models.CASCADE, related_name="auto_stop_heartbeat", primary_key=True
    )
    token_hash = models.CharField(max_length=64, unique=True, null=True, blank=True)
    issued_at = models.DateTimeField()
    issued_by = models.CharField(max_length=255, blank=True)
    beaten_at = models.DateTimeField(null=True, blank=True)
    gpu_percent = models.FloatField(null=True, blank=True)
    cpu_cores = models.FloatField(null=True, blank=True)
    active_at = models.DateTimeField(null=True, blank=True)  # the newest beat whose load is at a limit, or that tells none

    def __str__(self) -> str:
        return f"heartbeat of {self.instance_id}"


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
    warned = models.PositiveIntegerField(default=0)
    started = models.PositiveIntegerField(default=0)
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
    nearest_miss = models.CharField(max_length=500, blank=True)
    evidence = models.JSONField(default=dict, blank=True)
    policy = models.CharField(max_length=100, blank=True)
    version = models.PositiveSmallIntegerField(default=1)
    decided_at = models.DateTimeField()

    class Meta:
        abstract = True


class Evaluation(DecisionColumns):
    """What was last decided about an instance, since when that is so, and both of its stop times.

    Written where something of it changed; `explain` decides afresh.
    """

    instance = models.OneToOneField(
        "instances.Instance", on_delete=models.CASCADE, related_name="auto_stop_evaluation", primary_key=True
    )
    same_since = models.DateTimeField()
    idle_since = models.DateTimeField(null=True, blank=True)
    metrics_read_at = models.DateTimeField(null=True, blank=True)
    next_at = models.DateTimeField(null=True, blank=True)
    idle_stop_at = models.DateTimeField(null=True, blank=True)
    idle_stop_by = models.CharField(max_length=700, blank=True)
    hard_stop_at = models.DateTimeField(null=True, blank=True)
    hard_stop_by = models.CharField(max_length=700, blank=True)
    promised_at = models.DateTimeField(null=True, blank=True)  # the stop time people were last warned of
    idle_in_a_row = models.PositiveSmallIntegerField(default=0)
    # Remembered beyond the samples that showed it.
    gpu_active_at = models.DateTimeField(null=True, blank=True)
    cpu_active_at = models.DateTimeField(null=True, blank=True)

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
    # Of a stop: what it cost by the hour just then, frozen, and how it was billed.
    price_usd_per_hour = models.DecimalField(max_digits=12, decimal_places=5, null=True, blank=True)
    billing_mode = models.CharField(max_length=20, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["instance", "-id"]), models.Index(fields=["acted", "decided_at"])]

    def __str__(self) -> str:
        return f"{self.action}: {self.code} at {self.decided_at:%F %T}"


class KeepAct(models.TextChoices):
    KEEP_2H = "keep_2h", "Keep it for 2 hours"
    KEEP_TODAY = "keep_today", "Keep it today"
    STOP_NOW = "stop_now", "Stop it now"


class KeepLink(models.Model):
    """One link of a warning. It acts once. The token is made from the nonce with the secret key; only its hash is kept."""

    instance = models.ForeignKey("instances.Instance", on_delete=models.CASCADE, related_name="auto_stop_links")
    act = models.CharField(max_length=12, choices=KeepAct)
    nonce = models.CharField(max_length=32)
    token_hash = models.CharField(max_length=64, unique=True)
    stop_at = models.DateTimeField()
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    used_by = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["instance", "stop_at"], name="autostop_link_of_warning")]
        constraints = [
            models.UniqueConstraint(fields=["instance", "act", "stop_at"], name="autostop_link_one_per_act_and_warning")
        ]

    def __str__(self) -> str:
        return f"{self.act} of {self.instance_id}"
