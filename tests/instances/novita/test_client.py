import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import responses
from responses import matchers

from instances.novita.client import Novita
from instances.novita.errors import (
    InvalidRequest,
    InvalidState,
    NoCapacity,
    NotFound,
    NovitaError,
    Unavailable,
    Unknown,
)
from instances.novita.types import CreateRequest
from tests.instances.novita.factory import BASE, GPU, KEY, NOW, detailed, error_body, listed, make_client

INSTANCE = f"{GPU}/gpu/instance"


@pytest.fixture
def api() -> Any:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def sent(api: responses.RequestsMock, index: int = -1) -> Any:
    body = api.calls[index].request.body
    assert isinstance(body, (str, bytes))
    return json.loads(body)


def query(api: responses.RequestsMock, index: int = -1) -> dict[str, Any]:
    return dict(api.calls[index].request.params)  # type: ignore[attr-defined]


def test_a_list_is_read_with_its_total_and_the_time_it_began(api: responses.RequestsMock) -> None:
    api.get(f"{INSTANCE}s", json={"instances": [listed("a"), listed("b")], "total": 2})

    found = make_client().list_instances(name="n", status="running")

    assert [item.id for item in found.instances] == ["a", "b"]
    assert (found.complete, found.pages, found.began_at, found.problem) == (True, 1, NOW, "")
    assert query(api) == {"name": "n", "status": "running", "pageSize": "100", "pageNum": "0"}


def test_more_than_a_page_is_read_under_numbering_from_1(api: responses.RequestsMock) -> None:
    pages = {0: ["a", "b"], 1: ["a", "b"], 2: ["c"]}
    for number, ids in pages.items():
        api.get(
            f"{INSTANCE}s",
            json={"instances": [listed(item) for item in ids], "total": 3},
            match=[matchers.query_param_matcher({"pageSize": 2, "pageNum": number})],
        )

    found = make_client().list_instances(page_size=2)

    assert [item.id for item in found.instances] == ["a", "b", "c"]
    assert found.complete


@pytest.mark.parametrize(
    ("body", "complete"),
    [
        ({"instances": None, "total": 0}, True),
        ({"instances": [], "total": "0"}, True),
        ({}, False),
        ({"instances": [], "total": 3}, False),
        ({"instances": [listed("a"), {"id": ""}], "total": 2}, False),
    ],
)
def test_an_empty_or_odd_list_is_complete_only_if_it_says_so(api: responses.RequestsMock, body: Any, complete: bool) -> None:
    api.get(f"{INSTANCE}s", json=body)

    assert make_client().list_instances().complete is complete


@pytest.mark.parametrize(
    "body", [detailed("a"), {"instance": detailed("a")}, {"data": detailed("a")}], ids=["bare", "instance", "data"]
)
def test_a_detail_is_read_bare_or_wrapped(api: responses.RequestsMock, body: Any) -> None:
    api.get(INSTANCE, json=body)

    assert make_client().get_instance("a").price_usd_per_gpu_hour == Decimal("0.67")
    assert query(api) == {"instanceId": "a"}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, json.dumps(error_body("RESOURCE_NOT_FOUND", "instance not found"))),
        (400, json.dumps({"message": "instance not fount"})),
        (404, json.dumps(error_body("RESOURCE_NOT_FOUND", code=404))),
        (404, "<html>"),
        (200, "{}"),
        (200, ""),
        (200, '{"id": "", "name": ""}'),
        (200, json.dumps(error_body("RESOURCE_NOT_FOUND"))),
    ],
)
def test_not_found_is_understood_in_all_its_forms(api: responses.RequestsMock, status: int, body: str) -> None:
    api.get(INSTANCE, body=body, status=status)

    with pytest.raises(NotFound):
        make_client().get_instance("a")
    assert len(api.calls) == 1


@pytest.mark.parametrize("body", [json.dumps(detailed("b")), "[]", '"a"', "<html>"])
def test_an_answer_about_something_else_is_no_not_found(api: responses.RequestsMock, body: str) -> None:
    api.get(INSTANCE, body=body)

    with pytest.raises(Unavailable):
        make_client().get_instance("a")


@pytest.mark.parametrize("body", [{"id": "new"}, {"Id": "new"}])
def test_create_returns_the_id(api: responses.RequestsMock, body: Any) -> None:
    api.post(f"{INSTANCE}/create", json=body)
    request = CreateRequest(name="n--abc", product_id="p", image_url="i", billing_mode="spot")

    assert make_client().create_instance(request) == "new"
    assert sent(api) == request.to_api()
    assert sent(api)["billingMode"] == "spot"


