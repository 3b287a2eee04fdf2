"""The lists of the admin with many rows: their filters, and that no row costs a query."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from autostop.models import Evaluation, PassRun, RecordedDecision
from instances.models import Alarm, Event, Instance, Job, Machine, Reclaim, RunningInterval
from sync.models import SyncRun
from tests.instances.admin_calls import LIST, words_of
from tests.pages import person, running, signed_in

pytestmark = pytest.mark.django_db

LISTS = [
    *["instances/instance", "instances/machine", "instances/job", "instances/event", "instances/alarm"],
    *["instances/runninginterval", "autostop/evaluation", "autostop/recordeddecision", "autostop/passrun", "sync/syncrun"],
    "instances/reclaim",
]
MOST_QUERIES = 16
TRY = {"verb": "start", "job": "", "at": "2026-11-24T12:00:00+00:00", "ended_at": None, "outcome": "", "detail": ""}


@pytest.fixture(name="ann")
def _ann() -> Client:
    return signed_in(person("ann", superuser=True))


def fill(first: int, last: int) -> None:
    """One row of everything per number, each with an instance and a machine of its own."""
    now = timezone.now()
    numbers = range(first, last)
    names = {number: f"trainer-{number}" for number in numbers}
    Instance.objects.bulk_create(
        Instance(name=names[one], wanted="running", wanted_at=now, phase="ready", created_at=now, owner=f"team-{one % 7}")
        for one in numbers
    )
    rows = list(Instance.objects.filter(name__in=names.values()))
    Machine.objects.bulk_create(
        Machine(
            instance=row,
            novita_id=f"id-{row.name}",
            status="running",
            region=f"R-{len(row.name)}",
            price_usd_per_hour=Decimal("0.35"),
            created_at=now,
        )
        for row in rows
    )
    machines = {machine.instance_id: machine for machine in Machine.objects.filter(instance__in=rows)}
    for row in rows:
        row.machine = machines[row.pk]
    Instance.objects.bulk_update(rows, ["machine"])
    RunningInterval.objects.bulk_create(RunningInterval(machine=one, started_at=now) for one in machines.values())
    Job.objects.bulk_create(
        Job(instance=row, verb="stop", created_at=now, next_attempt_at=now, requested_by_kind="user") for row in rows
    )
    Event.objects.bulk_create(Event(type="instance.running", at=now, instance=row, actor_kind="user") for row in rows)
    Alarm.objects.bulk_create(
        Alarm(kind="x", subject=row.name, instance=row, text="t", remedy="r", opened_at=now, last_seen_at=now)
        for row in rows
    )
    Reclaim.objects.bulk_create(
        Reclaim(instance=row, machine=machines[row.pk], reclaim_at=now, seen_at=now, tries=[TRY]) for row in rows
    )
    runs = PassRun.objects.bulk_create(PassRun(started_at=now, trigger="schedule") for _ in rows)
    thought = {"action": "keep", "code": "protected", "reason": "r", "decided_at": now}
    Evaluation.objects.bulk_create(Evaluation(instance=row, same_since=now, **thought) for row in rows)
    RecordedDecision.objects.bulk_create(
        RecordedDecision(instance=row, pass_run=run, **thought) for row, run in zip(rows, runs, strict=True)
    )
    SyncRun.objects.bulk_create(SyncRun(trigger="poll", actor_kind="system", started_at=now) for _ in rows)


@pytest.mark.parametrize("name", LISTS)
def test_two_hundred_rows_cost_no_more_queries_than_two(ann: Client, name: str) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            response = ann.get(f"/admin/{name}/", {"all": ""})
        assert response.status_code == 200
        return len(seen)

    fill(0, 2)
    queries()  # what is remembered per process is read by now
    few = queries()
    fill(2, 220)
    many = queries()
    assert many <= few + 1  # the range of dates may need one look more
    assert many <= MOST_QUERIES


def test_the_page_of_an_instance_costs_the_same_with_a_long_life(ann: Client) -> None:
    fill(0, 1)
    instance = Instance.objects.get()
    now = timezone.now()

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert ann.get(f"{LIST}{instance.pk}/change/").status_code == 200
        return len(seen)

    queries()
    few = queries()
    Event.objects.bulk_create(Event(type="instance.ready", at=now, instance=instance, actor_kind="rule") for _ in range(300))
    Job.objects.bulk_create(
        Job(instance=instance, verb="stop", state="failed", created_at=now, finished_at=now, next_attempt_at=now)
        for _ in range(300)
    )
    assert queries() <= few


@pytest.fixture(name="fleet")
def _fleet() -> None:
    now = timezone.now()
    running("alpha", owner="vision", labels={"team": "a", "note": "x:y"}, phase="ready")
    running("beta", owner="speech", labels={"team": "b"}, phase="pulling", protected=True)
    gamma = running("gamma", owner="", managed=False, wanted="", phase="ready")
    running("omega", owner="vision", phase="deleted", ended_at=now - timedelta(days=3))
    Machine.objects.filter(instance=gamma).update(region="EU-01", billing_mode="on_demand")


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, {"alpha", "beta", "gamma"}),
        ({"life": "ended"}, {"omega"}),
        ({"life": "all"}, {"alpha", "beta", "gamma", "omega"}),
        ({"phase": ["pulling"]}, {"beta"}),
        ({"phase": ["pulling", "ready"]}, {"alpha", "beta", "gamma"}),
        ({"region": "EU-01"}, {"gamma"}),
        ({"billing": "on_demand"}, {"gamma"}),
        ({"billing": "spot"}, {"alpha", "beta"}),
        ({"care": "managed"}, {"alpha", "beta"}),
        ({"care": "unmanaged"}, {"gamma"}),
        ({"care": "protected"}, {"beta"}),
        ({"owner": "vision"}, {"alpha"}),
        ({"owner": "-"}, {"gamma"}),
        ({"label": "team:a"}, {"alpha"}),
        ({"label": "team"}, {"alpha", "beta"}),
        ({"label": "note:x:y"}, {"alpha"}),
        ({"label": "nobody:has it"}, set()),
        ({"q": "id-beta"}, {"beta"}),
        ({"care": "managed", "owner": "speech"}, {"beta"}),
    ],
)
def test_a_filter_shows_what_it_names(ann: Client, query: dict[str, Any], names: set[str]) -> None:
    shown = words_of(ann.get(LIST, query))
    body = shown[shown.index("What and where") :] if "What and where" in shown else ""
    assert {name for name in ("alpha", "beta", "gamma", "omega") if name in body} == names


def test_an_empty_list_says_so_and_how_to_see_all(ann: Client) -> None:
    assert "Nothing here." in words_of(ann.get(LIST))
    assert "No row fits. Show all" in words_of(ann.get(LIST, {"owner": "nobody at all"}))
