import copy
import dataclasses
import pickle
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from instances.novita.types import (
    Balance,
    Cluster,
    CpuProduct,
    CreateRequest,
    InstanceDetail,
    InstanceMetrics,
    Malformed,
    NetworkMount,
    NetworkStorage,
    PortMapping,
    Product,
    RegistryAuth,
    RemoteInstance,
    RemoteJob,
    SecretMapping,
    Template,
    Tool,
    billing_mode_of,
)
from tests.instances.novita.factory import detailed, listed

PRODUCT = {
    "id": "4090.16c62g",
    "name": "RTX 4090 24GB",
    "cpuPerGpu": "16",
    "memoryPerGpu": "62",
    "diskPerGpu": 60,
    "availableDeploy": True,
    "minRootFS": 10,
    "maxRootFS": 6144,
    "regions": ["US-CA-06 (California)", "EU-01"],
    "price": "67000",
    "monthlyPrice": [{"price": "41000000", "month": "1"}],
    "billingMethods": ["onDemand", "monthly", "spot"],
    "spotPrice": "35000",
    "inventoryState": "normal",
}


def test_a_listed_instance_is_read_with_units_and_times() -> None:
    instance = RemoteInstance.from_api(listed())

    assert instance.gpu_num == 2
    assert instance.memory_gb == 62
    assert instance.region == "US-CA-06"
    assert instance.spot_status == "notified"
    assert instance.spot_reclaim_at == datetime(2026, 1, 15, 1, 0, tzinfo=UTC)
    assert instance.started_at == datetime(2026, 1, 15, 0, 1, tzinfo=UTC)
    assert instance.stopped_at is None
    assert instance.end_at is None
    assert instance.ports == (PortMapping(port=8888, type="http", endpoint="https://x-8888.example"),)
    assert instance.volume_mounts[0].size_gb == 10
    assert instance.env["TOKEN"] == "hunter2-secret"
    assert instance.env_keys == ("TOKEN",)


def test_null_lists_and_missing_members_read_as_empty() -> None:
    raw = {"id": "a", "portMappings": None, "envs": None, "volumeMounts": None, "billingMode": None}

    instance = RemoteInstance.from_api(raw)

    assert instance.ports == ()
    assert instance.env == {}
    assert instance.volume_mounts == ()
    assert instance.billing_mode == ""
    assert instance.price_usd_per_gpu_hour is None


def test_unknown_words_are_kept_as_they_are() -> None:
    instance = RemoteInstance.from_api(listed(status="Hibernating", spotStatus="odd", billingMode="barter"))

    assert (instance.status, instance.spot_status, instance.billing_mode) == ("Hibernating", "odd", "barter")


@pytest.mark.parametrize(
    ("word", "mode"),
    [("onDemand", "on_demand"), ("spot", "spot"), ("monthly", "monthly"), ("", ""), ("new", "new")],
)
def test_billing_modes_are_named_as_ours(word: str, mode: str) -> None:
    assert billing_mode_of(word) == mode


def test_a_detail_tells_access_disks_and_jobs() -> None:
    detail = InstanceDetail.from_api(detailed())

    assert detail.price_usd_per_gpu_hour == Decimal("0.67")
    assert detail.disk_price_usd_per_gb_day == Decimal("0.005")
    assert detail.stopped_disk_price_usd_per_gb_day == Decimal("0.005")
    assert detail.ssh is not None
    assert detail.ssh.password == "ssh-pass-word"
    assert detail.web_terminal is not None
    assert detail.jupyter is not None
    assert not detail.jupyter.running
    assert detail.instance_log_address == "https://log.example/instance"
    assert detail.jobs[0].type == "saveImage"
    assert detail.release_data_at == datetime(2026, 1, 22, 0, 0, tzinfo=UTC)
    assert (detail.keep_data_days, detail.network_ip, detail.version) == (7, "10.0.0.5", "v2")


