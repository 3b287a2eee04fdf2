"""The meter: running intervals with the price frozen at their start. It follows observed states only. Disks apart.

Where no price is known at the start, the first one that is becomes that of the whole interval.

Each edge of an interval is a time with its bounds: no earlier than the last read that showed what was before, no later
than the end of the first read that showed what came after, and within a second where Novita tells the time itself.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from instances.lifecycle import BILLED, Observed
from instances.models import Machine, Offer, RunningInterval
from instances.models.machine import interval_usd

_GOES_ON = (Observed.UNKNOWN, Observed.MIGRATING, Observed.REMOVING)
_ASKED_TO_START = ("tostart", "tobestarted")  # not billed before `starting`
_TOLD_IN = timedelta(seconds=1)  # Novita's own times are whole seconds
METER_COLUMNS = ("metered_usd", "billed_since", "billed_price_usd_per_hour")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """When a read began and had ended, and when the newest one before it began that vouches for the row."""

    began_at: datetime
    ended_at: datetime
    known_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edge:
    at: datetime
    not_before: datetime
    not_after: datetime


def follow(
    machine: Machine,
    observed: Observed,
    *,
    read_began_at: datetime,
    read_ended_at: datetime | None = None,
    known_at: datetime | None = None,
) -> None:
    """Open or close the machine's interval in memory and in its table; the caller saves METER_COLUMNS.

    A move, a removal, an unfamiliar status and one that only announces a start change nothing: the meter goes on as it was.
    """
    read = _Read(began_at=read_began_at, ended_at=max(read_began_at, read_ended_at or read_began_at), known_at=known_at)
    price_late(machine)
    if observed in _GOES_ON:
        _note_doubt(machine, read)
        return
    if machine.billed_since is None and machine.status.lower() in _ASKED_TO_START:
        return
    billed = observed in BILLED
    if billed and (_stopped_unseen(machine, observed, read_began_at) or _is_paid_otherwise(machine)):
        _close(machine, _end(machine, read, None))
    if billed and machine.billed_since is None:
        last = RunningInterval.objects.filter(machine=machine).order_by("-id").first()
        _open(machine, _start(machine, observed, read, last)).save()
    elif billed:
        RunningInterval.objects.filter(machine=machine, ended_at=None, ended_not_before__isnull=False).update(
            ended_not_before=None
        )
    elif machine.billed_since is not None:
        open_one = RunningInterval.objects.filter(machine=machine, ended_at=None).first()
        _close(machine, _end(machine, read, open_one.ended_not_before if open_one else None))


def price_late(machine: Machine) -> bool:
    """Price the open interval, from its begin, where no price was known then and one is now; past intervals stay.

    In memory and in the intervals' table; the caller saves the machine's prices where this is True.
    """
    if machine.billed_since is None or machine.billed_price_usd_per_hour is not None:
        return False
    rate = _rate_of(machine)
    if rate is None:
        return False
    machine.billed_price_usd_per_hour = rate
    RunningInterval.objects.filter(machine=machine, ended_at=None).update(price_usd_per_hour=rate)
    return True


def first_interval(
    machine: Machine, observed: Observed, *, read_began_at: datetime, read_ended_at: datetime
) -> RunningInterval | None:
    """The interval, unsaved, of a machine that no read showed before; None where it is not billed."""
    if observed not in BILLED or observed in _GOES_ON or machine.status.lower() in _ASKED_TO_START:
        return None
    read = _Read(began_at=read_began_at, ended_at=max(read_began_at, read_ended_at), known_at=None)
    return _open(machine, _start(machine, observed, read, None))


def listed_price_usd_per_hour(machine: Machine) -> Decimal | None:
    """The catalogue's price for a machine whose own price Novita does not tell."""
    offer = Offer.objects.filter(cluster_id=machine.cluster_id, product_id=machine.product_id).first()
    if offer is None:
        return None
    per_gpu = offer.spot_usd_per_gpu_hour if machine.billing_mode == "spot" else offer.on_demand_usd_per_gpu_hour
    return per_gpu * max(1, machine.gpu_num) if per_gpu is not None else None


