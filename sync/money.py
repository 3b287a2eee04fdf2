"""What costs money without anybody looking: a balance that runs out, machines nobody here made or uses, data to be purged.

One pass a minute over what is stored; it asks Novita nothing and stops nothing.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from instances.alarms import clear_alarm, due_again, raise_alarm
from instances.attempts import SURPLUS, is_in_hand, note_if_surplus, tell_surplus
from instances.lifecycle import OPEN_STATES, Verb
from instances.meter import price_late
from instances.models import Alarm, Instance, Job, Machine, ProviderAccount
from instances.models.machine import SUBSCRIPTION
from instances.periodic import claim, finish
from instances.runway import balance_now, lasts, level
from instances.vouching import locked_account
from instances.words import clock, span, usd, usd_per_hour

EVERY = timedelta(minutes=1)
LEASE = timedelta(minutes=2)
REPEAT = timedelta(hours=24)
PURGE_STEPS = (timedelta(hours=72), timedelta(hours=24))  # before the data of a stopped one is gone
FREEZING = "freezing"
_NAMED = 5
_DAY = Decimal(24)


def watch_if_due(now: datetime) -> bool:
    held = claim("money", every=EVERY, lease=LEASE, now=now)
    if held is None:
        return False
    watch(now)
    finish(held, now=timezone.now(), ok=True)
    return True


def watch(now: datetime) -> None:
    price_what_runs()
    watch_balance(now)
    watch_unmanaged(now)
    watch_surplus(now)
    watch_freezing(now)
    watch_purges(now)


def price_what_runs() -> None:
    """What began to run before the catalogue was read, and whose price Novita does not tell itself."""
    unpriced = Machine.objects.known().filter(billed_since__isnull=False, billed_price_usd_per_hour=None).defer("connection")
    if not unpriced.exists():
        return
    with transaction.atomic():
        locked_account()  # nothing observes it meanwhile
        for machine in unpriced:
            if price_late(machine):
                machine.save(update_fields=["price_usd_per_hour", "billed_price_usd_per_hour"])


def burn_usd_per_hour() -> Decimal:
    """What Novita takes an hour as things are now: GPUs by the meter, disks by their size."""
    billed = Q(billed_since__isnull=False) | Q(status__iexact="exited")
    columns = ("status", "novita_id", "absent_at", "rootfs_size_gb", "free_disk_gb", "billed_since")
    prices = ("billed_price_usd_per_hour", "disk_usd_per_gb_day", "stopped_disk_usd_per_gb_day")
    burn = Decimal(0)
    for machine in Machine.objects.known().filter(billed).only(*columns, *prices).iterator(chunk_size=2000):
        burn += (machine.billed_price_usd_per_hour or 0) if machine.billed_since else 0
        burn += (machine.disk_usd_per_day or 0) / _DAY
    return burn


def watch_balance(now: datetime) -> None:
    """One alarm that grows worse at 72, 24 and 6 hours, and ends when the balance lasts longer again."""
    account = ProviderAccount.objects.filter(pk=1).first()
    if account is None or account.balance_usd is None or account.balance_read_at is None:
        return
    burn = burn_usd_per_hour()
    left = balance_now(account.balance_usd, read_at=account.balance_read_at, burn_per_hour=burn, now=now)
    lasting = lasts(left, burn)
    worse = level(lasting)
    if not worse or lasting is None:
        clear_alarm("balance_runway", "", now=now)
        return
    when = f"lasts {span(lasting)} more, until {clock(now + lasting)}" if lasting else "is used up"
    raise_alarm(
        "balance_runway",
        "",
        text=f"the balance of {usd(account.balance_usd)} (read {clock(account.balance_read_at)}) {when}, at "
        f"{usd_per_hour(burn.quantize(Decimal('0.0001')))} per hour: at 0 Novita freezes everything",
        remedy="Top the account up at Novita, or stop what is not needed",
        now=now,
        level=worse,
    )


def watch_unmanaged(now: datetime) -> None:
    """One alarm for all that bill by the hour and nobody here made, told every 24 h until acknowledged with a reason.

    Its level is the newest of their records, so that one found later is told anew.
    """
    hourly = Machine.objects.known().exclude(billing_mode=SUBSCRIPTION)
    found = hourly.filter(billed_since__isnull=False, current_of__managed=False)
    machines = list(found.select_related("current_of").defer("connection", "current_of__envs").order_by("-pk"))
    if not machines:
        clear_alarm("unmanaged_billing", "", now=now)
        return
    price = sum((one.billed_price_usd_per_hour or Decimal(0) for one in machines), Decimal(0))
    spent = sum((one.cost_usd(now) for one in machines), Decimal(0))
    oldest = min(one.created_at for one in machines)
    names = ", ".join(f"{one.provider_name or '(no name)'} ({one.novita_id})" for one in machines[:_NAMED])
    more = f" and {len(machines) - _NAMED} more" if len(machines) > _NAMED else ""
    who = "1 instance was" if len(machines) == 1 else f"{len(machines)} instances were"
    raise_alarm(
        "unmanaged_billing",
        "",
        text=f"{who} not made here and billed at {usd_per_hour(price)} per hour together, {usd(spent)} so far by what is "
        f"known, the oldest for {span(now - oldest)}: {names}{more}",
        remedy="Adopt what you need, delete the rest at Novita, or acknowledge this with a reason; no rule touches them",
        now=now,
        level=machines[0].pk,
        repeat=REPEAT,
    )


def watch_surplus(now: datetime) -> None:
    """Each machine that its instance has no more, or has beside its own, and is billed: told every 24 h, as the unmanaged.

    Whatever its instance has become. One that nobody named is named; one that a replacement has in hand is left to it.
    """
    # The alarms are read first: an alarm and the row it is about are stored together.
    alarms = {one.subject: one for one in Alarm.objects.filter(kind=SURPLUS, cleared_at=None)}
    found = Machine.objects.known().filter(current_of=None).select_related("instance").defer("connection", "instance__envs")
    machines = {one.novita_id or "": one for one in found}
    for novita_id in alarms.keys() - machines.keys():
        clear_alarm(SURPLUS, novita_id, now=now)
    replacing = {job.instance_id: job for job in Job.objects.filter(verb=Verb.REPLACE, state__in=OPEN_STATES)}
    for novita_id, machine in machines.items():
        if machine.billed_since is None or is_in_hand(replacing.get(machine.instance_id), machine):
            continue
        alarm = alarms.get(novita_id)
        if alarm is None:
            note_if_surplus(machine.pk, now=now, how="it is billed, and is not the one in use")
        elif due_again(alarm, REPEAT, now):
            tell_surplus(machine.instance, machine, now=now, how=_billed(machine, now), repeat=REPEAT)
    Alarm.objects.filter(kind=SURPLUS, subject__in=machines, cleared_at=None).update(last_seen_at=now)


def _billed(machine: Machine, now: datetime) -> str:
    price = usd_per_hour(machine.billed_price_usd_per_hour)
    per_hour = f"at {price} per hour" if price else "at a price that Novita has not told"
    return f"it is billed {per_hour}, {usd(machine.cost_usd(now))} so far by what is known"


def watch_freezing(now: datetime) -> None:
    """Novita's word for what happens when the balance is used up."""
    ids = list(Machine.objects.known().filter(status__iexact=FREEZING).values_list("novita_id", flat=True)[: _NAMED + 1])
    if not ids:
        clear_alarm("account_freezing", "", now=now)
        return
    raise_alarm(
        "account_freezing",
        "",
        text=f"Novita freezes instances of this account: {', '.join(str(one) for one in ids[:_NAMED])}"
        + (" and more" if len(ids) > _NAMED else ""),
        remedy="Top the account up at Novita; frozen instances stop, and their data is purged some days later",
        now=now,
    )


