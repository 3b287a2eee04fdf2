"""/health, /health/live and /health/ready."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from instances.alarms import raise_alarm
from instances.models import Alarm, PeriodicWork, ProviderAccount, ProviderBreaker
from novita_manager import health, redis_state
from novita_manager.models import HealthState
from tests.factories import client_of, make_account, make_instance, make_job, make_key
from tests.processes.valkey import Valkey

pytestmark = pytest.mark.django_db
NOBODY = "unix:///nowhere/valkey.sock"


@pytest.fixture(autouse=True)
def nothing_is_remembered(settings: Any) -> Iterator[None]:
    settings.REDIS_URL = ""
    health.memory.forget()
    yield
    health.memory.forget()


def beats(**ages: int) -> None:
    """Reports of worker and beat, so many seconds old."""
    for name, seconds in ages.items():
        at = datetime.now(UTC) - timedelta(seconds=seconds)
        PeriodicWork.objects.update_or_create(name=name, defaults={"next_due_at": at, "finished_at": at})


def checks() -> dict[str, str]:
    health.memory.forget()
    return {name: check["status"] for name, check in Client().get("/health").json()["checks"].items()}


def test_live_and_ready_are_open_to_everybody() -> None:
    stranger = Client(REMOTE_ADDR="203.0.113.9")

    assert stranger.get("/health/live").status_code == 200
    assert stranger.get("/health/ready").status_code == 200
    assert stranger.get("/health/ready/").status_code == 200


def test_a_stranger_needs_a_key_for_the_deep_look() -> None:
    stranger = Client(REMOTE_ADDR="203.0.113.9")

    refused = stranger.get("/health")

    assert refused.status_code == 401
    assert refused["WWW-Authenticate"].startswith("Bearer")
    assert client_of(make_key("read")[1]).get("/health", REMOTE_ADDR="203.0.113.9").status_code == 200
    assert client_of(make_key("secrets")[1]).get("/health", REMOTE_ADDR="203.0.113.9").status_code == 403
    # A proxy nobody named forwards it: that it comes from loopback says nothing.
    assert Client(HTTP_X_FORWARDED_FOR="203.0.113.9").get("/health").status_code == 401


def test_all_well_is_ok(settings: Any, valkey: Valkey) -> None:
    settings.REDIS_URL = valkey.url
    beats(worker=2, beat=2)
    make_account(complete_list_at=datetime.now(UTC))

    answer = Client().get("/health")

    assert answer.status_code == 200
    report = answer.json()
    assert (report["status"], report["version"]) == ("ok", settings.VERSION)
    assert set(report["checks"]) == {"database", "broker", "worker", "beat", "provider"}
    assert all(set(check) == {"status", "since", "detail"} for check in report["checks"].values())
    assert {check["status"] for check in report["checks"].values()} == {"ok"}


def test_the_look_is_remembered_for_a_moment() -> None:
    first = Client().get("/health").json()
    beats(worker=1)

    assert Client().get("/health").json() == first


@pytest.mark.parametrize(
    ("age", "worker", "beat"), [(5, "ok", "ok"), (60, "degraded", "degraded"), (600, "down", "degraded")]
)
def test_a_silent_process_is_named(age: int, worker: str, beat: str) -> None:
    beats(worker=age, beat=age)

    found = checks()

    assert (found["worker"], found["beat"]) == (worker, beat)


def test_a_dead_worker_is_down_since_its_last_report() -> None:
    beats(worker=600, beat=1)

    answer = Client().get("/health")

    assert (answer.status_code, answer.json()["status"]) == (503, "down")
    row = PeriodicWork.objects.get(name="worker")
    assert row.finished_at is not None
    assert answer.json()["checks"]["worker"]["since"].startswith(row.finished_at.strftime("%Y-%m-%dT%H:%M:%S"))


def test_since_is_what_the_processes_noted_together() -> None:
    began = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
    HealthState.objects.create(name="broker", status="degraded", since=began)
    HealthState.objects.create(name="database", status="down", since=began)

    first = Client().get("/health").json()["checks"]
    health.memory.forget()  # as another process, or the same one started again
    second = Client().get("/health").json()["checks"]

    assert first["broker"]["since"] == second["broker"]["since"] == "2026-11-01T12:00:00Z"
    assert first["database"]["since"] == second["database"]["since"] > "2026-11-01T12:00:00Z"
    assert {row.name: row.status for row in HealthState.objects.all()} == {
        name: check["status"] for name, check in second.items()
    }


def test_changes_are_noted_while_nobody_asks() -> None:
    now = datetime.now(UTC)

    assert health.note_states_if_due(now)
    assert not health.note_states_if_due(now + timedelta(seconds=1))

    assert HealthState.objects.get(name="provider").since == now


def alarms() -> list[str]:
    return list(Alarm.objects.filter(cleared_at=None).values_list("kind", flat=True))


def note_states(settings: Any, valkey: Valkey, *, lived: int) -> None:
    settings.REDIS_URL = valkey.url
    health.memory.began_at = datetime.now(UTC) - timedelta(seconds=lived)
    PeriodicWork.objects.filter(name="health_states").delete()
    assert health.note_states_if_due(datetime.now(UTC))


@pytest.mark.parametrize(
    ("age", "lived", "alarmed"), [(5, 600, []), (100, 600, []), (130, 600, ["beat_dead"]), (9000, 60, [])]
)
def test_a_dead_beat_is_alarmed_by_who_had_time_to_hear_it(
    age: int, lived: int, alarmed: list[str], settings: Any, valkey: Valkey
) -> None:
    beats(worker=1, beat=age)

    note_states(settings, valkey, lived=lived)

    assert alarms() == alarmed


def test_the_alarm_of_a_dead_beat_ends_with_its_next_report(settings: Any, valkey: Valkey) -> None:
    beats(beat=200)
    note_states(settings, valkey, lived=600)

    beats(beat=1)
    note_states(settings, valkey, lived=600)

    assert alarms() == []


def test_a_beat_that_cannot_be_heard_is_not_called_dead(settings: Any) -> None:
    settings.REDIS_URL = NOBODY
    health.memory.began_at = datetime.now(UTC) - timedelta(hours=1)
    beats(beat=600)

    assert health.note_states_if_due(datetime.now(UTC))

    assert alarms() == []


def test_a_worker_that_reports_and_takes_nothing_up_is_degraded() -> None:
    beats(worker=2, beat=2)
    make_job(make_instance(), now=datetime.now(UTC) - timedelta(minutes=5))

    worker = Client().get("/health").json()["checks"]["worker"]

    assert worker["status"] == "degraded"
    assert "the oldest due job waits since" in worker["detail"]


def test_an_open_breaker_is_so_since_it_opened() -> None:
    make_account(complete_list_at=datetime.now(UTC))
    ProviderBreaker.objects.create(kind="metrics", state={"opened_at": 1_760_000_000.0, "failures": 5})

    assert Client().get("/health").json()["checks"]["provider"]["since"] == "2025-10-09T08:53:20Z"


def test_redis_away_is_degraded_or_down_as_the_operator_chose(settings: Any) -> None:
    settings.REDIS_URL = NOBODY
    beats(worker=1, beat=1)

    assert checks()["broker"] == "degraded"
    assert Client().get("/health/ready").status_code == 200
    settings.REDIS_ENABLE_FALLBACK = False
    assert checks()["broker"] == "down"
    assert Client().get("/health").status_code == 503
    ready = Client().get("/health/ready")
    assert (ready.status_code, ready.json()["checks"]["broker"]) == (503, "down")


def test_redis_that_comes_back_is_ok_again(settings: Any, valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_state, "_REMEMBERED_SECONDS", 0.0)
    settings.REDIS_URL = valkey.url
    valkey.kill()

    away = checks()["broker"]
    valkey.start_again()

    assert (away, checks()["broker"]) == ("degraded", "ok")


def test_writes_are_refused_while_a_needed_redis_is_away(settings: Any) -> None:
    settings.REDIS_URL, settings.REDIS_ENABLE_FALLBACK = NOBODY, False
    client = client_of(make_key()[1])

    refused = client.delete("/api/v1/automation")

    assert (refused.status_code, refused.json()["code"]) == (503, "redis_away")
    assert refused["Retry-After"] == "5"
    assert client.get("/api/v1/automation").status_code == 200
    settings.REDIS_ENABLE_FALLBACK = True
    assert client.delete("/api/v1/automation").status_code == 200


def test_the_provider_is_judged_by_its_lists_and_breakers() -> None:
    assert checks()["provider"] == "degraded"
    make_account(complete_list_at=datetime.now(UTC))
    assert checks()["provider"] == "ok"
    ProviderBreaker.objects.create(kind="metrics", state={"opened_at": 1.0, "failures": 5})
    assert checks()["provider"] == "degraded"
    ProviderBreaker.objects.create(kind="list", state={"opened_at": 1.0, "failures": 5})
    ProviderAccount.objects.update(complete_list_at=datetime.now(UTC) - timedelta(hours=1))
    assert checks()["provider"] == "down"
    # What is here can still be read: the product serves.
    assert Client().get("/health").json()["status"] == "degraded"
    ProviderBreaker.objects.all().delete()
    ProviderAccount.objects.update(complete_list_at=datetime.now(UTC), frozen_since=datetime.now(UTC))
    assert checks()["provider"] == "degraded"


def test_a_database_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("could not connect to server")

    key = make_key("read")[1]
    monkeypatch.setattr(connection, "cursor", away)

    deep, ready, api = Client().get("/health"), Client().get("/health/ready"), client_of(key).get("/api/v1/instances")

    assert (deep.status_code, deep.json()["checks"]["database"]["status"]) == (503, "down")
    assert ready.status_code == 503
    assert (api.status_code, api.json()["code"]) == (503, "database_away")
    assert api["Retry-After"] == "5"
    assert Client().get("/health/live").status_code == 200


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health/live/", "/health"])
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options", "trace"])
def test_health_is_only_read(path: str, method: str) -> None:
    browser = Client(enforce_csrf_checks=True)

    answer = getattr(browser, method)(path)

    assert (answer.status_code, answer["Content-Type"]) == (405, "application/problem+json")
    assert answer.json()["code"] == "method_not_allowed"
    assert "GET" in answer["Allow"]
    assert browser.head(path).status_code == 200


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"doubt_reason": "3 of 6 machines are missing"}, "3 of 6 machines are missing"),
        ({"key_refused_since": datetime(2026, 11, 24, tzinfo=UTC)}, "Novita refuses the API key: nothing is sent"),
    ],
)
def test_a_doubt_and_a_refused_key_degrade_the_provider(columns: dict[str, Any], says: str) -> None:
    now = datetime.now(UTC)
    doubted = {"doubted_since": now} if "doubt_reason" in columns else {}
    make_account(now=now, **columns, **doubted)

    provider = Client().get("/health").json()["checks"]["provider"]

    assert provider["status"] == "degraded"
    assert says in provider["detail"]


def test_a_stop_that_is_not_confirmed_degrades_the_provider_and_says_what_it_costs() -> None:
    now = datetime.now(UTC)
    make_account(now=now)
    raise_alarm("unconfirmed", "x", text="w: still billing: $3.10 since noon", remedy="look", now=now)

    provider = Client().get("/health").json()["checks"]["provider"]

    assert (provider["status"], provider["detail"]) == ("degraded", "w: still billing: $3.10 since noon")
