"""What the spot fields of a machine say: that Novita is going to take it back, or has."""

from datetime import datetime

from instances.events import OUTSIDE, record
from instances.models import Machine


def is_reclaimed(machine: Machine) -> bool:
    """Whether the spot fields say that Novita took it back: a sign counts only after the last start we saw."""
    if machine.billing_mode != "spot" or machine.reclaim_at is None:
        return False
    return machine.running_since is None or machine.reclaim_at > machine.running_since


def is_notified(machine: Machine) -> bool:
    """Whether Novita says that it is going to take it back; `reclaim_at` says when."""
    return machine.spot_status.lower() == "notified"


def tell_notice(machine: Machine, *, now: datetime) -> None:
    when = f" at {machine.reclaim_at:%F %T} UTC" if machine.reclaim_at else ""
    record(
        "instance.reclaim_notified",
        at=now,
        actor=OUTSIDE,
        instance=machine.instance,
        reason=f"Novita announces that it takes this spot instance back{when}",
        after={"reclaim_at": machine.reclaim_at.isoformat() if machine.reclaim_at else None},
    )