def test_a_create_without_capacity_is_refused(api: responses.RequestsMock) -> None:
    api.post(f"{INSTANCE}/create", json=error_body("INSUFFICIENT_RESOURCE", "no resource"), status=400)

    with pytest.raises(NoCapacity):
        make_client().create_instance(CreateRequest(name="n", product_id="p", image_url="i"))
    assert len(api.calls) == 1


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "delete"])
@pytest.mark.parametrize("body", ["", "{}", '{"instanceId": "a", "state": "stopping"}'])
def test_commands_take_any_friendly_answer(api: responses.RequestsMock, verb: str, body: str) -> None:
    api.post(f"{INSTANCE}/{verb}", body=body)

    getattr(make_client(), f"{verb}_instance")("a")

    assert sent(api) == {"instanceId": "a"}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"status": 400, "json": {"message": "invalid state change"}}, InvalidState),
        ({"status": 400, "json": error_body("RESOURCE_NOT_FOUND")}, NotFound),
        ({"status": 200, "json": {"error": "invalid state change"}}, InvalidState),
        ({"status": 500, "json": error_body("UNKNOWN", code=500)}, Unknown),
        ({"status": 200, "body": "<html>"}, Unknown),
        ({"status": 408, "body": ""}, Unknown),
    ],
)
def test_a_command_says_what_may_have_happened(
    api: responses.RequestsMock, answer: dict[str, Any], kind: type[NovitaError]
) -> None:
    api.post(f"{INSTANCE}/stop", **answer)

    with pytest.raises(kind):
        make_client().stop_instance("a")
    assert len(api.calls) == 1


def test_edit_sends_only_what_changes(api: responses.RequestsMock) -> None:
    api.post(f"{INSTANCE}/edit", json={})

    make_client().edit_instance("a", ports=[(80, "http")])
    assert sent(api) == {"instanceId": "a", "ports": [{"port": 80, "type": "http"}]}

    make_client().edit_instance("a", ports=[], expand_root_disk_gb=5)
    assert sent(api) == {"instanceId": "a", "ports": [], "expandRootDisk": 5}


@pytest.mark.parametrize(
    ("body", "job_id"), [({}, ""), ({"jobId": "j"}, "j"), ({"newInstanceId": "a", "message": "ok"}, "")]
)
def test_migrate_returns_the_job_if_it_is_told(api: responses.RequestsMock, body: Any, job_id: str) -> None:
    api.post(f"{INSTANCE}/migrate", json=body)

    assert make_client().migrate_instance("a") == job_id


def test_migrate_with_an_error_in_a_200_is_refused(api: responses.RequestsMock) -> None:
    api.post(f"{INSTANCE}/migrate", json={"error": "INSUFFICIENT_RESOURCE"})

    with pytest.raises(NoCapacity):
        make_client().migrate_instance("a")


def test_auto_migrate_save_image_and_break_are_written_as_documented(api: responses.RequestsMock) -> None:
    api.post(f"{INSTANCE}/setAutoMigrate", json={})
    api.post(f"{GPU}/job/save/image", json={"jobId": "j-1"})
    api.post(f"{GPU}/job/break", json={"jobId": "j-1"})
    client = make_client()

    client.set_auto_migrate("a", enabled=True, include_system_disk=False)
    assert sent(api) == {"instanceId": "a", "autoMigrateOpen": True, "autoMigrateSystemDisk": False}
    assert client.save_image("a", "r/i:t", "auth-1") == "j-1"
    assert sent(api) == {"instanceId": "a", "image": "r/i:t", "registryAuthId": "auth-1"}
    client.break_job("j-1")
    assert sent(api) == {"jobId": "j-1"}


def test_jobs_are_filtered_and_read(api: responses.RequestsMock) -> None:
    job = {"Id": "j", "type": "saveImage", "state": {"state": "success"}, "instanceId": "a"}
    api.get(f"{GPU}/jobs", json={"jobs": [job], "total": 1})

    jobs = make_client().list_jobs(job_id="j", type="saveImage", since=NOW)

    assert (jobs[0].state, jobs[0].instance_id) == ("success", "a")
    assert query(api)["startTime"] == str(int(NOW.timestamp()))
    assert query(api)["jobId"] == "j"


