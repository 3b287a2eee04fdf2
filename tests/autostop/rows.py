"""Rows as tests need them: every value that matters is named by the test."""

from datetime import UTC, datetime, timedelta
from typing import Any

from instances.models import Instance, Machine

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def running_instance(name: str, *, ready: timedelta | None = timedelta(hours=2), **columns: Any) -> Instance:
    """Managed, billed as running, and ready for that long; None: it runs for 2 hours and never became ready."""
    began = NOW - (ready if ready is not None else timedelta(hours=2))
    instance = Instance.objects.create(
        **{
            "name": name,
            "wanted": "running",
            "wanted_at": began - MINUTE,
            "met_at": began,
            "phase": "ready" if ready is not None else "checking",
            "phase_since": began,
            "ready_at": began if ready is not None else None,
            "boot_stage": "" if ready is not None else "starting",
            "boot_stage_since": None if ready is not None else began,
            "created_at": began - MINUTE,
            **columns,
        }
    )
    machine = Machine.objects.create(
        instance=instance,
        novita_id=f"novita-{name}",
        status="running",
        running_since=began,
        billed_since=began,
        observed_at=NOW,
        created_at=began - MINUTE,
    )
    instance.machine = machine
    instance.save(update_fields=["machine"])
    return instance
