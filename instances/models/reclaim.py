"""One reclaim of a spot machine, from the first sign of it to its outcome."""

from django.db import models
from django.db.models import Q


class ReclaimState(models.TextChoices):
    SEEN = "seen"  # Novita's sign was read; nothing is decided yet
    DECIDED = "decided"  # what is done next, or waited for, stands with its reason
    ACTING = "acting"  # a job of ours is under way, or what it brought back is being checked
    DONE = "done"
    FAILED = "failed"


OPEN_RECLAIMS = (ReclaimState.SEEN, ReclaimState.DECIDED, ReclaimState.ACTING)


class Reclaim(models.Model):
    """`reclaim_at` is Novita's `spotReclaimTime`: together with the machine it names one reclaim for ever.

    `tries` holds what was asked of Novita: [{"verb", "job", "at", "ended_at", "outcome", "detail"}]; `evidence` what was
    read at each turn (notified, taken, doubt), with the time and the words of the read.
    """

    instance = models.ForeignKey("instances.Instance", on_delete=models.PROTECT, related_name="reclaims")
    machine = models.ForeignKey("instances.Machine", on_delete=models.PROTECT, related_name="reclaims")
    reclaim_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=ReclaimState, default=ReclaimState.SEEN)
    seen_at = models.DateTimeField()  # the read that first showed the sign
    notified_at = models.DateTimeField(null=True, blank=True)
    taken_at = models.DateTimeField(null=True, blank=True)  # the read that first showed it exited and taken back
    evidence = models.JSONField(default=dict, blank=True)

    # What was decided last.
    action = models.CharField(max_length=12, blank=True)
    code = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=1000, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    next_at = models.DateTimeField(null=True, blank=True)
    job = models.ForeignKey("instances.Job", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    tries = models.JSONField(default=list, blank=True)

    # Before and after.
    novita_id_before = models.CharField(max_length=64, blank=True)
    novita_id_after = models.CharField(max_length=64, blank=True)
    region_before = models.CharField(max_length=255, blank=True)
    region_after = models.CharField(max_length=255, blank=True)
    price_before_usd_per_hour = models.DecimalField(max_digits=12, decimal_places=5, null=True, blank=True)
    price_after_usd_per_hour = models.DecimalField(max_digits=12, decimal_places=5, null=True, blank=True)

    outcome = models.CharField(max_length=20, blank=True)
    back_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["machine", "reclaim_at"], name="reclaim_once_per_machine_and_time"),
            models.UniqueConstraint(
                fields=["instance"], condition=Q(state__in=OPEN_RECLAIMS), name="reclaim_one_open_per_instance"
            ),
            models.CheckConstraint(
                condition=Q(state__in=OPEN_RECLAIMS, ended_at=None)
                | (~Q(state__in=OPEN_RECLAIMS) & Q(ended_at__isnull=False)),
                name="reclaim_ended_has_a_time",
            ),
        ]
        indexes = [models.Index(fields=["next_at"], condition=Q(state__in=OPEN_RECLAIMS), name="reclaim_due")]

    def __str__(self) -> str:
        return f"reclaim of {self.machine_id} at {self.reclaim_at:%F %T}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_RECLAIMS
