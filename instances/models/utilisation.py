"""How busy machines were: one compact row per machine and minute, and what is known of reading them."""

from django.db import models


class UtilisationMinute(models.Model):
    """Means over one minute. A value is null where no sample told it.

    `busiest_gpu_percent` is the most any GPU was shown; `ceiling_gpu_percent` the most any one can have been, so null where
    a GPU showed nothing. Only a ceiling below a limit proves that all of them idled. `cpu_cores` counts busy cores.
    """

    machine = models.ForeignKey("instances.Machine", on_delete=models.CASCADE, related_name="utilisation")
    minute = models.PositiveIntegerField()  # whole minutes since 1970, UTC
    seconds = models.PositiveSmallIntegerField()  # of this minute that samples cover, up to 60
    newest_at = models.PositiveBigIntegerField()  # its newest sample, in epoch seconds
    busiest_gpu_percent = models.FloatField(null=True)
    ceiling_gpu_percent = models.FloatField(null=True)
    average_gpu_percent = models.FloatField(null=True)
    gpus = models.JSONField(default=list)  # percent of each GPU that showed any, in the order of their numbers
    gpu_memory_percent = models.FloatField(null=True)
    cpu_cores = models.FloatField(null=True)

    class Meta:
        ordering = ["machine", "minute"]
        constraints = [models.UniqueConstraint(fields=["machine", "minute"], name="utilisation_one_per_minute")]
        indexes = [models.Index(fields=["minute"], name="utilisation_minute")]

    def __str__(self) -> str:
        return f"machine {self.machine_id} at minute {self.minute}"


class UtilisationWatch(models.Model):
    """When a running machine's metrics are read next, and how reading them went."""

    machine = models.OneToOneField(
        "instances.Machine", on_delete=models.CASCADE, related_name="utilisation_watch", primary_key=True
    )
    due_at = models.DateTimeField()
    read_at = models.DateTimeField(null=True, blank=True)
    newest_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="utilisation_watch_due")]

    def __str__(self) -> str:
        return f"machine {self.machine_id}, read {self.read_at}"
