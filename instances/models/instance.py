"""What people name and want. Who writes which column stands in ARCHITECTURE.md."""

import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from instances.encryption import EncryptedJSONField
from instances.lifecycle import ENDED_PHASES, OPEN_STATES, HealthState, Observed, Phase, Wanted, observed_of
from instances.models.job import Job
from instances.models.machine import Machine


class AutoStopMode(models.TextChoices):
    OFF = "off"
    OBSERVE = "observe"
    ENFORCE = "enforce"


class LocalData(models.TextChoices):
    DISPOSABLE = "disposable"
    PRECIOUS = "precious"


class BillingMode(models.TextChoices):
    SPOT = "spot"
    ON_DEMAND = "on_demand"


class OnStartupTimeout(models.TextChoices):
    ALARM = "alarm"
    STOP = "stop"


class OnNotice(models.TextChoices):
    """What is done when Novita announces that it takes a spot instance back."""

    WAIT = "wait"
    REPLACE = "replace"


class AfterReclaim(models.TextChoices):
    """How it is brought back once it was taken: `auto` goes by `local_data`, `off` asks a person."""

    AUTO = "auto"
    START = "start"
    MIGRATE = "migrate"
    REPLACE = "replace"
    OFF = "off"


class InstanceQuerySet(models.QuerySet["Instance"]):
    def managed(self) -> Self:
        return self.filter(managed=True)

    def not_ended(self) -> Self:
        return self.filter(ended_at=None)

    def for_display(self) -> Self:
        """With everything a representation shows, in a fixed number of queries."""
        open_jobs = models.Prefetch("jobs", queryset=Job.objects.filter(state__in=OPEN_STATES), to_attr="open_jobs")
        # Of former machines only the money is shown.
        meters = Machine.objects.only("instance_id", "metered_usd", "billed_since", "billed_price_usd_per_hour")
        machines = models.Prefetch("machines", queryset=meters)
        shown = self.select_related("machine").defer("envs", "machine__connection")
        return shown.prefetch_related(machines, open_jobs)


