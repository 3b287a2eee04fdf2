"""The verbs, PATCH, DELETE and last-used of an instance."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances.models import Event, Instance, Job
from tests.factories import NOW, make_instance, make_job
from tests.instances.api.calls import Caller, fields

pytestmark = pytest.mark.django_db


def test_stop_twice_asks_once() -> None:
    caller = Caller()
    instance = make_instance(name="busy")

    first = caller.post("/instances/busy/stop", {"reason": "lunch"})
    second = caller.post("/instances/busy/stop")

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["open_job"]["id"] == second.json()["open_job"]["id"]
    assert first.json()["open_job"]["reason"] == "lunch"
    assert Job.objects.filter(instance=instance).count() == 1
    assert caller.get(f"/jobs/{first.json()['open_job']['id']}").json()["verb"] == "stop"


@pytest.mark.parametrize(("status", "verb"), [("running", "start"), ("exited", "stop")])
def test_asking_for_what_is_opens_no_job(status: str, verb: str) -> None:
    make_instance(name="there", status=status)

    answer = Caller().post(f"/instances/there/{verb}")

    assert (answer.status_code, answer.json()["open_job"]) == (202, None)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("status", "path", "body", "verb"),
    [
        ("exited", "start", None, "start"),
        ("running", "restart", {}, "restart"),
        ("running", "migrate", None, "migrate"),
        ("running", "save-image", {"image": "registry.example/team/image:1"}, "save_image"),
    ],
)
def test_each_verb_opens_its_job(status: str, path: str, body: Any, verb: str) -> None:
    make_instance(name="one", status=status)

    answer = Caller().post(f"/instances/one/{path}", body)

    assert answer.status_code == 202, answer.content
    assert answer.json()["open_job"]["verb"] == verb


def test_delete_opens_its_job_and_is_accepted_again_once_deleted() -> None:
    caller = Caller()
    make_instance(name="old")
    deleted = make_instance(name="older", wanted="deleted", machine={"absent_at": NOW})

    assert caller.delete("/instances/old").json()["open_job"]["verb"] == "delete"
    assert caller.delete(f"/instances/{deleted.pk}").status_code == 202


def test_a_protected_one_is_not_deleted_but_stopped_by_a_person() -> None:
    caller = Caller()
    make_instance(name="safe", protected=True)

    refused = caller.delete("/instances/safe")

    assert (refused.status_code, refused.json()["code"]) == (409, "protected")
    assert caller.post("/instances/safe/stop").status_code == 202


def test_an_errand_waits_for_no_other_job() -> None:
    make_job(make_instance(name="busy"), verb="save_image")

    answer = Caller().post("/instances/busy/restart")

    assert (answer.status_code, answer.json()["code"]) == (409, "job_open")


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "migrate", "release", "adopt"])
def test_what_has_ended_is_asked_nothing(verb: str) -> None:
    make_instance(name="gone", machine={"absent_at": NOW})

    answer = Caller().post(f"/instances/gone/{verb}")

    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_phase")


def test_an_unmanaged_one_takes_adopt_alone() -> None:
    caller = Caller()
    theirs = make_instance(name="theirs", managed=False)
    path = f"/instances/{theirs.pk}"

    refused = [caller.post(f"{path}/{verb}") for verb in ("start", "stop", "restart", "migrate", "release")]
    refused += [caller.delete(path), caller.patch(path, {"owner": "me"}), caller.put(f"{path}/last-used")]

    assert [(one.status_code, one.json()["code"]) for one in refused] == [(409, "unmanaged")] * 8
    adopted = caller.post(f"{path}/adopt", {"name": "ours", "labels": {"a": "b"}}).json()
    assert (adopted["managed"], adopted["name"], adopted["auto_stop"]["mode"]) == (True, "ours", "observe")
    assert (adopted["labels"], adopted["local_data"], adopted["wanted"]) == ({"a": "b"}, "precious", "running")
    released = caller.post("/instances/ours/release").json()
    assert (released["managed"], released["wanted"], released["open_job"]) == (False, None, None)
    assert caller.post(f"{path}/release").status_code == 202


def test_adopting_under_a_taken_or_impossible_name_asks_for_another() -> None:
    caller = Caller()
    make_instance(name="taken")
    first = make_instance(name="taken", managed=False)
    second = make_instance(name="has spaces", managed=False)

    taken = caller.post(f"/instances/{first.pk}/adopt")
    impossible = caller.post(f"/instances/{second.pk}/adopt")

    assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")
    assert (impossible.status_code, fields(impossible)) == (400, {"name": "name_required"})


def test_settings_change_at_once_with_one_event() -> None:
    make_instance(name="tuned")
    body = {
        "labels": {"team": "vision"},
        "owner": "eve",
        "protected": True,
        "auto_stop": {"mode": "off", "threshold": "2h"},
        "health_check": None,
        "max_price_usd_per_hour": "1.50",
        "webhook_url": "https://hooks.example/x",
    }

    answer = Caller().patch("/instances/tuned", body)

    assert answer.status_code == 200, answer.content
    shown = answer.json()
    assert (shown["labels"], shown["owner"], shown["protected"]) == ({"team": "vision"}, "eve", True)
    assert shown["auto_stop"] == {
        "mode": "off",
        "threshold": "2h",
        "stop_at": None,
        "policy": None,
        "keep_until": None,
        "keep_reason": None,
    }
    assert Event.objects.filter(type="instance.settings_changed").count() == 1
    assert Instance.objects.get().health_check is None


def test_ports_and_disk_change_by_a_job() -> None:
    make_instance(name="grown")

    answer = Caller().patch(
        "/instances/grown", {"expand_rootfs_gb": 40, "ports": [{"port": 80, "type": "tcp"}], "owner": "eve"}
    )

    assert answer.status_code == 202, answer.content
    assert answer.json()["open_job"]["verb"] == "edit"
    assert answer.json()["owner"] == "eve"
    assert Job.objects.get().arguments == {"expand_rootfs_gb": 40, "ports": [{"port": 80, "type": "tcp"}]}


def test_a_change_whose_job_is_refused_changes_nothing() -> None:
    make_job(make_instance(name="busy", owner="bob"), verb="restart")

    answer = Caller().patch("/instances/busy", {"owner": "eve", "expand_rootfs_gb": 10})

    assert (answer.status_code, answer.json()["code"]) == (409, "job_open")
    assert Instance.objects.get().owner == "bob"


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"gpu_num": 2}, {"gpu_num": "unknown_field"}),
        ({"phase": "ready"}, {"phase": "unknown_field"}),
        ({"expand_rootfs_gb": 0}, {"expand_rootfs_gb": "min_value"}),
        ({"health_check": {"tcp": {"port": 9}}}, {"health_check.tcp.port": "not_exposed"}),
        ({"name": "a b"}, {"name": "pattern"}),
    ],
)
def test_a_bad_change_is_named(body: dict[str, Any], errors: dict[str, str]) -> None:
    make_instance(name="kept")

    answer = Caller().patch("/instances/kept", body)

    assert (answer.status_code, fields(answer)) == (400, errors)


def test_a_name_changes_unless_it_is_taken() -> None:
    caller = Caller()
    make_instance(name="first")
    make_instance(name="second")

    assert caller.patch("/instances/first", {"name": "third"}).json()["name"] == "third"
    assert caller.patch("/instances/third", {"name": "SECOND"}).json()["code"] == "name_taken"


def test_last_used_only_moves_forward() -> None:
    caller = Caller()
    make_instance(name="used", now=datetime.now(UTC) - timedelta(hours=2))
    hour_ago = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    text = hour_ago.isoformat().replace("+00:00", "Z")

    assert caller.put("/instances/used/last-used", {"last_used_at": text}).json()["last_used_at"] == text
    older = caller.put("/instances/used/last-used", {"last_used_at": "2020-01-01T00:00:00Z"})
    assert (older.status_code, older.json()["last_used_at"]) == (200, text)
    now = caller.put("/instances/used/last-used")
    assert now.status_code == 200
    assert now.json()["last_used_at"] > text


def test_last_used_is_never_in_the_future() -> None:
    caller = Caller()
    make_instance(name="used")
    ahead = datetime.now(UTC) + timedelta(seconds=60)
    slightly = datetime.now(UTC) + timedelta(seconds=4)

    refused = caller.put("/instances/used/last-used", {"last_used_at": ahead.isoformat()})
    clamped = caller.put("/instances/used/last-used", {"last_used_at": slightly.isoformat()})

    assert (refused.status_code, fields(refused)) == (400, {"last_used_at": "in_the_future"})
    assert clamped.status_code == 200
    stored = Instance.objects.get().last_used_at
    assert stored is not None
    assert stored <= datetime.now(UTC)


def test_a_use_costs_few_queries() -> None:
    caller = Caller()
    instance = make_instance(name="used", now=datetime.now(UTC) - timedelta(hours=1))
    caller.put(f"/instances/{instance.pk}/last-used")

    with CaptureQueriesContext(connection) as queries:
        answer = caller.put(f"/instances/{instance.pk}/last-used")

    assert answer.status_code == 200
    assert len(queries) <= 4, [one["sql"] for one in queries]


def test_a_verb_takes_no_unknown_fields() -> None:
    make_instance(name="one")

    answer = Caller().post("/instances/one/stop", {"force": True})

    assert (answer.status_code, fields(answer)) == (400, {"force": "unknown_field"})
