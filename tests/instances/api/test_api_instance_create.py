"""POST /instances."""

import pytest

from instances.models import Event, Instance, Job
from tests.factories import make_instance, make_offer, make_storage, make_template
from tests.instances.api.calls import NEW, Caller, fields

pytestmark = pytest.mark.django_db


def test_a_create_is_accepted_with_its_job_and_its_address() -> None:
    make_offer()

    answer = Caller(owner="vision").post("/instances", NEW)

    assert answer.status_code == 202
    shown = answer.json()
    assert answer["Location"] == f"/api/v1/instances/{shown['id']}"
    assert (shown["phase"], shown["wanted"], shown["owner"]) == ("requested", "running", "vision")
    assert shown["open_job"]["verb"] == "create"
    assert shown["open_job"]["requested_by"] == {"kind": "key", "name": "tests"}
    assert shown["local_data"] == "disposable"
    assert Job.objects.count() == 1
    assert Event.objects.filter(type="instance.requested", actor_kind="key").count() == 1


def test_every_field_of_a_create_is_kept() -> None:
    make_offer()
    make_storage()
    body = NEW | {
        "ports": [{"port": 8080, "type": "http"}, {"port": 22, "type": "tcp"}],
        "envs": [{"key": "TOKEN", "value": "line one\nline two"}],
        "command": "sleep 60",
        "entrypoint": "/bin/sh",
        "registry_auth_id": "auth-1",
        "tools": [{"name": "Jupyter", "port": 8888}],
        "min_cuda_version": "12.4",
        "gpu_num": 2,
        "rootfs_size_gb": 100,
        "region": "CN-HK-01",
        "billing_mode": "on_demand",
        "max_price_usd_per_hour": "2.5",
        "network_storages": [{"id": "storage-1", "mount_path": "/data"}],
        "auto_stop": {"mode": "observe", "threshold": "45m", "stop_at": "2099-01-01T00:00:00Z"},
        "health_check": {"http": {"port": 8080, "path": "/ready", "status": 204}, "tcp": {"port": 22}},
        "webhook_url": "https://hooks.example/novita",
        "labels": {"team": "vision"},
        "owner": "bob",
        "protected": True,
        "local_data": "precious",
        "on_startup_timeout": "stop",
        "wait_for_capacity": "1h",
    }

    answer = Caller().post("/instances", body)

    assert answer.status_code == 202, answer.content
    shown = answer.json()
    assert shown["auto_stop"] == {
        "mode": "observe",
        "threshold": "45m",
        "stop_at": "2099-01-01T00:00:00Z",
        "policy": None,
        "keep_until": None,
        "keep_reason": None,
    }
    row = Instance.objects.get()
    assert row.envs == body["envs"]
    assert row.health_check == body["health_check"]
    assert (row.regions, row.gpu_num, row.rootfs_size_gb) == (["CN-HK-01"], 2, 100)
    assert row.tools == [{"name": "Jupyter", "port": 8888, "type": "http"}]
    assert row.wait_for_capacity.total_seconds() == 3600
    assert "line one" not in answer.content.decode()


def test_a_template_fills_in_what_the_request_leaves_out() -> None:
    make_offer()
    make_template()
    body = {"name": "t", "product_name": "rtx 4090", "template_id": "template-1", "envs": [{"key": "MORE", "value": "1"}]}

    answer = Caller().post("/instances", body)

    assert answer.status_code == 202, answer.content
    row = Instance.objects.get()
    assert row.image_url == "docker.io/library/busybox:1"
    assert row.ports == [{"port": 8888, "type": "http"}]
    assert {one["key"] for one in row.envs} == {"TOKEN", "MORE"}
    assert row.rootfs_size_gb == 80


def test_a_dry_run_ranks_offers_and_changes_nothing() -> None:
    make_offer(region="CN-HK-01", spot="0.50")
    make_offer(region="US-01", spot="0.30")
    make_offer(region="EU-01", spot="0.20", available=False)

    answer = Caller().post("/instances?dry_run=true", NEW | {"region": "any"})

    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert [(one["rank"], one["region"], one["price_usd_per_hour"]) for one in found["candidates"]] == [
        (1, "US-01", "0.3"),
        (2, "CN-HK-01", "0.5"),
    ]
    assert set(found["candidates"][0]) == {
        "rank",
        "product_id",
        "product_name",
        "region",
        "billing_mode",
        "price_usd_per_hour",
        "inventory",
    }
    assert [(one["region"], one["code"]) for one in found["refused"]] == [("EU-01", "no_stock")]
    assert not Instance.objects.exists()


def test_a_dry_run_says_so_while_no_offer_is_known() -> None:
    answer = Caller().post("/instances?dry_run=true", NEW)

    assert (answer.status_code, answer.json()["code"]) == (503, "catalogue_not_loaded")
    assert answer["Retry-After"] == "5"


def test_a_create_is_accepted_while_no_offer_is_known() -> None:
    assert Caller().post("/instances", NEW).status_code == 202


def test_without_stock_a_create_is_refused_or_waits_as_it_asks() -> None:
    make_offer(available=False)
    caller = Caller()

    refused = caller.post("/instances", NEW)
    waits = caller.post("/instances", NEW | {"wait_for_capacity": "10m"})

    assert (refused.status_code, refused.json()["code"]) == (409, "no_capacity")
    assert waits.status_code == 202
    assert Instance.objects.count() == 1


def test_a_cap_below_the_cheapest_offer_is_no_offer() -> None:
    make_offer(spot="0.35")

    answer = Caller().post("/instances", NEW | {"max_price_usd_per_hour": "0.34"})

    assert (answer.status_code, answer.json()["code"]) == (400, "no_offer")
    assert fields(answer) == {"max_price_usd_per_hour": "no_offer"}


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"product_name": "RTX 4090D"}, "product_name", "unknown_product"),
        ({"region": "MARS-01"}, "region", "unknown_region"),
        ({"regions": ["CN-HK-01", "MARS-01"]}, "regions", "unknown_region"),
        ({"network_storages": [{"id": "nowhere", "mount_path": "/x"}]}, "network_storages", "unknown_network_storage"),
    ],
)
def test_what_the_catalogue_does_not_know_is_refused_on_its_field(change: dict[str, object], field: str, code: str) -> None:
    make_offer()

    answer = Caller().post("/instances", NEW | change)

    assert answer.status_code == 400
    assert fields(answer) == {field: code}
    assert not Instance.objects.exists()


def test_a_live_name_is_taken_whatever_its_case() -> None:
    make_offer()
    make_instance(name="Trainer")

    answer = Caller().post("/instances", NEW)

    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")
    assert fields(answer) == {"name": "name_taken"}