class Instance(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=255, blank=True)
    managed = models.BooleanField(default=True)
    machine = models.OneToOneField(
        "instances.Machine", null=True, blank=True, on_delete=models.PROTECT, related_name="current_of"
    )

    # The request.
    product_name = models.CharField(max_length=255, blank=True)
    product_id = models.CharField(max_length=255, blank=True)
    gpu_num = models.PositiveSmallIntegerField(default=1)
    rootfs_size_gb = models.PositiveIntegerField(default=60)
    regions = models.JSONField(default=list, blank=True)
    billing_mode = models.CharField(max_length=20, choices=BillingMode, default=BillingMode.SPOT)
    max_price_usd_per_hour = models.DecimalField(max_digits=12, decimal_places=5, null=True, blank=True)
    fallback_to_on_demand = models.BooleanField(default=False)
    network_storages = models.JSONField(default=list, blank=True)
    template_id = models.CharField(max_length=64, blank=True)
    image_url = models.CharField(max_length=500, blank=True)
    ports = models.JSONField(default=list, blank=True)
    envs = EncryptedJSONField(blank=True, default="")
    command = models.CharField(max_length=2047, blank=True)
    entrypoint = models.CharField(max_length=2047, blank=True)
    registry_auth_id = models.CharField(max_length=64, blank=True)
    tools = models.JSONField(default=list, blank=True)
    min_cuda_version = models.CharField(max_length=20, blank=True)
    wait_for_capacity = models.DurationField(default=timedelta(0))

    # The wish.
    wanted = models.CharField(max_length=10, choices=Wanted, blank=True)
    wanted_at = models.DateTimeField(null=True, blank=True)
    wanted_by_kind = models.CharField(max_length=10, blank=True)
    wanted_by_name = models.CharField(max_length=255, blank=True)
    wanted_reason = models.CharField(max_length=500, blank=True)
    shown_at = models.DateTimeField(null=True, blank=True)  # the first read that shows a stop or deletion; a second meets it
    met_at = models.DateTimeField(null=True, blank=True)

    # Settings people give.
    auto_stop_mode = models.CharField(max_length=10, choices=AutoStopMode, default=AutoStopMode.ENFORCE)
    auto_stop_threshold = models.DurationField(null=True, blank=True)
    stop_at = models.DateTimeField(null=True, blank=True)
    auto_stop_policy = models.CharField(max_length=100, blank=True)  # by name; "" is the one its labels choose
    keep_until = models.DateTimeField(null=True, blank=True)  # no rule stops it before
    keep_reason = models.CharField(max_length=500, blank=True)
    keep_by = models.CharField(max_length=255, blank=True)
    health_check = models.JSONField(null=True, blank=True, default=dict)  # {} any port; None none; else the named ports
    webhook_url = models.CharField(max_length=2000, blank=True)
    labels = models.JSONField(default=dict, blank=True)
    owner = models.CharField(max_length=255, blank=True)
    protected = models.BooleanField(default=False)
    local_data = models.CharField(max_length=12, choices=LocalData, default=LocalData.DISPOSABLE)
    on_startup_timeout = models.CharField(max_length=10, choices=OnStartupTimeout, default=OnStartupTimeout.ALARM)
    on_reclaim = models.JSONField(default=dict, blank=True)  # {"on_notice", "after", "save_image"}; {}: the defaults

    # Use, told by clients.
    last_used_at = models.DateTimeField(null=True, blank=True)

    # The phase, computed.
    phase = models.CharField(max_length=12, choices=Phase, default=Phase.REQUESTED)
    phase_reason = models.CharField(max_length=1000, blank=True)
    phase_since = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    failure = models.CharField(max_length=1000, blank=True)
    given_up = models.BooleanField(default=False)

    # Deadlines of starting up.
    boot_stage = models.CharField(max_length=10, blank=True)
    boot_stage_since = models.DateTimeField(null=True, blank=True)
    overdue = models.CharField(max_length=255, blank=True)

    # Health.
    health_state = models.CharField(max_length=10, choices=HealthState, default=HealthState.NONE)
    health_detail = models.CharField(max_length=500, blank=True)
    health_checked_at = models.DateTimeField(null=True, blank=True)
    health_due_at = models.DateTimeField(null=True, blank=True)
    health_failures = models.PositiveIntegerField(default=0)
    ready_at = models.DateTimeField(null=True, blank=True)

    # What happens next, by source: {"what", "at", "why"}.
    next_job_action = models.JSONField(null=True, blank=True)
    next_auto_stop_action = models.JSONField(null=True, blank=True)
    next_sync_action = models.JSONField(null=True, blank=True)

    created_at = models.DateTimeField()

    objects = InstanceQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "id"]
        permissions = [("reveal_secrets", "Can see passwords, environment values and logs")]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                condition=Q(managed=True, ended_at=None),
                name="instance_name_unique_while_live",
                violation_error_message="A managed instance with this name exists",
            ),
            models.CheckConstraint(condition=Q(phase__in=Phase.values), name="instance_phase_known"),
            models.CheckConstraint(condition=Q(wanted__in=["", *Wanted.values]), name="instance_wanted_known"),
            models.CheckConstraint(condition=Q(managed=True) | Q(wanted=""), name="instance_unmanaged_has_no_wish"),
            models.CheckConstraint(condition=Q(wanted="") | Q(wanted_at__isnull=False), name="instance_wish_has_a_time"),
            models.CheckConstraint(condition=Q(gpu_num__gte=0) & Q(gpu_num__lte=8), name="instance_gpu_num_possible"),
        ]
        indexes = [
            models.Index(fields=["phase"]),
            models.Index(fields=["health_due_at"], condition=Q(health_due_at__isnull=False), name="instance_health_due"),
            models.Index(fields=["boot_stage_since"], condition=~Q(boot_stage=""), name="instance_booting"),
        ]

    def __str__(self) -> str:
        return self.name or str(self.id)

    @property
    def open_job(self) -> Job | None:
        """The job that works on it now, from what `for_display` fetched where that was used."""
        fetched: list[Job] | None = getattr(self, "open_jobs", None)
        if fetched is not None:
            return fetched[0] if fetched else None
        return self.jobs.filter(state__in=OPEN_STATES).first()

    @property
    def met(self) -> bool:
        return self.met_at is not None

    @property
    def has_ended(self) -> bool:
        return self.ended_at is not None or self.phase in ENDED_PHASES

    @property
    def observed(self) -> Observed:
        return self.machine.observed if self.machine else observed_of("")

    @property
    def well_since_running(self) -> bool:
        """Whether it was ready at least once since it last began to run."""
        running_since = self.machine.running_since if self.machine else None
        return self.ready_at is not None and running_since is not None and self.ready_at >= running_since

    def cost_usd(self, now: datetime) -> Decimal:
        """GPU money so far over all of its machines, the open interval up to `now`. Disks apart."""
        machines: list[Machine] = list(self.machines.all())
        return sum((machine.cost_usd(now) for machine in machines), Decimal(0))

    @property
    def next_action(self) -> dict[str, Any] | None:
        """The earliest of what its sources say happens next; one without a time comes last."""
        known = [one for one in (self.next_job_action, self.next_auto_stop_action, self.next_sync_action) if one]
        return min(known, key=lambda one: str(one.get("at") or "9999"), default=None)
