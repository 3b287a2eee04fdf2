"""The meter: running intervals with the price frozen at their start. It follows observed states only. Disks apart."""

from datetime import datetime
from decimal import Decimal

from instances.lifecycle import BILLED, Observed
from instances.models import Machine, Offer, RunningInterval
from instances.models.machine import interval_usd

_GOES_ON = (Observed.UNKNOWN, Observed.MIGRATING, Observed.REMOVING)
METER_COLUMNS = ("metered_usd", "billed_since", "billed_price_usd_per_hour")


def follow(machine: Machine, observed: Observed, *, read_began_at: datetime) -> None:
    """Open or close the machine's interval in memory and in its table; the caller saves METER_COLUMNS.

    Novita's own times of start and stop bound an interval where they are plausible, else the time of the read. A move, a
    removal and an unfamiliar status change nothing: the meter goes on as it was.
    """
    if observed in _GOES_ON:
        return
    billed = observed in BILLED
    if billed and _stopped_unseen(machine, observed, read_began_at):
        _close(machine, _end(machine, read_began_at))
    if billed and machine.billed_since is None:
        _open(machine, _start(machine, observed, read_began_at))
    elif not billed and machine.billed_since is not None:
        _close(machine, _end(machine, read_began_at))


def listed_price_usd_per_hour(machine: Machine) -> Decimal | None:
    """The catalogue's price for a machine whose own price Novita does not tell."""
    offer = Offer.objects.filter(cluster_id=machine.cluster_id, product_id=machine.product_id).first()
    if offer is None:
        return None
    per_gpu = offer.spot_usd_per_gpu_hour if machine.billing_mode == "spot" else offer.on_demand_usd_per_gpu_hour
    return per_gpu * max(1, machine.gpu_num) if per_gpu is not None else None


def _open(machine: Machine, at: datetime) -> None:
    if machine.price_usd_per_hour is None:
        machine.price_usd_per_hour = listed_price_usd_per_hour(machine)
    machine.billed_since, machine.billed_price_usd_per_hour = at, machine.price_usd_per_hour
    RunningInterval.objects.create(machine=machine, started_at=at, price_usd_per_hour=machine.price_usd_per_hour)


def _close(machine: Machine, at: datetime) -> None:
    if machine.billed_since is None:
        return
    machine.metered_usd += interval_usd(machine.billed_since, at, machine.billed_price_usd_per_hour)
    RunningInterval.objects.filter(machine=machine, ended_at=None).update(ended_at=at)
    machine.billed_since = machine.billed_price_usd_per_hour = None


def _stopped_unseen(machine: Machine, observed: Observed, read_began_at: datetime) -> bool:
    """Whether Novita's own times tell of a stop and a start since, both between two reads."""
    since, stopped, started = machine.billed_since, machine.stopped_at, machine.started_at
    if observed is not Observed.RUNNING or since is None or stopped is None or started is None:
        return False
    return since < stopped <= started <= read_began_at


def _start(machine: Machine, observed: Observed, read_began_at: datetime) -> datetime:
    last = RunningInterval.objects.filter(machine=machine).order_by("-id").first()
    earliest = last.ended_at if last and last.ended_at else None
    told = machine.started_at
    if told is None or told > read_began_at or observed is Observed.PULLING:
        return read_began_at
    if machine.stopped_at is not None and machine.stopped_at > told:
        return read_began_at  # the start before the one that is under way
    return told if earliest is None or told >= earliest else read_began_at


def _end(machine: Machine, read_began_at: datetime) -> datetime:
    told = machine.stopped_at
    if told is not None and machine.billed_since is not None and machine.billed_since <= told <= read_began_at:
        return told
    return max(read_began_at, machine.billed_since or read_began_at)
