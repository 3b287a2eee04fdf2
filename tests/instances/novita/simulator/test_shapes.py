"""The wire form of what clients read: which members, and whether a number travels as a number or as text."""

from typing import Any

from tests.instances.novita.simulator.conftest import Start
from tests.instances.novita.simulator.driver import GPU, Driver

TEXT: type = str
NUMBER: type = int
FLAG: type = bool
LIST: type = list
OBJECT: type = dict
DIGITS = ("cpuNum", "memory", "gpuNum", "createdAt", "lastStartedAt", "lastStoppedAt", "useTime", "spotReclaimTime")
COMMON = {
    "id": TEXT, "name": TEXT, "clusterId": TEXT, "clusterName": TEXT, "status": TEXT, "imageUrl": TEXT,
    "imageAuthId": TEXT, "command": TEXT, "entrypoint": TEXT, "portMappings": LIST, "productId": TEXT,
    "productName": TEXT, "rootfsSize": NUMBER, "volumeMounts": LIST, "statusError": OBJECT, "envs": LIST,
    "kind": TEXT, "billingMode": TEXT, "endTime": TEXT, "spotStatus": TEXT, "instancePrice": TEXT,
}  # fmt: skip
DETAIL = {
    "jobs": LIST, "network": OBJECT, "connectComponentSSH": OBJECT, "connectComponentWebTerminal": OBJECT,
    "connectComponentJupyter": OBJECT, "connectComponentLog": OBJECT, "freeStorageSize": NUMBER,
    "keepDataDay": NUMBER, "releaseDataAt": TEXT, "localStoragePrice": TEXT, "version": TEXT,
}  # fmt: skip
PRODUCT = {
    "id": TEXT, "name": TEXT, "cpuPerGpu": TEXT, "memoryPerGpu": TEXT, "diskPerGpu": NUMBER,
    "availableDeploy": FLAG, "minRootFS": NUMBER, "maxRootFS": NUMBER, "minLocalStorage": NUMBER,
    "maxLocalStorage": NUMBER, "regions": LIST, "price": TEXT, "monthlyPrice": LIST, "billingMethods": LIST,
    "inventoryState": TEXT,
}  # fmt: skip
CLUSTER = {
    "id": TEXT, "name": TEXT, "availableGpuType": LIST, "supportNetworkStorage": FLAG,
    "supportInstanceNetwork": FLAG,
}  # fmt: skip
JOB = {"Id": TEXT, "user": TEXT, "type": TEXT, "state": OBJECT, "createdAt": TEXT, "instanceId": TEXT}
TEMPLATE = {"Id": TEXT, "name": TEXT, "type": TEXT, "channel": TEXT, "image": TEXT, "rootfsSize": NUMBER}


def assert_shape(row: dict[str, Any], shape: dict[str, type]) -> None:
    assert {name: type(row.get(name)) for name in shape} == shape


def test_instances_have_every_member_in_its_wire_form(start: Start) -> None:
    novita = start(fleet="demo", speed=1.0)

    for row in novita.list()["instances"]:
        detail = novita.get(row["id"])
        for found in (row, detail):
            assert_shape(found, COMMON)
            assert all(found[name].isdigit() for name in DIGITS)
            assert found["endTime"] == "-1"
            assert all(type(m["size"]) is str for m in found["volumeMounts"])
            assert all({"port", "endpoint", "type"} == set(m) for m in found["portMappings"])
        assert_shape(detail, DETAIL)
        assert "node" not in detail
    assert type(novita.list()["total"]) is int


def test_catalogue_jobs_and_templates_have_theirs(novita: Driver) -> None:
    novita.command("migrate", novita.running())

    for path, key, shape in (
        ("products", "data", PRODUCT),
        ("clusters", "data", CLUSTER),
        ("jobs", "jobs", JOB),
        ("templates", "template", TEMPLATE),
    ):
        rows = novita.read(f"{GPU}/{path}").json()[key]
        assert rows
        for row in rows:
            assert_shape(row, shape)


def test_every_answer_is_json_also_of_commands(novita: Driver) -> None:
    answer = novita.command("restart", novita.running())

    assert answer.headers["Content-Type"] == "application/json"
    assert answer.content == b"{}"