def _rate_of(machine: Machine) -> Decimal | None:
    """What an hour costs from now on, None where nobody knows; a subscription is paid by the month, and its hours cost 0."""
    if machine.price_usd_per_hour is None:
        machine.price_usd_per_hour = listed_price_usd_per_hour(machine)
    return Decimal(0) if machine.is_subscribed else machine.price_usd_per_hour


def _open(machine: Machine, edge: _Edge) -> RunningInterval:
    machine.billed_since, machine.billed_price_usd_per_hour = edge.at, _rate_of(machine)
    return RunningInterval(
        machine=machine,
        started_at=edge.at,
        started_not_before=edge.not_before,
        started_not_after=edge.not_after,
        price_usd_per_hour=machine.billed_price_usd_per_hour,
    )


def _close(machine: Machine, edge: _Edge) -> None:
    if machine.billed_since is None:
        return
    machine.metered_usd += interval_usd(machine.billed_since, edge.at, machine.billed_price_usd_per_hour)
    RunningInterval.objects.filter(machine=machine, ended_at=None).update(
        ended_at=edge.at, ended_not_before=edge.not_before, ended_not_after=edge.not_after
    )
    machine.billed_since = machine.billed_price_usd_per_hour = None


def _note_doubt(machine: Machine, read: _Read) -> None:
    """From here on nobody can tell whether it is billed: where it turns out to have ended, it may have ended since."""
    if machine.billed_since is not None and read.known_at is not None:
        RunningInterval.objects.filter(machine=machine, ended_at=None, ended_not_before=None).update(
            ended_not_before=max(read.known_at, machine.billed_since)
        )


def _stopped_unseen(machine: Machine, observed: Observed, read_began_at: datetime) -> bool:
    """Whether Novita's own times tell of a stop and a start since, both between two reads."""
    since, stopped, started = machine.billed_since, machine.stopped_at, machine.started_at
    if observed is not Observed.RUNNING or since is None or stopped is None or started is None:
        return False
    return since < stopped <= started <= read_began_at


def _is_paid_otherwise(machine: Machine) -> bool:
    """Whether it became a subscription since its interval began, or ceased to be one: another interval begins."""
    if machine.billed_since is None or machine.billed_price_usd_per_hour is None:
        return False
    return (machine.billed_price_usd_per_hour == 0) != (_rate_of(machine) == 0)


def _start(machine: Machine, observed: Observed, read: _Read, last: RunningInterval | None) -> _Edge:
    """Novita tells when it began to run. It is billed from the pull on: the interval began no later."""
    at, latest = read.began_at, read.ended_at
    if _start_is_told(machine, observed, read, last) and machine.started_at is not None:
        at, latest = machine.started_at, min(machine.started_at + _TOLD_IN, latest)
    known = (read.known_at, machine.called_at, last.ended_not_before if last else None)
    earliest = max((one for one in known if one is not None), default=machine.created_at)
    return _Edge(at=at, not_before=min(earliest, at), not_after=max(latest, at))


def _start_is_told(machine: Machine, observed: Observed, read: _Read, last: RunningInterval | None) -> bool:
    told = machine.started_at
    if told is None or told > read.began_at or observed is Observed.PULLING:
        return False
    if machine.stopped_at is not None and machine.stopped_at > told:
        return False  # the start before the one that is under way
    return last is None or last.ended_at is None or told >= last.ended_at


def _end(machine: Machine, read: _Read, doubted_since: datetime | None) -> _Edge:
    """`doubted_since`: from when on nobody could tell whether it was billed."""
    since = machine.billed_since or read.began_at
    told = machine.stopped_at
    if told is not None and since <= told <= read.began_at:
        earliest = min(told, doubted_since or told)
        return _Edge(at=told, not_before=earliest, not_after=max(told, min(told + _TOLD_IN, read.ended_at)))
    at = max(read.began_at, since)
    earliest = doubted_since or read.known_at or since
    return _Edge(at=at, not_before=min(max(earliest, since), at), not_after=max(read.ended_at, at))
