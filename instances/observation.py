"""The one writer of observed columns, for sync's lists and for reads by id.

Every observation carries the time its read began; one that is older than what is stored is ignored. All functions run in
the caller's transaction, which must have begun with `locked_account()`: it keeps observations one after the other, so that
a complete list can vouch for every row it left unchanged.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q

from instances import health_checks, meter
from instances.alarms import clear_alarm
from instances.attempts import SURPLUS, is_in_hand, note_surplus
from instances.consequences import Consequence, Meaning, Seen, consequence_of
from instances.events import OUTSIDE, SYSTEM, record
from instances.host_clock import is_ahead
from instances.lifecycle import WISH_VERBS, JobState, Observed, Verb, Wanted, observed_of, shows
from instances.models import Instance, Job, Machine, ProviderAccount, Reclaim
from instances.models.machine import MachineQuerySet
from instances.novita.types import InstanceDetail
from instances.operations.jobs import derive_job, end_job, write_wish
from instances.operations.wishes import locked_instance
from instances.outside import outside_changes, take_over_settings
from instances.phases import current_job, refresh_phase
from instances.readings import COMPARED, Reading, changes, connection_of, endpoints_of
from instances.reclaims import is_in_doubt, note_sign, still_taken
from instances.sightings import OBSERVED_COLUMNS, note_move, take_columns, take_disk_prices
from instances.succession import take_over_if_moved
from instances.vouching import calls_that_move, effective_observed_at, listed_at

_DETAIL_COLUMNS = (
    *("endpoints", "connection", "details_due", "details_read_at", "data_purged_at"),
    *("disk_usd_per_gb_day", "stopped_disk_usd_per_gb_day", "free_disk_gb"),
)
_QUIET_COLUMNS = (
    *(*COMPARED, "billed_price_usd_per_hour"),
    *("observed_at", "missing_since", "unverified_since", "not_found_at"),
)
KEPT_DATA = timedelta(days=7)  # Novita keeps the disks of a stopped instance so long where it names no date


def observe(
    machine: Machine,
    reading: Reading,
    *,
    began_at: datetime,
    now: datetime,
    account: ProviderAccount | None,
    listed: bool = False,
) -> bool:
    """Take a reading over; `listed` where a list gave it. False where it is older than what is known, or lies ahead."""
    known_at = effective_observed_at(machine, account)
    if is_ahead(began_at, now) or (known_at is not None and began_at < known_at):
        return False
    before, vouched = machine.observed, listed_at(machine.missing_since, account)
    differing = changes(machine, reading)
    outside = outside_changes(machine, differing)
    take_columns(machine, differing, before, began_at=began_at, listed=listed)
    if machine.observed is Observed.ABSENT:
        clear_alarm(SURPLUS, machine.novita_id or "", now=now)
    meter.follow(machine, machine.observed, read_began_at=began_at, read_ended_at=now, known_at=known_at)
    machine.save(update_fields=OBSERVED_COLUMNS)
    _after(machine, before, began_at=began_at, now=now, outside=outside, reading=reading, listed_at=vouched)
    return True


def observe_quietly(readings: Mapping[int, Reading], *, began_at: datetime, account: ProviderAccount | None) -> None:
    """Listed machines, by the id of their rows, whose readings change what nothing follows from: in few statements."""
    machines = []
    for machine in Machine.objects.filter(pk__in=readings).defer("connection"):
        known_at = effective_observed_at(machine, account)
        if known_at is None or began_at >= known_at:
            reading = readings[machine.pk]
            take_columns(machine, changes(machine, reading), machine.observed, began_at=began_at, listed=True)
            meter.price_late(machine)
            machines.append(machine)
    Machine.objects.bulk_update(machines, _QUIET_COLUMNS, batch_size=500)


def observe_details(machine: Machine, detail: InstanceDetail, *, now: datetime) -> None:
    """Store what only a read by id tells: endpoints, connection, purge date. The reading itself was observed before."""
    seen = observed_of(detail.status)
    machine.details_read_at = now
    if seen is Observed.RUNNING:
        machine.endpoints, machine.connection = endpoints_of(detail), connection_of(detail)
        machine.details_due = len(machine.endpoints) < len(detail.ports)
        machine.data_purged_at = None
    elif seen is Observed.EXITED:
        kept = timedelta(days=detail.keep_data_days) if detail.keep_data_days else KEPT_DATA
        machine.data_purged_at = detail.release_data_at or (machine.stopped_at or now) + kept
        machine.details_due = False
    take_disk_prices(machine, detail)
    machine.save(update_fields=_DETAIL_COLUMNS)
    instance = locked_instance(machine.instance_id)
    if instance.machine_id == machine.pk and seen is Observed.RUNNING:
        health_checks.begin_checks(instance, machine, now=now)
        refresh_phase(instance, now=now)


def observe_missing(machine_ids: Collection[int], *, list_began_at: datetime) -> None:
    """A complete list did not have them. Missing is not gone: only a not-found by id makes it so."""
    _unseen_since(machine_ids, list_began_at).filter(missing_since=None).update(
        missing_since=list_began_at, unverified_since=None
    )


def note_unverified(machine_ids: Collection[int], *, list_began_at: datetime) -> None:
    """A list that is not believed did not have them: their rows stay as they are, and say since when nobody vouches."""
    _unseen_since(machine_ids, list_began_at).filter(unverified_since=None).update(unverified_since=list_began_at)


def _unseen_since(machine_ids: Collection[int], list_began_at: datetime) -> MachineQuerySet:
    older = Q(observed_at=None) | Q(observed_at__lt=list_began_at)
    return Machine.objects.filter(older, pk__in=machine_ids)


def observe_not_found(machine: Machine, *, began_at: datetime, now: datetime, account: ProviderAccount | None) -> bool:
    """Novita did not find it by id. Together with a complete list that lacks it, that proves it absent.

    Not while the account is frozen or its lists are doubted, nor within the settle period of a call of ours that may have
    moved it. Of what Novita called removed before it is the second proof.
    """
    if is_ahead(began_at, now) or (machine.observed_at is not None and began_at < machine.observed_at):
        return False
    known_at = effective_observed_at(machine, account)
    machine.not_found_at = began_at
    if not _proves_absence(machine, began_at, account):
        machine.save(update_fields=["not_found_at"])
        return False
    before = machine.observed
    machine.absent_at, machine.observed_at = machine.absent_at or began_at, began_at
    if before is not Observed.ABSENT:
        note_move(machine, Observed.ABSENT, before, began_at=began_at)
        _tell_absence(machine, now=now)
    clear_alarm(SURPLUS, machine.novita_id or "", now=now)
    meter.follow(machine, Observed.ABSENT, read_began_at=began_at, read_ended_at=now, known_at=known_at)
    machine.save(update_fields=OBSERVED_COLUMNS)
    _after(machine, before, began_at=began_at, now=now)
    return True


def _proves_absence(machine: Machine, began_at: datetime, account: ProviderAccount | None) -> bool:
    if machine.observed is Observed.ABSENT:
        return True  # Novita called it removed before
    if machine.missing_since is None or (account and (account.frozen_since or account.doubted_since)):
        return False
    called_at = calls_that_move([machine.instance_id]).get(machine.instance_id)
    return called_at is None or began_at >= called_at + settings.SETTLE_PERIOD


def _tell_absence(machine: Machine, *, now: datetime) -> None:
    lists, read = machine.missing_since, machine.not_found_at
    record(
        "instance.absence_proven",
        at=now,
        actor=SYSTEM,
        instance=machine.instance,
        reason="a complete list lacks it and Novita does not find it by id",
        after={
            "novita_id": machine.novita_id,
            "listed_without_it_at": lists.isoformat() if lists else None,
            "not_found_at": read.isoformat() if read else None,
        },
    )


def _after(
    machine: Machine,
    before: Observed,
    *,
    began_at: datetime,
    now: datetime,
    outside: dict[str, tuple[Any, Any]] | None = None,
    reading: Reading | None = None,
    listed_at: datetime | None = None,
) -> None:
    """What follows for the instance: its wish, its health, its phase, its open job."""
    instance = locked_instance(machine.instance_id)
    if instance.machine_id != machine.pk and not _succeeds(instance, machine, now):
        _note_return(instance, machine, before, now)
        return
    instance.machine = machine
    if before is not machine.observed:
        _tell_move(instance, machine, before, began_at, now)
    reclaim = note_sign(instance, machine, began_at=began_at, now=now)
    job = current_job(instance)
    seen = _seen(instance, machine, job, began_at, reclaim)
    seen = replace(seen, tells_spot=reading is not None and reading.tells_spot, listed_at=listed_at)
    if outside:
        take_over_settings(instance, outside, began_at=began_at, now=now)
    consequence = consequence_of(seen)
    _apply(instance, consequence, began_at=began_at, now=now)
    if consequence.meaning is Meaning.MET and job is not None and WISH_VERBS.get(Verb(job.verb)) == instance.wanted:
        end_job(job, JobState.SUCCEEDED, now=now, instance=instance, actor=SYSTEM, reason=consequence.reason)
    elif consequence.meaning is Meaning.OUTSIDE and job is not None:
        end_job(job, JobState.SUPERSEDED, now=now, instance=instance, actor=OUTSIDE, reason=consequence.reason)
    elif job is None:
        derive_job(instance, now=now)
    elif job.was_called:
        Job.objects.filter(pk=job.pk, state="confirming", next_attempt_at__gt=now).update(next_attempt_at=now)
    elif before is not machine.observed:
        Job.objects.filter(pk=job.pk, state="queued", next_attempt_at__gt=now).update(next_attempt_at=now)
    refresh_phase(instance, now=now)


def _succeeds(instance: Instance, machine: Machine, now: datetime) -> bool:
    """Whether the instance goes on with this machine, since a move of ours ended under another id."""
    old = take_over_if_moved(instance, machine, now=now)
    if old is not None and old.absent_at is None:
        note_surplus(instance, old, now=now, how="a move of it ended under another id and left this one behind")
    return old is not None


def _note_return(instance: Instance, machine: Machine, before: Observed, now: datetime) -> None:
    """One that the instance has no more lives after all, and is billed again unless it is stopped."""
    is_back = before is Observed.ABSENT and machine.observed is not Observed.ABSENT
    if is_back and not is_in_hand(current_job(instance), machine):
        note_surplus(instance, machine, now=now, how="it was proven gone and is back")


def _tell_move(instance: Instance, machine: Machine, before: Observed, began_at: datetime, now: datetime) -> None:
    if machine.observed is Observed.RUNNING:
        if machine.running_since != began_at:
            return  # the same run goes on
        price = None if machine.price_usd_per_hour is None else str(machine.price_usd_per_hour)
        health_checks.await_endpoints(instance)
        record(
            "instance.running",
            at=now,
            actor=SYSTEM,
            instance=instance,
            reason="Novita reports running",
            before={"status": str(before)},
            after={"novita_id": machine.novita_id, "region": machine.region, "price_usd_per_hour": price},
        )
    elif machine.observed is not Observed.UNKNOWN and before in (Observed.RUNNING, Observed.UNKNOWN):
        health_checks.end_checks(instance)


_STARTERS = (Verb.CREATE, Verb.START, Verb.RESTART, Verb.MIGRATE, Verb.REPLACE)


def _seen(instance: Instance, machine: Machine, job: Job | None, began_at: datetime, reclaim: Reclaim | None) -> Seen:
    called = instance.jobs.exclude(called_at=None).order_by("-called_at")
    last = called.first()
    starter = last if last is None or last.verb in _STARTERS else called.filter(verb__in=_STARTERS).first()
    settled = last is None or last.state in (JobState.SUCCEEDED, JobState.FAILED)
    return Seen(
        wanted=instance.wanted,
        met=instance.met,
        observed=machine.observed,
        read_began_at=began_at,
        first_seen_at=machine.status_since or began_at,
        managed=instance.managed,
        job_open=job is not None,
        stop_sent=bool(job and job.was_called and job.verb == Verb.STOP),
        call_in_flight=bool(job and job.was_called and job.call_ended_at is None),
        job_call_ended_at=job.call_ended_at if job else None,
        last_call_ended_at=_call_end(last),
        start_call_ended_at=_start_end(starter),
        contradicted=not settled and last is not None and WISH_VERBS.get(Verb(last.verb)) != instance.wanted,
        started_at=machine.started_at,
        shown_at=instance.shown_at,
        proven=_is_proven_absent(machine, job),
        spot_reclaim=reclaim is not None and still_taken(reclaim),
        moved=reclaim is not None and any(one["verb"] == Verb.MIGRATE for one in reclaim.tries),
        spot_doubt=is_in_doubt(reclaim, machine),
        is_spot=machine.billing_mode == "spot",
        settle=settings.SETTLE_PERIOD,
    )


def _is_proven_absent(machine: Machine, job: Job | None) -> bool:
    """Two kinds of read, a list and one by id, both begun after the call."""
    if machine.absent_at is None or machine.missing_since is None or machine.not_found_at is None:
        return False
    call_end = _call_end(job)
    return call_end is None or machine.missing_since > call_end


def _call_end(job: Job | None) -> datetime | None:
    return (job.call_ended_at or job.called_at) if job else None


def _start_end(job: Job | None) -> datetime | None:
    """A move runs only at its own end, which may come long after its call."""
    moved = job is not None and job.verb == Verb.MIGRATE and job.state == JobState.SUCCEEDED
    return (job.finished_at if job and moved else None) or _call_end(job)


def _apply(instance: Instance, consequence: Consequence, *, began_at: datetime, now: datetime) -> None:
    if consequence.meaning is Meaning.SHOWN:
        instance.shown_at = began_at
        instance.save(update_fields=["shown_at"])
    elif instance.shown_at is not None and not shows(instance.wanted, instance.observed):
        instance.shown_at = None
        instance.save(update_fields=["shown_at"])
    if consequence.meaning is Meaning.MET:
        instance.met_at, instance.failure = began_at, ""
        instance.save(update_fields=["met_at", "failure"])
    elif consequence.meaning is Meaning.UNMET:
        instance.met_at = None
        instance.save(update_fields=["met_at"])
        type_ = "instance.reappeared" if instance.wanted == Wanted.DELETED else "instance.started_late"
        record(type_, at=now, actor=SYSTEM, instance=instance, reason=consequence.reason)
    elif consequence.meaning is Meaning.OUTSIDE:
        _changed_outside(instance, consequence, now)


def _changed_outside(instance: Instance, consequence: Consequence, now: datetime) -> None:
    before = instance.wanted
    write_wish(instance, consequence.wanted, actor=OUTSIDE, reason=consequence.reason, now=now, met_at=now, failure="")
    record(
        "instance.changed_outside",
        at=now,
        actor=OUTSIDE,
        instance=instance,
        reason=consequence.reason,
        before={"wanted": before},
        after={"wanted": instance.wanted},
    )
