"""Records of reclaims: opened by the read that shows the first sign, ended by an outcome. In the caller's transaction.

What is done about an open one is decided in `sync.reclaims`; here is what must happen in the very transaction that sees the
sign, hears the wish or ends the job. A record that has ended is a sign that was handled: it starts nothing again.
"""

from datetime import datetime
from typing import Any

from instances import moves
from instances.alarms import clear_alarm
from instances.events import OUTSIDE, SYSTEM, Actor, record
from instances.lifecycle import OPEN_STATES, JobState, Observed, Wanted
from instances.models import Instance, Job, Machine
from instances.models.reclaim import OPEN_RECLAIMS, Reclaim, ReclaimState
from instances.moves import place
from instances.periodic import bring_forward
from instances.spot import Sign, sign_of_machine
from instances.words import clock, span, usd_per_hour

WORK = "reclaims"  # the periodic work that decides
RULE = Actor(kind="rule", name="reclaim")
ALARM = "reclaim"
_MOST_TRIES = 50  # kept on the record, the newest; their number goes on in the events
_SIGNS = {Sign.NOTICE: "notified", Sign.TAKEN: "taken", Sign.DOUBT: "doubt"}


def open_reclaim(instance: Instance) -> Reclaim | None:
    return Reclaim.objects.filter(instance=instance, state__in=OPEN_RECLAIMS).select_related("machine").first()


def note_sign(instance: Instance, machine: Machine, *, began_at: datetime, now: datetime) -> Reclaim | None:
    """Keep the record of the sign that a read of the instance's machine shows; the open record, or None.

    The first sign opens it; another time of Novita's for a reclaim that is under way goes on with what was tried.
    """
    sign = sign_of_machine(machine)
    if sign is Sign.NONE or machine.reclaim_at is None or not instance.managed:
        return _look_again(instance, began_at, now) if machine.billing_mode == "spot" else None
    found = Reclaim.objects.filter(machine=machine, reclaim_at=machine.reclaim_at).first()
    if found is not None and not found.is_open and found.outcome != "withdrawn":
        return None  # it was handled
    if found is None or not found.is_open:
        opened = open_reclaim(instance)
        if opened is not None and opened.taken_at is not None and (sign is Sign.NOTICE or ran_since(opened)):
            end(opened, instance, outcome="back", reason="it ran again, and is to be taken anew", now=now, back_at=now)
            opened = None
        found = _begin(found, opened, instance, machine, began_at=began_at, now=now)
    _note_evidence(found, instance, machine, sign, began_at=began_at, now=now)
    return found


def _look_again(instance: Instance, began_at: datetime, now: datetime) -> Reclaim | None:
    """The sign is over: the notice was withdrawn, or the machine runs or is no more. What that means is decided at once."""
    opened = open_reclaim(instance)
    if opened is None:
        return None
    machine = instance.machine
    if machine is not None and machine.observed is Observed.RUNNING and opened.taken_at is not None:
        opened.evidence.setdefault("ran", {"read_at": began_at.isoformat(), "novita_id": machine.novita_id})
    if opened.next_at is None or opened.next_at > now:
        opened.next_at = now
        bring_forward(WORK, to=now)
    opened.save(update_fields=["evidence", "next_at"])
    return opened


def ran_since(opened: Reclaim) -> bool:
    """Whether it was seen running after it was taken: what stops it from then on is no part of this reclaim."""
    return "ran" in opened.evidence


def is_in_doubt(opened: Reclaim | None, machine: Machine) -> bool:
    """Whether it stopped in a way that leaves open by whom: by its words, or by the hour of an announced reclaim."""
    if opened is None or opened.taken_at is not None or machine.observed is not Observed.EXITED:
        return False
    sign, read_at = sign_of_machine(machine), machine.observed_at
    return sign is Sign.DOUBT or (sign is Sign.NONE and read_at is not None and read_at >= opened.reclaim_at)


def is_taken(instance: Instance) -> bool:
    """Whether Novita took its machine back, by an open record of a time after the last start we saw."""
    machine = instance.machine
    if machine is None or machine.billing_mode != "spot" or machine.observed is not Observed.EXITED or not instance.managed:
        return False
    opened = open_reclaim(instance)
    return opened is not None and opened.machine_id == machine.pk and still_taken(opened)


