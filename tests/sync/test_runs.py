"""Every run leaves a row that says what it found and what of it was stored; a rehearsal leaves nothing at all."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from instances import provider
from instances.models import Alarm, Event, Instance, Machine, PeriodicWork, ProviderAccount
from instances.novita.errors import NovitaError
from instances.operations import request_stop
from sync import watch
from sync.listing import KEPT_CHANGES, run_list
from sync.manual import sync_now
from sync.models import SyncRun
from tests.driving import Drive, driving
from tests.factories import PERSON, client_of, make_key
from tests.sync.fleets import fleet, hide, id_of, listed

# Rows that belong to the way of asking Novita, whoever asks and what for.
_OF_CALLS = {"ProviderPace", "ProviderBreaker"}


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    with driving(settings, speed=5) as one:
        yield one


@pytest.fixture
def crowd(db: None, settings: Any) -> Iterator[Drive]:
    with driving(settings, fleet="250") as one:
        yield one


def everything() -> dict[str, list[dict[str, Any]]]:
    models = [model for model in apps.get_models() if model.__name__ not in _OF_CALLS]
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in models}


def test_a_run_tells_what_it_found_and_stored_and_how_long_it_took(crowd: Drive) -> None:
    run = run_list(provider.novita(), trigger="poll").run

    stored = SyncRun.objects.get()
    assert stored.pk == run.pk
    assert (stored.trigger, stored.actor_kind, stored.complete, stored.seen) == ("poll", "system", True, 250)
    assert stored.counts == stored.applied == {"discover": 250}
    assert len(stored.changes) == KEPT_CHANGES
    assert stored.changes[0]["reason"] == "was not made here"
    assert stored.duration is not None
    assert timedelta(0) < stored.duration < timedelta(minutes=1)


def test_one_that_reached_nobody_says_so(drive: Drive) -> None:
    drive.faults({"call": "list", "kind": "500"})

    with pytest.raises(NovitaError):
        listed(drive)

    run = SyncRun.objects.get()
    assert (run.complete, run.seen, run.finished_at is not None) == (False, 0, True)
    assert run.problem


def test_a_record_that_cannot_be_stored_is_found_and_not_applied(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    good, odd = drive.novita.create(name="good"), drive.novita.create(name="odd")
    listed(drive)
    Machine.objects.filter(novita_id=odd).update(absent_at=drive.now, novita_id="another")
    Machine.objects.filter(novita_id=good).update(product_name="")
    Instance.objects.filter(machine__novita_id="another").update(name="x")
    monkeypatch.setattr("instances.discovery._MOST_GPUS", -1)  # the database refuses such a row

    listed(drive)

    run = SyncRun.objects.first()
    assert run is not None
    assert run.counts == {"discover": 1, "observe": 1}
    assert run.applied == {"observe": 1}
    assert Alarm.objects.filter(kind="record_refused", subject=odd, cleared_at=None).exists()


@pytest.mark.parametrize("odd", ["whole", "suspicious", "under a new key"])
def test_a_rehearsal_finds_the_same_and_touches_nothing(drive: Drive, settings: Any, odd: str) -> None:
    instances = fleet(drive, 4)
    request_stop(instances[0].pk, actor=PERSON, reason="", now=drive.now)
    drive.novita.create(name="somebody-elses")
    if odd != "whole":
        hide(drive, *[id_of(one) for one in instances])
    if odd == "under a new key":
        settings.NOVITA_API_KEY = "sk_another"
    before = everything()

    drive.clock.shift(1)
    rehearsed = sync_now(actor=PERSON, dry_run=True)

    assert everything() == before
    drive.clock.shift(1)
    done = sync_now(actor=PERSON, dry_run=False)
    assert [(one.kind, one.novita_id, one.reason) for one in rehearsed.changes] == [
        (one.kind, one.novita_id, one.reason) for one in done.changes
    ]
    assert rehearsed.doubt == done.doubt
    assert bool(done.doubt) == (odd == "suspicious")
    assert bool(ProviderAccount.objects.get().frozen_since) == (odd == "under a new key")


def test_the_first_poll_after_an_absence_is_a_start_up(drive: Drive) -> None:
    watch.poll_if_due(drive.now)
    drive.clock.shift(60)
    watch.poll_if_due(drive.now)
    drive.clock.shift(timedelta(hours=1))
    watch.poll_if_due(drive.now)

    assert list(SyncRun.objects.order_by("pk").values_list("trigger", flat=True)) == ["start-up", "poll", "start-up"]


def test_the_api_shows_runs_with_what_was_applied(drive: Drive) -> None:
    drive.novita.create(name="somebody-elses")
    _, key = make_key("operate")

    answer = client_of(key).post("/api/v1/sync/runs", {}, content_type="application/json").json()

    assert (answer["believed"], answer["applied"], answer["changes_found"]) == (True, {"discover": 1}, 1)
    [shown] = client_of(key).get("/api/v1/sync/runs").json()["results"]
    assert (shown["id"], shown["applied"], shown["counts"]) == (answer["id"], {"discover": 1}, {"discover": 1})
    assert shown["seconds"] >= 0


def test_the_lease_is_renewed_with_each_page_and_each_batch(crowd: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.listing.BULK_BATCH", 100)
    heard: list[int] = []

    run_list(provider.novita(), trigger="poll", on_page=heard.append)

    pages = SyncRun.objects.get().pages
    assert heard == [*range(1, pages + 1), pages, pages]
    assert Instance.objects.count() == 250


def test_a_first_sync_takes_a_fixed_number_of_statements_a_batch(crowd: Drive) -> None:
    with CaptureQueriesContext(connection) as queries:
        listed(crowd)

    inserts = [one["sql"].split('"')[1] for one in queries.captured_queries if one["sql"].startswith("INSERT")]
    assert Instance.objects.count() == Machine.objects.count() == 250
    assert Event.objects.filter(type="instance.discovered").count() == 250
    # SQLite takes so many parameters a statement; PostgreSQL takes all of them in one.
    most = 4 if connection.vendor == "postgresql" else 40
    assert len([table for table in inserts if table.startswith("instances_") and "provider" not in table]) <= most
    assert not PeriodicWork.objects.filter(lease_until__gt=timezone.now()).exists()


def test_prices_that_change_everywhere_are_stored_together_and_only_where_they_do(crowd: Drive) -> None:
    listed(crowd)
    changed = list(Machine.objects.order_by("pk")[:200].values_list("pk", flat=True))
    Machine.objects.filter(pk__in=changed).update(price_usd_per_hour="0.00001")
    kept = dict(Machine.objects.exclude(pk__in=changed).values_list("pk", "observed_at"))

    with CaptureQueriesContext(connection) as queries:
        done = listed(crowd)

    assert done.run.applied == {"observe": 200}
    assert not Machine.objects.filter(price_usd_per_hour="0.00001").exists()
    assert dict(Machine.objects.exclude(pk__in=changed).values_list("pk", "observed_at")) == kept
    assert sum(one["sql"].startswith('UPDATE "instances_machine"') for one in queries.captured_queries) <= 10
