from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from instances.models import Job
from instances.periodic import claim
from novita_manager.models import ApiKey
from tests.autostop.metrics_server import Load, MetricsServer
from tests.autostop.rows import running_instance

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def live(provider: MetricsServer) -> MetricsServer:
    """The provider at the present time, which is the one views use."""
    provider.now = timezone.now()
    return provider


def key_with(scope: str) -> dict[str, str]:
    _, plain = ApiKey.objects.issue(name=f"robot-{scope}", scopes=[scope])
    return {"Authorization": f"Bearer {plain}"}


def post_check(client: Client, body: object, scope: str = "operate") -> Any:
    return client.post("/api/v1/auto-stop/check", body, content_type="application/json", headers=key_with(scope))


def test_a_check_rehearses_by_default_and_answers_each_instance(client: Client, live: MetricsServer) -> None:
    idle = running_instance("idle")
    running_instance("busy")
    live.loads["novita-busy"] = Load(gpus=(70.0,))

    answer = post_check(client, {})

    assert answer.status_code == 200
    body = answer.json()
    assert (body["dry_run"], body["run_id"], body["would_stop"]) == (True, None, 1)
    results = {one["name"]: one for one in body["results"]}
    assert results["idle"]["instance_id"] == str(idle.pk)
    assert (results["idle"]["action"], results["idle"]["outcome"]) == ("stop", "would_stop")
    assert results["busy"]["evidence"]["gpu_percent"] == 70
    assert not Job.objects.exists()


def test_a_check_that_is_no_rehearsal_stops_and_names_the_jobs(client: Client, live: MetricsServer) -> None:
    running_instance("idle")

    body = post_check(client, {"dry_run": False}).json()

    assert body["stopped"] == 1
    assert body["results"][0]["job_id"] == str(Job.objects.get().pk)


@pytest.mark.parametrize("body", [{"dryrun": False}, {"dry_run": "no"}, {"dry_run": 0}, {"dry_run": None}], ids=str)
def test_a_mistyped_check_is_refused_and_stops_nothing(client: Client, live: MetricsServer, body: object) -> None:
    running_instance("idle")

    answer = post_check(client, body)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] in ("dryrun", "dry_run")
    assert not Job.objects.exists()


def test_a_check_needs_operate(client: Client, live: MetricsServer) -> None:
    assert post_check(client, {}, scope="read").status_code == 403
    assert client.post("/api/v1/auto-stop/check", {}, content_type="application/json").status_code == 401


def test_a_real_check_beside_a_pass_is_a_conflict(client: Client, live: MetricsServer) -> None:
    claim("auto_stop", every=HOUR, lease=HOUR, now=timezone.now())

    answer = post_check(client, {"dry_run": False})

    assert (answer.status_code, answer.json()["code"]) == (409, "pass_running")


def test_stats_policies_and_decisions_tell_what_a_pass_did(client: Client, live: MetricsServer) -> None:
    idle = running_instance("idle")
    running_instance("off", auto_stop_mode="off")
    post_check(client, {"dry_run": False})
    reader = key_with("read")

    stats = client.get("/api/v1/auto-stop/stats", headers=reader).json()
    policies = client.get("/api/v1/auto-stop/policies", headers=reader).json()
    decisions = client.get("/api/v1/auto-stop/decisions", {"acted": "true"}, headers=reader).json()

    assert stats["instances_by_mode"] == {"off": 1, "observe": 0, "enforce": 1}
    assert stats["decisions_by_code"] == {"idle": 1, "off": 1}
    assert stats["stops"] == {"total": 1, "last_24h": 1}
    assert stats["last_pass"]["trigger"] == "api"
    assert policies["results"][0]["threshold"] == "20m"
    assert policies["results"][0]["gpu_percent"] == 5
    assert [(one["instance_id"], one["code"]) for one in decisions["results"]] == [(str(idle.pk), "idle")]


def test_stats_before_the_first_pass_are_empty_and_not_an_error(client: Client) -> None:
    stats = client.get("/api/v1/auto-stop/stats", headers=key_with("read")).json()

    assert (stats["last_pass"], stats["next_pass_at"], stats["stops"]["total"]) == (None, None, 0)
