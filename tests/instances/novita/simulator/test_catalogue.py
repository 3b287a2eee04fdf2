"""Clusters, products and their stock over a real socket."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.instances.novita.simulator.driver import (
    CLUSTER,
    GPU,
    INSTANCE,
    PRODUCT,
    Driver,
    assert_refused,
    create_body,
)


def products(novita: Driver, **query: Any) -> dict[str, Any]:
    return {row["id"]: row for row in novita.read(f"{GPU}/products", **query).json()["data"]}


def test_regions_are_cluster_names_and_clusters_say_what_they_have(novita: Driver) -> None:
    clusters = {row["name"]: row for row in novita.read(f"{GPU}/clusters").json()["data"]}

    assert {"CN-HK-01", "US-CA-06 (California)"} <= set(clusters)
    for product in products(novita).values():
        assert product["regions"]
        for region in product["regions"]:
            assert product["name"] in clusters[region]["availableGpuType"]


def test_products_filter_by_cluster_name_size_and_billing(novita: Driver) -> None:
    in_hong_kong = products(novita, clusterId="cn-hk-1")
    assert "4090.18c60g" in in_hong_kong
    assert "4090.16c62g" not in in_hong_kong
    assert set(products(novita, productName="rtx 4090d")) == {"4090d.16c60g"}
    assert "h200.26c230g" not in products(novita, billingMethod="spot")
    assert "h200.26c230g" in products(novita, billingMethod="onDemand")
    assert all(int(row["cpuPerGpu"]) >= 24 for row in products(novita, minCpuPerGpu=24).values())
    assert_refused(novita.read(f"{GPU}/products", gpuNum=9), "VALIDATOR_PARAM", says="gpuNum")
    assert_refused(novita.read(f"{GPU}/products", billingMethod="free"), "VALIDATOR_PARAM")


def test_stock_runs_out_and_comes_back(novita: Driver) -> None:
    novita.turn("stock", stock={CLUSTER: {PRODUCT: 2}})
    key = novita.create(gpuNum=2)

    assert novita.stock() == 0
    sold_out = products(novita, clusterId=CLUSTER)[PRODUCT]
    assert (sold_out["availableDeploy"], sold_out["inventoryState"]) == (False, "none")
    assert products(novita)[PRODUCT]["availableDeploy"]
    answer = novita.write(f"{INSTANCE}/create", **create_body())
    assert_refused(answer, "INSUFFICIENT_RESOURCE", says="INSUFFICIENT_RESOURCE")

    novita.command("delete", key)
    novita.gone(key)
    assert novita.stock() == 2


def test_a_stopped_instance_loses_its_gpu_and_may_not_start_again(novita: Driver) -> None:
    key = novita.running()
    novita.command("stop", key)
    novita.wait(key, "exited")
    novita.turn("stock", stock={CLUSTER: {PRODUCT: 0}})

    assert_refused(novita.command("start", key), "INSUFFICIENT_RESOURCE")
    assert_refused(novita.command("migrate", key), "MIGRATE_INSUFFICIENT_RESOURCE")
    assert novita.get(key)["status"] == "exited"


def test_availability_counts_the_gpus_asked_for(novita: Driver) -> None:
    novita.turn("stock", stock={CLUSTER: {PRODUCT: 3}})

    assert products(novita, clusterId=CLUSTER, gpuNum=3)[PRODUCT]["availableDeploy"]
    assert not products(novita, clusterId=CLUSTER, gpuNum=4)[PRODUCT]["availableDeploy"]
    assert products(novita, clusterId=CLUSTER)[PRODUCT]["inventoryState"] == "low"


def test_without_a_cluster_one_with_room_is_found(novita: Driver) -> None:
    everywhere_but_dallas = {"us-ca-nas-2": {PRODUCT: 0}, "5": {PRODUCT: 0}}
    novita.turn("stock", stock=everywhere_but_dallas)

    key = novita.create(clusterId=None)

    assert novita.get(key)["clusterId"] == "1"


@pytest.mark.parametrize("stock", [{CLUSTER: {PRODUCT: -1}}, {CLUSTER: {PRODUCT: "3"}}, {CLUSTER: 3}])
def test_nonsense_stock_is_refused(novita: Driver, stock: Mapping[str, Any]) -> None:
    answer = novita.session.put(f"{novita.url}/_simulator/stock", json={"stock": stock}, timeout=5)

    assert answer.status_code == 400
    assert novita.stock() == 32


def test_cpu_products_come_wrapped(novita: Driver) -> None:
    rows = novita.read(f"{GPU}/cpu/products").json()["data"]

    assert {"id", "name", "cpuNum", "memorySize", "availableDeploy", "price"} <= set(rows[0])
