"""What must hold after every step, and once all is quiet."""

from typing import Any

from django.db import connection
from django.db.models import Q

from instances.lifecycle import Observed
from instances.models import Event, Instance, Job, Machine
from tests.chaos.judge import AWAKE, BILLED, REQUESTS, SHOWS, base_name, broken_at_novita
from tests.chaos.record import Record
from tests.machine.account import PLENTY, Account

CALLS = ("create", "start", "stop", "restart", "delete", "migrate", "edit")
QUIET_WITHIN = 3600  # seconds of the moved clock
LONGEST_WAIT = 60


def broken(account: Account) -> list[str]:
    """Broken promises that no delay of a list or a worker excuses."""
    state = account.drive.novita.look("state")
    truth = {row["id"]: row for row in state["instances"]}
    return [
        *broken_at_novita(state, account.record),
        *(problem for row in state["instances"] for problem in _woken_from_rest(row, account.record)),
        *_ends_without_evidence(truth),
        *_jobs_without_their_request(),
        *account.stopped_busy,
    ]


def _woken_from_rest(row: dict[str, Any], record: Record) -> list[str]:
    """One that was at rest when a person's stop was accepted, and woke before anybody asked for more."""
    wishes = record.wishes.get(base_name(row["name"]), [])
    found = []
    for number, wish in enumerate(wishes):
        before = [moment["status"] for moment in row["timeline"] if moment["at"] <= wish.at]
        if wish.verb != "stop" or before[-1:] != ["exited"]:
            continue
        until = wishes[number + 1].asked_at if number + 1 < len(wishes) else float("inf")
        woke = [one for one in row["timeline"] if wish.at < one["at"] < until and one["status"] in AWAKE]
        found += [f"{row['name']} was at rest and told to stop, and woke" for _ in woke[:1]]
    return found


def _ends_without_evidence(truth: dict[str, dict[str, Any]]) -> list[str]:
    found = []
    for instance in Instance.objects.filter(phase__in=("deleted", "gone", "stopped")).select_related("machine"):
        machine = instance.machine
        row = truth.get(machine.novita_id or "") if machine else None
        if instance.phase == "stopped":
            seen_at = machine.observed_at.timestamp() if machine and machine.observed_at else 0.0
            if row is None or not any(one["status"] == "exited" and one["at"] <= seen_at for one in row["timeline"]):
                found.append(f"{instance} is called stopped and never was")
        elif row is not None and not row["is_gone"]:
            found.append(f"{instance} is called {instance.phase} and lives")
        elif machine is not None and machine.observed is not Observed.ABSENT and machine.novita_id:
            found.append(f"{instance} is called {instance.phase} without evidence")
    return found


def _jobs_without_their_request() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(REQUESTS)
        return [f"{verb} job has {count} requests" for _, verb, count in cursor.fetchall() if count != 1]


def settle(account: Account) -> None:
    """End all faults, let time pass until nothing is under way, and see that all is as wanted."""
    account.drive.faults()
    account.armed = None
    account.stock(PLENTY)
    began, wait = account.drive.now, 5.0
    while problems := unsettled(account):
        waited = (account.drive.now - began).total_seconds()
        assert waited < QUIET_WITHIN, f"not settled after {waited:.0f} s: {problems[:5]}; {account.drive.story()}"
        account.work(wait)
        wait = min(wait * 1.2, LONGEST_WAIT)
    problems = broken(account) + _unlike(account) + _calls_without_intent(account)
    assert not problems, f"{problems[:5]}; {account.drive.story()}"
    account.did["settled"] += 1
    by_rules = Job.objects.filter(requested_by_kind="rule").values_list("verb", "requested_by_name")
    account.did.update(f"{verb} by {name}" for verb, name in by_rules)


def unsettled(account: Account) -> list[str]:
    """Where what is wanted, what is observed and what is so at Novita still differ."""
    truth = {row["id"]: row for row in account.drive.machines()}
    found = []
    for instance in Instance.objects.managed().not_ended().select_related("machine"):
        row = truth.get((instance.machine.novita_id or "") if instance.machine else "")
        status = "nothing" if row is None or row["is_gone"] else row["status"]
        job = instance.open_job
        fits = {"running": "running", "stopped": "exited", "": "nothing"}.get(instance.wanted)
        seen = instance.machine.status if instance.machine else ""
        if job is not None or status != fits or (row is not None and seen != status):
            doing = f"{job.verb} {job.state}" if job else "no job"
            found.append(f"{instance}: wanted {instance.wanted!r}, Novita has it {status}, seen {seen!r}, {doing}")
    known = dict(Machine.objects.filter(absent_at=None).values_list("novita_id", "status"))
    found += [
        f"{row['name']} is {row['status']} and is on record as {known.get(key, 'nothing')}"
        for key, row in truth.items()
        if not row["is_gone"] and known.get(key) != row["status"]
    ]
    return found


def _unlike(account: Account) -> list[str]:
    """What is quiet and is not what people asked for, with nothing that tells why; and bills that nobody follows."""
    found = []
    living = account.drive.living()
    for name, wishes in account.record.wishes.items():
        last = next(one for one in reversed(wishes) if one.verb not in ("restart", "migrate"))
        mine = [row for row in living if row["name"].startswith(f"{name}--") or row["name"] == name]
        if last.verb == "delete" and mine:
            found.append(f"{name} was deleted and is {mine[0]['status']}")
        elif last.verb == "stop" and any(row["status"] in AWAKE for row in mine):
            found.append(f"{name} was stopped and is {mine[0]['status']}")
        elif last.verb in ("create", "start") and not any(row["status"] in SHOWS["start"] for row in mine):
            found += [] if _is_explained(name, last.at) else [f"{name}: {last.verb} was asked for and it does not run"]
    for row in living:
        record = Machine.objects.select_related("instance").filter(novita_id=row["id"]).first()
        if record is None:
            found.append(f"{row['name']} lives at Novita and no row knows it")
        elif record.instance.managed and (row["status"] in BILLED) != (record.billed_since is not None):
            found.append(f"{row['name']} is {row['status']} and its meter says otherwise")
    return found


def _is_explained(name: str, since: float) -> bool:
    told = ("instance.wish_ended", "instance.changed_outside", "instance.absence_proven", "instance.stopped_wanted")
    by_rule = Q(type="job.stop_requested", actor_kind="rule")
    events = Event.objects.filter(Q(type__in=told) | by_rule, instance__name=name)
    return any(event.at.timestamp() >= since for event in events)


def _calls_without_intent(account: Account) -> list[str]:
    """Every call that changes something was written down before it was made."""
    counts = account.drive.novita.look("calls")["counts"]
    found = []
    for call in CALLS:
        made = counts.get(call, 0) - account.console_calls[call]
        written = Event.objects.filter(type=f"job.{call}_sent").count()
        if made > written:
            found.append(f"{made} calls to {call} and {written} written down before")
    return found
