"""A file whose age says that a worker or beat goes on, for the health check of a container. See `scripts.live`."""

from pathlib import Path
from typing import Any

from celery.beat import Scheduler
from django.conf import settings


def show_liveness() -> None:
    """Touch ALIVE_FILE, where one is named."""
    if settings.ALIVE_FILE:
        Path(settings.ALIVE_FILE).touch()


class BeatScheduler(Scheduler):
    """Celery's own without a file, since what is due stands in the database; it also shows that it goes on."""

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        show_liveness()
        return super().tick(*args, **kwargs)