def watch_purges(now: datetime) -> None:
    """For each stopped one whose data is purged soon: at 72 and at 24 hours before."""
    soon = Q(machine__data_purged_at__lte=now + PURGE_STEPS[0], machine__data_purged_at__gt=now)
    stopped = Instance.objects.not_ended().filter(soon, machine__status__iexact="exited").select_related("machine")
    told = set()
    for instance in stopped.defer("envs", "machine__connection"):
        machine = instance.machine
        if machine is None or machine.data_purged_at is None:
            continue
        left = machine.data_purged_at - now
        disks = machine.disk_usd_per_day
        cost = f"; its disks cost {usd(disks)} per day until then" if disks else ""
        raise_alarm(
            "data_purge",
            str(instance.pk),
            text=f"{instance.name or machine.novita_id}: Novita purges its data at {clock(machine.data_purged_at)}, in "
            f"{span(left)}{cost}",
            remedy="Start it to keep its data, save it elsewhere, or delete it if nobody needs it",
            now=now,
            instance=instance,
            level=sum(1 for step in PURGE_STEPS if left <= step),
        )
        told.add(str(instance.pk))
    past = Alarm.objects.filter(kind="data_purge", cleared_at=None).exclude(subject__in=told)
    for subject in past.values_list("subject", flat=True):
        clear_alarm("data_purge", subject, now=now)
