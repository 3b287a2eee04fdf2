"""Waiting for GPUs, what a request carries to Novita, and what it never tells."""

import json
from typing import Any

from instances import operations
from instances.models import Event, Instance, Job
from tests.driving import Drive
from tests.factories import PERSON

PRODUCT_4090 = ("4090.16c62g", "4090.18c60g", "4090.16c96g.v2")


def wish(drive: Drive, verb: str, instance: Instance) -> Instance:
    asked: Instance = getattr(operations, f"request_{verb}")(instance.pk, actor=PERSON, reason="a test", now=drive.now)
    return asked


def no_stock(drive: Drive) -> None:
    shelves = drive.novita.look("stock")["stock"]
    empty = {cluster: {product: 0 for product in PRODUCT_4090 if product in shelf} for cluster, shelf in shelves.items()}
    drive.novita.turn("stock", stock=empty)


def test_without_capacity_a_create_waits_as_long_as_it_was_told(drive: Drive) -> None:
    no_stock(drive)
    instance = drive.create(wait_for_capacity=drive.now.resolution * 200_000_000)
    drive.let_pass(60, step=5)
    job = drive.job(instance)
    assert (job.state, drive.count("create")) == ("queued", 0)
    assert "waits for capacity" in job.error_detail
    told = Instance.objects.get(pk=instance.pk).next_job_action
    assert told is not None
    assert "waits for capacity" in told["why"]

    drive.novita.turn("stock", stock={"5": {"4090.16c62g": 1}})
    drive.until_phase(instance, "ready")

    assert drive.machines()[0]["cluster_id"] == "5"


def test_capacity_that_never_comes_fails_the_create_with_every_reason(drive: Drive) -> None:
    no_stock(drive)
    instance = drive.create(wait_for_capacity=drive.now.resolution * 60_000_000)

    drive.until_phase(instance, "failed", step=5)

    job = drive.job(instance)
    assert (job.state, job.error_code) == ("failed", "no_capacity")
    for region in ("US-CA-06", "CN-HK-01", "AS-SGP-02", "EU-03"):
        assert region in job.error_detail
    assert drive.machines() == []


FULL: dict[str, Any] = {
    "name": "full.of_it",
    "product_id": "4090.16c62g",
    "product_name": "",
    "gpu_num": 2,
    "rootfs_size_gb": 90,
    "regions": ("US-CA-06",),
    "billing_mode": "on_demand",
    "image_url": "registry.example.com/team/it:7",
    "ports": ({"port": 8080, "type": "http"}, {"port": 22022, "type": "tcp"}),
    "envs": ({"key": "TOKEN", "value": "hunter2-secret"},),
    "command": "--serve",
    "entrypoint": "/run.sh",
    "tools": ({"name": "Jupyter", "port": 8888, "type": "http"},),
    "min_cuda_version": "12.4",
}


def test_every_field_of_a_request_arrives_at_novita(drive: Drive) -> None:
    instance = drive.ready(**FULL)

    [call] = drive.calls("create")
    body = call["body"]
    assert instance.machine is not None
    correlation_id = instance.machine.correlation_id
    assert body["name"] == f"full-of-it--{correlation_id}"
    assert {one["key"]: one["value"] for one in body["envs"]} == {
        "TOKEN": "hunter2-secret",
        "NOVITA_MANAGER_ID": correlation_id,
    }
    sent = {name: body[name] for name in ("productId", "gpuNum", "rootfsSize", "imageUrl", "clusterId", "billingMode")}
    assert sent == {
        "productId": "4090.16c62g",
        "gpuNum": 2,
        "rootfsSize": 90,
        "imageUrl": "registry.example.com/team/it:7",
        "clusterId": "us-ca-nas-2",
        "billingMode": "onDemand",
    }
    assert {body["command"], body["entrypoint"], body["minCudaVersion"]} == {"--serve", "/run.sh", "12.4"}
    assert set(body["ports"].replace(" ", "").split(",")) == {"8080/http", "22022/tcp"}
    assert [(one["name"], str(one["port"]), one["type"]) for one in body["tools"]] == [("Jupyter", "8888", "http")]


def test_no_secret_is_in_an_event_or_a_job(drive: Drive) -> None:
    instance = drive.ready(**FULL)
    wish(drive, "delete", instance)
    drive.until_phase(instance, "deleted")

    password = drive.novita.get(drive.machines()[0]["id"]).get("sshPassword", "")
    told = json.dumps(list(Event.objects.values("reason", "before", "after")), default=str)
    told += json.dumps(list(Job.objects.values()), default=str)
    assert "hunter2-secret" not in told
    assert not password or password not in told