def still_taken(opened: Reclaim) -> bool:
    return opened.taken_at is not None and not ran_since(opened)


def is_reclaiming(instance: Instance) -> bool:
    """Whether it is to come back: taken, and still wanted running."""
    return instance.wanted == Wanted.RUNNING and is_taken(instance)


def end_by_wish(instance: Instance, *, actor: Actor, now: datetime) -> None:
    """Somebody wished something after the sign: what they want holds, and the reclaim is over."""
    opened = open_reclaim(instance)
    if opened is not None:
        wanted = f"wanted {instance.wanted}" if instance.wanted else "no longer wanted"
        reason = f"it is {wanted} since {clock(now)}, by {actor.name or actor.kind}: nothing more is done for the reclaim"
        end(opened, instance, outcome="wish", reason=reason, now=now)


def note_job_end(job: Job, instance: Instance, state: str, *, code: str, reason: str, now: datetime) -> None:
    """Write how a job of a reclaim ended, and have the next step decided at once."""
    if "reclaim" not in job.arguments:
        return
    opened = Reclaim.objects.filter(pk=job.arguments["reclaim"], state__in=OPEN_RECLAIMS).first()
    if opened is None:
        return
    for one in opened.tries:
        if one["job"] == str(job.pk):
            one |= {"ended_at": now.isoformat(), "outcome": code or str(state), "detail": reason[:300]}
    opened.state = ReclaimState.ACTING if state == JobState.SUCCEEDED else ReclaimState.DECIDED
    opened.next_at = now
    opened.save(update_fields=["tries", "state", "next_at"])
    bring_forward(WORK, to=now)


def begin_try(opened: Reclaim, job: Job, *, now: datetime) -> None:
    """A job was opened for it: in the transaction that opened it."""
    one = {"verb": str(job.verb), "job": str(job.pk), "at": now.isoformat(), "ended_at": None, "outcome": "", "detail": ""}
    opened.tries = [*opened.tries, one][-_MOST_TRIES:]
    opened.state, opened.job, opened.next_at = ReclaimState.ACTING, job, None
    opened.save(update_fields=["tries", "state", "job", "next_at"])


def end(
    opened: Reclaim,
    instance: Instance,
    *,
    outcome: str,
    reason: str,
    now: datetime,
    state: ReclaimState = ReclaimState.DONE,
    back_at: datetime | None = None,
) -> None:
    """Close it with its story in one event: from the first sign to the outcome, with times, tries and prices."""
    machine = instance.machine
    opened.state, opened.outcome, opened.ended_at, opened.next_at = state, outcome, now, None
    opened.back_at = back_at
    opened.code, opened.reason, opened.decided_at = outcome, reason[:1000], now
    if back_at is not None and machine is not None:
        opened.novita_id_after = machine.novita_id or ""
        opened.region_after, opened.price_after_usd_per_hour = machine.region, machine.price_usd_per_hour
    opened.save()
    instance.next_sync_action = None
    instance.save(update_fields=["next_sync_action"])
    clear_alarm(ALARM, str(instance.pk), now=now)
    type_ = "instance.reclaim_failed" if state == ReclaimState.FAILED else "instance.reclaim_ended"
    record(
        type_,
        at=now,
        actor=SYSTEM,
        instance=instance,
        reason=story_of(opened),
        before=place(opened.novita_id_before, opened.region_before, opened.price_before_usd_per_hour),
        after={
            **place(opened.novita_id_after, opened.region_after, opened.price_after_usd_per_hour),
            "outcome": outcome,
            "reclaim": opened.pk,
        },
    )


def tell_migrated(opened: Reclaim, instance: Instance, *, now: datetime) -> None:
    before = place(opened.novita_id_before, opened.region_before, opened.price_before_usd_per_hour)
    moves.tell(instance, before=before, now=now, job=opened.job)


