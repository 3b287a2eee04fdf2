"""The meter beside Novita's own bill: every true interval within our bounds, and the sum within half a percent of it."""

import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests

from instances.costs import costs_between
from instances.models import Instance, Machine, RunningInterval
from instances.operations import OperationRefused, adopt, request_delete, request_start, request_stop
from sync import watch
from tests.driving import Drive, driving
from tests.factories import PERSON

MACHINES = 60
STEP = 5.0  # a watch apart
# A second for the provider's whole seconds; the times of the bill are floats.
TICK = timedelta(milliseconds=1)


@pytest.fixture
def crowd(db: None, settings: Any) -> Iterator[Drive]:
    with driving(settings, fleet=str(MACHINES)) as one:
        yield one


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def bill(drive: Drive) -> dict[str, Any]:
    found: dict[str, Any] = drive.novita.look("bill")
    return {row["id"]: row for row in found["instances"]}


def live_a_while(drive: Drive, chance: random.Random, *, steps: int) -> None:
    """People stop, start and delete, here and in Novita's console, while Novita stumbles."""
    instances = list(Instance.objects.order_by("pk"))
    for _ in range(steps):
        for instance in chance.sample(instances, 3):
            act = chance.choice([request_stop, request_start, request_delete if chance.random() < 0.2 else request_stop])
            try:
                act(instance.pk, actor=PERSON, reason="a test", now=drive.now)
            except OperationRefused:
                continue
        elsewhere = chance.choice(instances)
        if elsewhere.machine is not None:
            with suppress(requests.ConnectionError):  # Novita stumbles for them too
                drive.novita.command(chance.choice(["start", "stop"]), elsewhere.machine.novita_id or "")
        drive.step(STEP)


@pytest.mark.long
def test_every_true_interval_lies_within_its_bounds_and_the_sum_within_half_a_percent(crowd: Drive) -> None:
    started = crowd.now
    watch.poll_if_due(crowd.now)
    for number, instance in enumerate(Instance.objects.order_by("pk")):
        adopt(instance.pk, name=f"w-{number}", settings={"health_check": None}, actor=PERSON, reason="", now=crowd.now)
    crowd.faults(
        {"call": "list", "kind": "500", "rate": 0.1},
        {"call": "list", "kind": "page_gap", "rate": 0.05},
        {"call": "get", "kind": "500", "rate": 0.1},
        {"call": "stop", "kind": "reset", "when": "after", "rate": 0.1},
        {"call": "start", "kind": "502", "when": "after", "rate": 0.1},
    )
    live_a_while(crowd, random.Random(4), steps=60)
    crowd.faults()
    crowd.let_pass(900, step=30)

    watch.poll_if_due(crowd.now + timedelta(minutes=5))
    judge_edges(bill(crowd))
    judge_sum(crowd, started)


def judge_edges(rows: dict[str, Any]) -> None:
    edges = 0
    for machine in Machine.objects.exclude(novita_id=None):
        true = [one for one in rows[machine.novita_id or ""]["intervals"] if one["kind"] == "compute"]
        ours = list(RunningInterval.objects.filter(machine=machine).order_by("started_at"))
        assert len(ours) == len(true), (machine, true, ours)
        for mine, theirs in zip(ours, true, strict=True):
            assert float(mine.price_usd_per_hour or 0) == pytest.approx(theirs["usd_per_hour"])
            judge_edge(moment(theirs["start"]), mine.started_not_before, mine.started_not_after)
            assert (mine.ended_at is None) == (theirs["end"] is None), (machine, mine, theirs)
            if theirs["end"] is not None:
                judge_edge(moment(theirs["end"]), mine.ended_not_before, mine.ended_not_after)
                if machine.stopped_at is not None and mine.ended_at == machine.stopped_at:
                    assert abs(moment(theirs["end"]) - machine.stopped_at) <= timedelta(seconds=1)
                edges += 1
    assert edges > MACHINES / 4


def judge_edge(true: datetime, earliest: datetime | None, latest: datetime | None) -> None:
    assert earliest is not None
    assert latest is not None
    assert earliest - TICK <= true <= latest + TICK


def judge_sum(drive: Drive, since: datetime) -> None:
    found = costs_between(since - timedelta(days=90), drive.now, by="product", now=drive.now)
    true = Decimal(str(sum(row["compute_usd"] for row in bill(drive).values())))
    assert true > 5 * MACHINES
    assert abs(found.total.compute_usd - true) <= true * Decimal("0.005") + found.total.uncertain_usd
    assert found.total.uncertain_usd < true * Decimal("0.01")
