"""Rows as tests need them: every value that matters is named by the test."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from instances.models import Instance, Machine, UtilisationMinute
from instances.utilisation.rollup import minute_of

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def running_instance(
    name: str, *, ready: timedelta | None = timedelta(hours=2), gpus: int = 1, at: datetime = NOW, **columns: Any
) -> Instance:
    """Managed, billed as running, and ready for that long; None: it runs for 2 hours and never became ready."""
    began = at - (ready if ready is not None else timedelta(hours=2))
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
            "gpu_num": gpus,
            **columns,
        }
    )
    machine = Machine.objects.create(
        instance=instance,
        novita_id=f"novita-{name}",
        status="running",
        running_since=began,
        billed_since=began,
        billed_price_usd_per_hour=Decimal("0.35"),
        price_usd_per_hour=Decimal("0.35"),
        billing_mode="spot",
        observed_at=at,
        created_at=began - MINUTE,
        gpu_num=gpus,
        product_name="RTX 4090 24GB",
        region="CN-HK-01",
    )
    instance.machine = machine
    instance.save(update_fields=["machine"])
    return instance


def measured(instance: Instance, *, at: datetime, minutes: int = 1, gpu: float = 0.0, cpu: float = 0.0) -> None:
    """Full minutes of samples, the last one ending at `at`."""
    assert instance.machine is not None
    last = minute_of(at) - 1
    rows = [
        UtilisationMinute(
            machine_id=instance.machine.pk,
            minute=minute,
            seconds=60,
            newest_at=minute * 60 + 45,
            busiest_gpu_percent=gpu,
            ceiling_gpu_percent=gpu,
            average_gpu_percent=gpu,
            gpus=[gpu],
            cpu_cores=cpu,
        )
        for minute in range(last - minutes + 1, last + 1)
    ]
    UtilisationMinute.objects.filter(machine=instance.machine, minute__in=[one.minute for one in rows]).delete()
    UtilisationMinute.objects.bulk_create(rows)