def test_metrics_ask_within_what_novita_accepts(api: responses.RequestsMock) -> None:
    api.get(f"{BASE}/openapi/v1/metrics/gpu/instance", json={"gpuUtilization": None})

    metrics = make_client().instance_metrics("a", NOW, NOW + timedelta(hours=1), interval=timedelta(seconds=1))

    assert metrics.gpu_avg == ()
    end = int(NOW.timestamp())
    assert query(api) == {
        "instanceId": "a",
        "startTime": str(end - 60),
        "endTime": str(end),
        "interval": "15",
    }


def test_clusters_and_products_are_read_and_bad_ones_left_out(api: responses.RequestsMock) -> None:
    api.get(f"{GPU}/clusters", json={"data": [{"id": "5", "name": "EU-01"}, {"name": "no id"}]})
    api.get(f"{GPU}/products", json={"data": [{"id": "p", "price": "67000"}, {"id": "q", "price": "?"}]})
    client = make_client()

    assert [cluster.region for cluster in client.list_clusters()] == ["EU-01"]
    products = client.list_products(gpu_num=2, cluster_id="5", billing_mode="on_demand", name="4090")
    assert [product.id for product in products] == ["p"]
    assert query(api) == {"gpuNum": "2", "clusterId": "5", "billingMethod": "onDemand", "productName": "4090"}


@pytest.mark.parametrize("wrapped", [True, False])
def test_cpu_products_are_read_flat_and_wrapped(api: responses.RequestsMock, wrapped: bool) -> None:
    product = {"id": "cpu.8c16g", "name": "CPU", "cpuNum": 8, "memorySize": 16, "price": "8000"}
    api.get(f"{GPU}/cpu/products", json={"data": [product]} if wrapped else product)

    assert make_client().list_cpu_products()[0].price_usd_per_hour == Decimal("0.08")


def test_a_catalogue_of_null_is_empty_and_one_of_nothing_unreadable(api: responses.RequestsMock) -> None:
    api.get(f"{GPU}/clusters", json={"data": None})
    api.get(f"{GPU}/products", json={})

    assert make_client().list_clusters() == ()
    with pytest.raises(Unavailable):
        make_client().list_products()


@pytest.mark.parametrize("body", [{"template": None, "total": 0}, {"template": [], "pageSize": 10, "total": 0}])
def test_no_templates_is_an_empty_list(api: responses.RequestsMock, body: Any) -> None:
    api.get(f"{GPU}/templates", json=body)

    assert make_client().list_templates("private", mine=True) == ()
    assert query(api)["isMyCommunity"] == "true"


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_template_is_read_wrapped_and_flat(api: responses.RequestsMock, wrapped: bool) -> None:
    template = {"Id": "107672", "name": "torch", "image": "pytorch/pytorch:latest", "rootfsSize": 10}
    api.get(f"{GPU}/template", json={"template": template} if wrapped else template)

    assert make_client().get_template("107672").image == "pytorch/pytorch:latest"


def test_a_missing_template_is_not_found(api: responses.RequestsMock) -> None:
    api.get(f"{GPU}/template", json=error_body("TEMPLATE_NOT_FOUND", "template not found"), status=400)

    with pytest.raises(NotFound):
        make_client().get_template("1")


def test_storages_logins_and_balance_are_read(api: responses.RequestsMock) -> None:
    storage = {"storageId": "d4", "storageName": "123", "storageSize": 10, "clusterId": "5", "price": "100"}
    api.get(f"{GPU}/networkstorages/list", json={"data": [storage], "total": 1})
    api.get(f"{GPU}/repository/auths", json={"data": [{"id": "r", "name": "docker.io", "password": "x"}]})
    api.get(f"{BASE}/openapi/v1/billing/balance/detail", json={"availableBalance": "1234500"})
    client = make_client()

    assert client.list_network_storages()[0].id == "d4"
    assert query(api) == {"pageSize": "100", "pageNo": "0"}
    assert client.list_registry_auths()[0].password == "x"
    assert client.balance().available_usd == Decimal("123.45")


@pytest.mark.parametrize("address", ["", "file:///etc/passwd", "ftp://x/log", "log.example/x"])
def test_a_log_address_must_be_http(address: str) -> None:
    with pytest.raises(InvalidRequest):
        make_client().container_log(address)


@pytest.mark.parametrize("key", ["a b", "a\nb", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_refused_at_once(key: str) -> None:
    with pytest.raises(ValueError, match="API key") as caught:
        Novita(api_key=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize("base_url", ["", "api.novita.ai", "ftp://x", "http://"])
def test_a_base_url_without_scheme_or_host_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        Novita(api_key=KEY, base_url=base_url)


def test_the_key_is_in_no_repr() -> None:
    client = make_client()

    assert KEY not in f"{client!r} {client._transport!r}"
