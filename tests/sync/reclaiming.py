"""What tests of reclaims do at Novita, and ask of the records."""

from typing import Any

from instances.models import Instance, Job, Reclaim
from tests.driving import Drive

HOUR = 3600


def settled(drive: Drive, name: str = "worker", **fields: Any) -> Instance:
    """Ready, and long enough so for no call of ours to explain what comes."""
    instance = drive.ready(name, **fields)
    drive.let_pass(90, step=30)
    return instance


def novita_id(instance: Instance) -> str:
    instance.refresh_from_db()
    assert instance.machine is not None
    return instance.machine.novita_id or ""


def spot(drive: Drive, instance: Instance, action: str, **more: Any) -> None:
    drive.novita.turn("spot", instance=novita_id(instance), action=action, **more)


def empty_shelves(drive: Drive, *, but: tuple[str, ...] = ()) -> None:
    """No GPU is free anywhere, but in the clusters named."""
    shelves = drive.novita.look("stock")["stock"]
    stock = {cluster: dict.fromkeys(shelf, 0) for cluster, shelf in shelves.items() if cluster not in but}
    drive.novita.turn("stock", stock=stock)


def verbs(instance: Instance) -> list[str]:
    jobs = Job.objects.filter(instance=instance).exclude(arguments__has_key="auto_migrate").order_by("created_at")
    return [str(job.verb) for job in jobs]


def ended(drive: Drive, *, seconds: float = 600, step: float = 15) -> Reclaim:
    drive.until(lambda: Reclaim.objects.filter(ended_at__isnull=False).exists(), seconds=seconds, step=step)
    return Reclaim.objects.latest("ended_at")


def tried(record: Reclaim) -> list[tuple[str, str]]:
    return [(one["verb"], one["outcome"]) for one in record.tries]


def replacing(drive: Drive, **fields: Any) -> tuple[Instance, str]:
    """Taken, start and move refused: the new one is made beside the old one, whose id is the second value."""
    instance = settled(drive, **fields)
    old = novita_id(instance)
    drive.faults(
        {"call": "start", "kind": "no_capacity", "count": 3}, {"call": "migrate", "kind": "no_capacity", "count": 1}
    )
    spot(drive, instance, "reclaim", give_back_stock=True)
    drive.until(lambda: len(drive.living()) == 2, seconds=600, step=10)
    return instance, old