def test_a_detail_survives_node_as_array_and_sizes_as_text_or_number() -> None:
    raw = detailed(node=[{"maxRootfsSize": 100}], volumeMounts=[{"type": "local", "size": 60.0, "id": None}])

    assert InstanceDetail.from_api(raw).volume_mounts[0].size_gb == 60


def test_the_older_flat_ssh_form_is_read() -> None:
    raw = detailed(sshCommand="ssh -p 1 root@x", sshPassword="flat-pass-word")
    del raw["connectComponentSSH"]

    ssh = InstanceDetail.from_api(raw).ssh

    assert ssh is not None
    assert (ssh.command, ssh.password) == ("ssh -p 1 root@x", "flat-pass-word")


@pytest.mark.parametrize(
    "value",
    [
        InstanceDetail.from_api(detailed(sshPassword="hunter2-secret")),
        RemoteInstance.from_api(listed()),
        RegistryAuth.from_api({"id": "1", "name": "docker.io", "username": "u", "password": "hunter2-secret"}),
        Template.from_api({"Id": "1", "envs": [{"key": "TOKEN", "value": "hunter2-secret"}]}),
        CreateRequest(name="n", product_id="p", image_url="i", envs={"TOKEN": "hunter2-secret"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_repr_shows_a_secret(value: object) -> None:
    shown = f"{value} {value!r}"

    assert "hunter2-secret" not in shown
    assert "pass-word" not in shown


def test_secret_mappings_survive_copies_and_pickling() -> None:
    instance = RemoteInstance.from_api(listed())

    assert copy.deepcopy(instance) == instance
    assert pickle.loads(pickle.dumps(instance)) == instance  # noqa: S301 - our own value
    assert "hunter2-secret" not in repr(dataclasses.asdict(instance))
    assert "hunter2-secret" not in f"{SecretMapping(TOKEN='hunter2-secret')}"


def test_a_product_is_read_with_prices_in_usd() -> None:
    product = Product.from_api(PRODUCT)

    assert product.price_usd_per_gpu_hour == Decimal("0.67")
    assert product.spot_price_usd_per_gpu_hour == Decimal("0.35")
    assert product.monthly_prices[0].price_usd == Decimal(410)
    assert product.billing_modes == ("on_demand", "monthly", "spot")
    assert product.regions == ("US-CA-06 (California)", "EU-01")
    assert (product.cpu_per_gpu, product.memory_gb_per_gpu, product.inventory) == (16, 62, "normal")


@pytest.mark.parametrize("spot_price", ["0", "", None, 0])
def test_a_spot_price_of_nothing_means_no_spot(spot_price: Any) -> None:
    assert Product.from_api({**PRODUCT, "spotPrice": spot_price}).spot_price_usd_per_gpu_hour is None


@pytest.mark.parametrize("price", ["", None, "free", -1, [], "NaN", "1e999"])
def test_a_product_without_a_readable_price_is_refused(price: Any) -> None:
    with pytest.raises(Malformed):
        Product.from_api({**PRODUCT, "price": price})


def test_the_small_things_are_read() -> None:
    cluster = Cluster.from_api({"id": 5, "name": "EU-01", "availableGpuType": None})
    cpu = CpuProduct.from_api({"id": "cpu.8c16g", "name": "CPU", "cpuNum": 8, "memorySize": "16", "price": 8000})
    storage = NetworkStorage.from_api(
        {"storageId": "d4", "storageName": "123", "storageSize": 10, "clusterId": "5", "price": "100"}
    )
    job = RemoteJob.from_api({"Id": "j", "type": "instanceMigrate", "state": {"state": "fail", "message": "no node"}})

    assert (cluster.id, cluster.region, cluster.gpu_types) == ("5", "EU-01", ())
    assert (cpu.memory_gb, cpu.price_usd_per_hour) == (16, Decimal("0.08"))
    assert (storage.id, storage.size_gb, storage.price) == ("d4", 10, "100")
    assert (job.state, job.error_message) == ("fail", "no node")


def test_balances_are_in_another_unit_than_prices_and_may_be_negative() -> None:
    balance = Balance.from_api({"availableBalance": "-1234500", "cashBalance": None})

    assert balance.available_usd == Decimal("-123.45")
    assert balance.cash_usd is None


def test_a_missing_balance_is_not_zero() -> None:
    with pytest.raises(Malformed):
        Balance.from_api({"cashBalance": "1"})


def test_template_ports_are_flattened_from_either_notation() -> None:
    template = Template.from_api(
        {
            "Id": "100",
            "rootfsSize": 10,
            "ports": [
                {"type": "tcp", "ports": [8080, "8090"]},
                {"type": "http", "port": 6000},
                {"type": "http", "ports": None},
                {"type": "tcp", "ports": [8080, 0, 70000, "x"]},
            ],
            "tools": [{"name": "Jupyter", "describe": "Start", "port": 8888, "type": "http"}],
            "recommendCards": [{"gpuSpecId": "4090.18c.60g", "cardNum": "2"}],
            "createdAt": "1711995567",
        }
    )

    assert template.ports == ((8080, "tcp"), (8090, "tcp"), (6000, "http"))
    assert template.tools == (Tool(name="Jupyter", port=8888, type="http", description="Start"),)
    assert template.recommended_cards[0].gpu_num == 2


def test_metrics_are_sorted_and_points_without_value_dropped() -> None:
    metrics = InstanceMetrics.from_api(
        {
            "cpuUtilization": [
                {"timestamp": "1768435215", "value": 137.2},
                {"timestamp": "1768435200", "value": "12"},
                {"timestamp": "1768435230", "value": None},
                {"timestamp": "1768435230", "value": "NaN"},
                {"timestamp": "", "value": 1},
            ],
            "memUtilization": None,
            "gpuUtilization": {
                "avg": [{"timestamp": 1768435200, "value": 0}],
                "gpuIds": [{"gpuId": 0, "items": [{"timestamp": "1768435200", "value": 97.5}]}],
            },
        }
    )

    assert [point.value for point in metrics.cpu] == [12.0, 137.2]
    assert metrics.gpu_avg[0].value == 0.0
    assert metrics.gpus["0"][0].value == 97.5
    assert metrics.memory == metrics.disk == metrics.gpu_memory_avg == ()


def test_a_create_request_is_written_as_novita_wants_it() -> None:
    request = CreateRequest(
        name="render--abc",
        product_id="4090.16c62g",
        gpu_num=2,
        rootfs_size_gb=80,
        image_url="pytorch/pytorch:latest",
        ports=((80, "http"), (3306, "tcp")),
        envs={"MODE": "train"},
        tools=(Tool(name="Jupyter", port=8888, type="http"),),
        cluster_id="5",
        network_storages=(NetworkMount(storage_id="vol-1"),),
    )

    assert request.to_api() == {
        "name": "render--abc",
        "productId": "4090.16c62g",
        "gpuNum": 2,
        "rootfsSize": 80,
        "imageUrl": "pytorch/pytorch:latest",
        "ports": "80/http, 3306/tcp",
        "envs": [{"key": "MODE", "value": "train"}],
        "tools": [{"name": "Jupyter", "port": "8888", "type": "http"}],
        "clusterId": "5",
        "networkStorages": [{"Id": "vol-1", "mountPoint": "/network"}],
        "billingMode": "onDemand",
        "kind": "gpu",
    }


def test_a_cpu_create_names_no_gpus_and_no_root_disk() -> None:
    body = CreateRequest(name="c", product_id="cpu.8c16g", image_url="ubuntu", kind="cpu").to_api()

    assert body["kind"] == "cpu"
    assert "gpuNum" not in body
    assert "rootfsSize" not in body
