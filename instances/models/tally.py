from django.db import models


class Tally(models.Model):
    """One count that all processes share; see `instances.tally`. It only grows."""

    series = models.CharField(max_length=500, primary_key=True)  # ["name", "value of a label", ...]
    value = models.FloatField(default=0.0)

    def __str__(self) -> str:
        return self.series
