"""Thirty boxes of somebody's own, adopted in bulk: over hours nothing is stopped, started, renamed or deleted."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from autostop import passes
from instances import provider
from instances.events import SYSTEM
from instances.models import Instance
from sync import money, reclaims
from sync.listing import run_list
from tests.driving import Drive, driving
from tests.instances.api.calls import Caller
from tests.instances.novita.factory import make_client

BOXES = 30
HOURS = 3


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    with driving(settings, fleet=str(BOXES)) as one:
        yield one


def seen_at_novita(drive: Drive) -> dict[str, tuple[str, str]]:
    return {one["id"]: (one["name"], one["status"]) for one in drive.machines()}


@pytest.mark.long
def test_adopting_thirty_touches_none_of_them(drive: Drive) -> None:
    before = seen_at_novita(drive)
    run_list(provider.novita(), trigger="person")
    assert Instance.objects.filter(managed=False).count() == BOXES
    body = {"action": "adopt", "filter": {}, "take_proposed_names": True, "settings": {"owner": "company"}}

    rehearsed = Caller().post("/instances/bulk", {**body, "dry_run": True}).json()["results"]
    assert [one["ok"] for one in rehearsed] == [True] * BOXES
    assert Instance.objects.filter(managed=False).count() == BOXES
    adopted = Caller(name="owner").post("/instances/bulk", body).json()["results"]
    assert [one["name"] for one in adopted] == [one["name"] for one in rehearsed]

    metrics = make_client(base_url=drive.novita.url)  # whose pace is its own: threads share no database with a test
    ends_at = drive.now + timedelta(hours=HOURS)
    while drive.now < ends_at:
        drive.step(600)
        passes.run_pass(now=drive.now, dry_run=False, actor=SYSTEM, trigger="schedule", source=metrics)
        reclaims.act_if_due(drive.now)
        money.watch_if_due(drive.now)

    assert seen_at_novita(drive) == before
    asked = set(drive.novita.look("calls")["counts"])
    assert asked <= {"list", "get", "products", "clusters", "metrics", "templates", "storages"}, asked
    assert Instance.objects.filter(managed=True, phase="ready", wanted="running", owner="company").count() == BOXES
    # Auto-stop had looked at each of them, again and again.
    assert Instance.objects.filter(auto_stop_evaluation__isnull=False).count() == BOXES