def story_of(opened: Reclaim) -> str:
    """The whole of it in sentences, for a person who reads it the next morning."""
    parts = []
    if opened.notified_at is not None:
        parts.append(f"Novita announced at {clock(opened.notified_at)} that it takes it back at {clock(opened.reclaim_at)}")
    if opened.taken_at is not None:
        parts.append(f"it was found taken back at {clock(opened.taken_at)}")
    parts += [_told(one) for one in opened.tries]
    if opened.back_at is not None:
        away = f", {span(opened.back_at - opened.taken_at)} after that" if opened.taken_at else ""
        parts.append(f"it is well again since {clock(opened.back_at)}{away}{_moved(opened)}")
    if opened.reason and opened.back_at is None:
        parts.append(opened.reason)
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}"[:1000]


def _told(one: dict[str, Any]) -> str:
    words = {"start": "a start in place", "migrate": "a move", "replace": "a replacement", "create": "a new machine"}
    what = f"{words.get(one['verb'], one['verb'].replace('_', ' '))} at {one['at'][11:16]}"
    if one["outcome"] in ("", "succeeded"):
        return what if not one["outcome"] else f"{what} worked"
    return f"{what} did not work ({one['outcome']})"


def _moved(opened: Reclaim) -> str:
    price, before = opened.price_after_usd_per_hour, opened.price_before_usd_per_hour
    words = ""
    if opened.novita_id_after != opened.novita_id_before:
        words = f", as {opened.novita_id_after} in {opened.region_after}"
    if price is None:
        return words
    was = f" (was {usd_per_hour(before)})" if before is not None and before != price else ""
    return f"{words}, at {usd_per_hour(price)} per hour{was}"


def _begin(
    found: Reclaim | None, opened: Reclaim | None, instance: Instance, machine: Machine, *, began_at: datetime, now: datetime
) -> Reclaim:
    """A new record, one whose notice was withdrawn opened again, or the successor of one whose time was changed."""
    if opened is not None:
        opened.state, opened.outcome, opened.ended_at, opened.next_at = ReclaimState.DONE, "time_changed", now, None
        opened.reason = f"Novita's time for it is {clock(machine.reclaim_at)} now" if machine.reclaim_at else ""
        opened.save(update_fields=["state", "outcome", "ended_at", "next_at", "reason"])
    at = machine.reclaim_at or began_at
    one = found or Reclaim(instance=instance, machine=machine, reclaim_at=at, seen_at=began_at)
    one.state, one.outcome, one.ended_at, one.next_at = ReclaimState.SEEN, "", None, now
    one.novita_id_before, one.region_before = machine.novita_id or "", machine.region
    one.price_before_usd_per_hour = machine.price_usd_per_hour
    if opened is not None and opened.machine_id == machine.pk:
        one.seen_at, one.notified_at, one.taken_at = opened.seen_at, opened.notified_at, opened.taken_at
        one.tries, one.job, one.evidence = opened.tries, opened.job, opened.evidence
    one.save()
    if opened is not None and opened.machine_id == machine.pk:
        for job in Job.objects.filter(instance=instance, state__in=OPEN_STATES, arguments__reclaim=opened.pk):
            job.arguments["reclaim"] = one.pk  # what is under way is under way for the successor
            job.save(update_fields=["arguments"])
    return one


def _note_evidence(
    opened: Reclaim, instance: Instance, machine: Machine, sign: Sign, *, began_at: datetime, now: datetime
) -> None:
    name = _SIGNS[sign]
    if name in opened.evidence:
        return
    opened.evidence[name] = {
        "read_at": began_at.isoformat(),
        "status": machine.status,
        "spot_status": machine.spot_status,
        "reclaim_at": machine.reclaim_at.isoformat() if machine.reclaim_at else None,
        "wanted": instance.wanted,
    }
    after = {"reclaim_at": opened.reclaim_at.isoformat(), "reclaim": opened.pk, "novita_id": machine.novita_id}
    if sign is Sign.NOTICE:
        opened.notified_at = began_at
        reason = f"Novita announces that it takes this spot instance back at {clock(opened.reclaim_at)}"
        record("instance.reclaim_notified", at=now, actor=OUTSIDE, instance=instance, reason=reason, after=after)
    elif sign is Sign.TAKEN:
        opened.taken_at = began_at
        record("instance.reclaimed", at=now, actor=OUTSIDE, instance=instance, reason=_TAKEN, after=after)
    opened.next_at = now
    opened.save(update_fields=["evidence", "notified_at", "taken_at", "next_at"])
    bring_forward(WORK, to=now)


_TAKEN = "Novita took this spot instance back"
