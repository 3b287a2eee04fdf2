"""One thing at Novita: a row per create attempt or discovered id, with all that Novita reported of it."""

from datetime import datetime
from decimal import Decimal
from typing import Self

from django.db import models
from django.db.models import Q

from instances.encryption import EncryptedJSONField
from instances.lifecycle import Observed, observed_of


class MachineQuerySet(models.QuerySet["Machine"]):
    def known(self) -> Self:
        """With an id at Novita and not proven absent."""
        return self.exclude(novita_id=None).filter(absent_at=None)

    def unresolved(self) -> Self:
        """Create attempts that may or may not have made something."""
        return self.filter(novita_id=None, given_up_at=None, called_at__isnull=False)


SUBSCRIPTION = "monthly"  # Novita's word for the billing mode


class Machine(models.Model):
    instance = models.ForeignKey("instances.Instance", on_delete=models.PROTECT, related_name="machines")
    correlation_id = models.CharField(max_length=16, unique=True, null=True, blank=True)
    novita_id = models.CharField(max_length=64, unique=True, null=True, blank=True)
    created_at = models.DateTimeField()

    # The create attempt, written by the executor.
    called_at = models.DateTimeField(null=True, blank=True)
    given_up_at = models.DateTimeField(null=True, blank=True)
    surplus_since = models.DateTimeField(null=True, blank=True)
    # A replacement is made beside the machine it is to follow, which is let go only once the new one is proven ready.
    replaces = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    let_go_at = models.DateTimeField(null=True, blank=True)  # as a former machine, its deletion was asked for
    auto_migrate_off_at = models.DateTimeField(null=True, blank=True)  # Novita's own moving of it was switched off

    # Observed: written by `observation` alone.
    provider_name = models.CharField(max_length=255, blank=True)
    status = models.CharField(max_length=63, blank=True)
    status_error = models.CharField(max_length=1000, blank=True)
    status_since = models.DateTimeField(null=True, blank=True)
    cluster_id = models.CharField(max_length=255, blank=True)
    region = models.CharField(max_length=255, blank=True)
    product_id = models.CharField(max_length=255, blank=True)
    product_name = models.CharField(max_length=255, blank=True)
    gpu_num = models.PositiveSmallIntegerField(default=1)
    cpu_num = models.PositiveSmallIntegerField(default=0)
    rootfs_size_gb = models.PositiveIntegerField(default=0)
    image_url = models.CharField(max_length=500, blank=True)
    billing_mode = models.CharField(max_length=20, blank=True)
    price_usd_per_hour = models.DecimalField(max_digits=12, decimal_places=5, null=True, blank=True)
    spot_status = models.CharField(max_length=63, blank=True)
    reclaim_at = models.DateTimeField(null=True, blank=True)
    ports = models.JSONField(default=list, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)  # Novita's own times
    stopped_at = models.DateTimeField(null=True, blank=True)
    running_since = models.DateTimeField(null=True, blank=True)  # our first read that showed this run
    observed_at = models.DateTimeField(null=True, blank=True)
    # Evidence of absence: a complete list without it, a read by id that did not find it, and both together.
    missing_since = models.DateTimeField(null=True, blank=True)
    unverified_since = models.DateTimeField(null=True, blank=True)  # a list that is not believed lacks it
    not_found_at = models.DateTimeField(null=True, blank=True)
    absent_at = models.DateTimeField(null=True, blank=True)

    # Read once by id on each move to running.
    details_due = models.BooleanField(default=False)
    details_read_at = models.DateTimeField(null=True, blank=True)
    endpoints = models.JSONField(default=list, blank=True)
    connection = EncryptedJSONField(blank=True, default="")
    data_purged_at = models.DateTimeField(null=True, blank=True)

    # Prices of its disks, read with the details: USD per GB and day; GB that are free while it runs.
    disk_usd_per_gb_day = models.DecimalField(max_digits=12, decimal_places=5, null=True, blank=True)
    stopped_disk_usd_per_gb_day = models.DecimalField(max_digits=12, decimal_places=5, null=True, blank=True)
    free_disk_gb = models.PositiveIntegerField(default=0)

    # The meter.
    metered_usd = models.DecimalField(max_digits=16, decimal_places=6, default=Decimal(0))
    billed_since = models.DateTimeField(null=True, blank=True)
    billed_price_usd_per_hour = models.DecimalField(max_digits=12, decimal_places=5, null=True, blank=True)

    objects = MachineQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(correlation_id__isnull=False) | Q(novita_id__isnull=False),
                name="machine_can_be_recognised",
            ),
            models.CheckConstraint(condition=Q(absent_at=None) | Q(billed_since=None), name="machine_absent_is_not_billed"),
            models.CheckConstraint(condition=Q(novita_id__isnull=False) | Q(status=""), name="machine_observed_has_an_id"),
        ]
        indexes = [
            models.Index(
                fields=["called_at"],
                condition=Q(novita_id=None, given_up_at=None),
                name="machine_unresolved_attempt",
            ),
            models.Index(fields=["status"], condition=Q(absent_at=None), name="machine_live_status"),
        ]

    def __str__(self) -> str:
        return self.novita_id or f"attempt {self.correlation_id}"

    @property
    def observed(self) -> Observed:
        """What Novita last showed; a machine whose id is known and that no read has shown yet is being created."""
        if self.novita_id is not None and not self.status and self.absent_at is None:
            return Observed.CREATING
        return observed_of(self.status, absent=self.absent_at is not None)

    @property
    def is_subscribed(self) -> bool:
        """Whether it is paid by the month: an hour of it costs nothing more, whatever price Novita tells for it."""
        return self.billing_mode == SUBSCRIPTION

    @property
    def hourly_usd(self) -> Decimal | None:
        """What an hour of its GPUs costs; None where no price is known, and for a subscription."""
        return None if self.is_subscribed else self.price_usd_per_hour

    def cost_usd(self, now: datetime) -> Decimal:
        if self.billed_since is None:
            return self.metered_usd
        return self.metered_usd + interval_usd(self.billed_since, now, self.billed_price_usd_per_hour)

    @property
    def disk_usd_per_day(self) -> Decimal | None:
        """What its disks cost a day as it is now, beside the GPUs; None where Novita has told no price yet."""
        if self.observed is Observed.EXITED:
            price = self.stopped_disk_usd_per_gb_day
            return None if price is None else price * self.rootfs_size_gb
        if self.billed_since is None:
            return Decimal(0)
        price = self.disk_usd_per_gb_day
        return None if price is None else price * max(0, self.rootfs_size_gb - self.free_disk_gb)


class RunningInterval(models.Model):
    """Time that Novita bills, with the price frozen at its start. `ended_at` is null while it runs.

    Each edge carries its bounds: the last read that showed what was before, the first that showed what came after, and
    Novita's own time where it gave one.
    """

    machine = models.ForeignKey(Machine, on_delete=models.PROTECT, related_name="intervals")
    started_at = models.DateTimeField()
    started_not_before = models.DateTimeField(null=True, blank=True)
    started_not_after = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_not_before = models.DateTimeField(null=True, blank=True)
    ended_not_after = models.DateTimeField(null=True, blank=True)
    price_usd_per_hour = models.DecimalField(max_digits=12, decimal_places=5, null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["machine"], condition=Q(ended_at=None), name="interval_one_open_per_machine")
        ]

    def __str__(self) -> str:
        return f"{self.machine} from {self.started_at:%F %T}"


def interval_usd(start: datetime, end: datetime, price_usd_per_hour: Decimal | None) -> Decimal:
    """What an interval costs; nothing where the price is unknown."""
    seconds = max(0.0, (end - start).total_seconds())
    return (price_usd_per_hour or Decimal(0)) * Decimal(str(seconds)) / 3600
