from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from autostop.models import Heartbeat
from autostop.passes import run_now
from instances.events import SYSTEM
from instances.models import Event, Instance
from tests.autostop.metrics_server import MetricsServer
from tests.autostop.rows import running_instance
from tests.factories import client_of, make_key

pytestmark = pytest.mark.django_db


@pytest.fixture
def instance(provider: MetricsServer) -> Instance:
    provider.now = timezone.now()
    return running_instance("box", at=provider.now)


@pytest.fixture
def api() -> Client:
    return client_of(make_key("operate")[1])


def issue(api: Client, instance: Instance) -> Any:
    answer = api.post(f"/api/v1/instances/{instance.pk}/heartbeat")
    assert answer.status_code == 201
    return answer.json()


def beat(issued: Any, body: object = None, **options: Any) -> int:
    path = urlsplit(issued["url"]).path
    if body is None:
        return Client().post(path).status_code
    return Client().post(path, body, **options).status_code


def decision_of(instance: Instance) -> Any:
    result = run_now(now=timezone.now(), dry_run=True, actor=SYSTEM, trigger="api")
    return next(item for item in result.items if item.instance_id == instance.pk).decision


def test_a_heartbeat_holds_its_instance_and_its_address_is_shown_once(api: Client, instance: Instance) -> None:
    assert decision_of(instance).action == "stop"
    issued = issue(api, instance)

    assert beat(issued) == 204

    assert decision_of(instance).code == "heartbeat_active"
    token = urlsplit(issued["url"]).path.rsplit("/", 1)[1]
    assert issued["snippet"] == f"while sleep 60; do curl -fsS -m 10 -X POST {issued['url']}; done &"
    assert token not in str(list(Heartbeat.objects.values()))
    assert token not in str(list(Event.objects.values()))
    shown = api.get(f"/api/v1/instances/{instance.pk}/heartbeat").json()
    assert shown["issued"]
    assert "url" not in shown


def test_it_needs_no_key_and_no_csrf_token(api: Client, instance: Instance) -> None:
    path = urlsplit(issue(api, instance)["url"]).path
    assert Client(enforce_csrf_checks=True).post(path).status_code == 204


@pytest.mark.parametrize("method", ["get", "head", "put", "delete"])
def test_only_a_post_is_a_beat(api: Client, instance: Instance, method: str) -> None:
    path = urlsplit(issue(api, instance)["url"]).path

    answer = getattr(Client(), method)(path)

    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert Heartbeat.objects.get().beaten_at is None


def test_a_new_address_ends_the_old_one_and_a_revoked_one_tells_nothing(api: Client, instance: Instance) -> None:
    first = issue(api, instance)
    second = issue(api, instance)
    assert (beat(first), beat(second)) == (404, 204)

    assert api.delete(f"/api/v1/instances/{instance.pk}/heartbeat").status_code == 204

    assert beat(second) == 404
    types = list(Event.objects.filter(type__startswith="instance.heartbeat").values_list("type", flat=True))
    assert sorted(types) == ["instance.heartbeat_issued"] * 2 + ["instance.heartbeat_revoked"]


@pytest.mark.parametrize(
    ("load", "active"),
    [
        ({"gpu_percent": "3"}, False),
        ({"gpu_percent": "5"}, True),
        ({"cpu_cores": "0.2"}, False),
        ({"cpu_cores": "0.5", "gpu_percent": "0"}, True),
        ({}, True),
    ],
)
def test_a_load_below_the_limits_is_a_sign_of_life_and_not_of_work(
    api: Client, instance: Instance, load: dict[str, str], active: bool
) -> None:
    issued = issue(api, instance)

    assert beat(issued, load) == 204

    row = Heartbeat.objects.get()
    assert row.beaten_at is not None
    assert (row.active_at is not None) == active
    assert (decision_of(instance).action == "stop") == (not active)


def test_a_load_may_come_as_json(api: Client, instance: Instance) -> None:
    assert beat(issue(api, instance), {"gpu_percent": 71.5}, content_type="application/json") == 204
    assert Heartbeat.objects.get().gpu_percent == 71.5


NO_LOADS = (
    '{"gpu_percent": 101}',
    '{"gpu_percent": -1}',
    '{"cpu_cores": "many"}',
    '{"cpu_cores": true}',
    '{"gpu_percent": NaN}',
    '{"cpu_cores": 1e999}',
    '{"x": 1}',
    "[]",
    "{",
    "[" * 3000,
)


@pytest.mark.parametrize("body", NO_LOADS)
def test_what_is_no_load_is_refused(api: Client, instance: Instance, body: str) -> None:
    assert beat(issue(api, instance), body, content_type="application/json") == 400
    assert Heartbeat.objects.get().beaten_at is None


def test_an_address_called_in_a_loop_is_slowed_down(api: Client, instance: Instance) -> None:
    issued = issue(api, instance)
    statuses = [beat(issued) for _ in range(32)]
    assert (statuses[:30], statuses[-1]) == ([204] * 30, 429)


def test_a_late_beat_does_not_move_the_time_back(api: Client, instance: Instance) -> None:
    issued = issue(api, instance)
    ahead = timezone.now() + timedelta(seconds=30)
    Heartbeat.objects.update(beaten_at=ahead)

    beat(issued)

    assert Heartbeat.objects.get().beaten_at == ahead


def test_what_is_not_ours_gets_no_heartbeat(api: Client) -> None:
    Instance.objects.create(name="found", managed=False, created_at=timezone.now(), phase="ready")
    answer = api.post("/api/v1/instances/found/heartbeat")
    assert answer.status_code in (404, 409)
