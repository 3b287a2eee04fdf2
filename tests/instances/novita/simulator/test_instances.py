"""Instances over a real socket."""

import socket
from datetime import UTC, datetime

import pytest
import requests

from tests.instances.novita.simulator.conftest import Start
from tests.instances.novita.simulator.driver import (
    GPU,
    INSTANCE,
    PRODUCT,
    Driver,
    assert_refused,
    create_body,
    until,
)


def test_an_instance_lives_from_create_to_not_found(start: Start) -> None:
    novita = start(speed=100.0)
    novita.turn("speed", timings={"removed_readable": 150})
    key = novita.running(ports="80/http", envs=[{"key": "MODE", "value": "train"}])
    assert novita.list()["instances"][0]["id"] == key

    assert novita.command("stop", key).json() == {"instanceId": key, "state": "toStop"}
    novita.wait(key, "exited")
    assert novita.command("start", key).json() == {"instanceId": key, "state": "toStart"}
    novita.wait(key, "running")
    assert novita.command("restart", key).json() == {}
    novita.wait(key, "running")
    assert novita.command("delete", key).json() == {}
    novita.wait(key, "removed")
    assert [row["status"] for row in novita.list()["instances"]] == ["removed"]

    until(lambda: novita.read(INSTANCE, instanceId=key).status_code == 400)
    assert_refused(novita.read(INSTANCE, instanceId=key), "RESOURCE_NOT_FOUND", says="instance not found")
    assert novita.list() == {"instances": [], "total": 0}
    words = [moment["status"] for moment in novita.truth(key)["timeline"]]
    assert words[:5] == ["pending", "toCreate", "creating", "pulling", "running"]
    assert words[-3:] == ["toRemove", "removing", "removed"]


@pytest.mark.parametrize("verb", ["start", "restart", "stop"])
def test_a_command_in_the_wrong_state_is_a_conflict(start: Start, verb: str) -> None:
    novita = start(speed=1.0)
    key = novita.create()

    assert_refused(novita.command(verb, key), "CONFLICT", says="invalid state change")


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "delete", "edit", "migrate"])
def test_a_command_on_an_unknown_instance_is_not_found(novita: Driver, verb: str) -> None:
    assert_refused(novita.command(verb, "0123456789abcdef"), "RESOURCE_NOT_FOUND")


def test_deleting_straight_after_create_works(start: Start) -> None:
    novita = start(speed=0.1)
    key = novita.create()

    assert novita.command("delete", key).status_code == 200
    assert novita.get(key)["status"] == "toRemove"


def test_names_are_not_unique_and_may_be_empty(novita: Driver) -> None:
    keys = {novita.create(name="same"), novita.create(name="same"), novita.create(name="")}

    assert len(keys) == 3
    assert novita.list(name="SAM")["total"] == 2


def test_lists_filter_and_page(start: Start) -> None:
    novita = start(speed=0.01)
    keys = [novita.create(name=f"n{number}") for number in range(12)]
    newest_first = keys[::-1]

    assert [row["id"] for row in novita.list(pageSize=5, pageNum=1)["instances"]] == newest_first[:5]
    assert [row["id"] for row in novita.list(pageSize=5, pageNum=0)["instances"]] == newest_first[:5]
    assert [row["id"] for row in novita.list(pageSize=5, pageNum=3)["instances"]] == newest_first[10:]
    assert len(novita.read(f"{GPU}/gpu/instances").json()["instances"]) == 10
    assert novita.list(pageSize=5, pageNum=9) == {"instances": [], "total": 12}
    assert novita.list(name="n11")["total"] == 1
    assert novita.list(status="running")["total"] == 0
    assert novita.list(productName="4090")["total"] == 12


def test_pages_may_count_from_zero(start: Start) -> None:
    novita = start(speed=0.01, page_base=0)
    keys = [novita.create() for _ in range(3)]

    assert [row["id"] for row in novita.list(pageSize=2, pageNum=1)["instances"]] == keys[:1]


def test_endpoints_are_really_reachable_while_the_service_is_up(start: Start) -> None:
    novita = start(speed=20.0)
    key = novita.running(ports="8080/http, 9000/tcp", tools=[{"name": "Jupyter", "port": "8888", "type": "http"}])
    ports = {row["port"]: row["endpoint"] for row in novita.get(key)["portMappings"]}
    host, port = ports[9000].split(":")

    assert novita.session.get(ports[8080], timeout=5).status_code == 502
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
    until(lambda: novita.session.get(ports[8080], timeout=5).status_code == 200)
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        assert connection.recv(100)
    jupyter = novita.get(key)["connectComponentJupyter"]
    assert jupyter["isRunning"]
    assert novita.session.get(jupyter["address"], timeout=5).status_code == 200

    novita.command("stop", key)
    novita.wait(key, "exited")
    assert {row["endpoint"] for row in novita.get(key)["portMappings"]} == {""}
    assert novita.session.get(ports[8080], timeout=5).status_code == 502
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)


def test_a_service_can_fail_and_recover_at_the_same_endpoint(novita: Driver) -> None:
    key = novita.running(ports="9000/tcp")
    host, port = until(lambda: novita.get(key)["portMappings"][0]["endpoint"]).split(":")
    until(lambda: novita.truth(key)["service_up"])

    novita.turn("load", instance=key, service="down")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
    novita.turn("load", instance=key, service="up")

    socket.create_connection((host, int(port)), timeout=5).close()


def test_ssh_terminal_and_logs_are_local(novita: Driver) -> None:
    key = novita.running(name="talker")
    novita.turn("load", instance=key, gpu_percent=90)
    detail = novita.get(key)

    port = int(detail["connectComponentSSH"]["sshCommand"].split()[2])
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    log = detail["connectComponentLog"]
    assert "pulling pytorch/pytorch:latest" in novita.session.get(log["systemLogAddress"], timeout=5).text
    assert "starting" in novita.session.get(log["instanceLogAddress"], timeout=5).text


def test_edit_replaces_ports_after_a_while_and_disks_only_grow(novita: Driver) -> None:
    key = novita.running(ports="80/http")

    answer = novita.command("edit", key, ports=[{"port": 81, "type": "http"}], expandRootDisk=40)

    assert answer.json() == {}
    assert novita.get(key)["rootfsSize"] == 100
    until(lambda: [row["port"] for row in novita.get(key)["portMappings"]] == [81])
    assert_refused(novita.command("edit", key, expandRootDisk=-1), "VALIDATOR_PARAM", says="expandRootDisk")


def test_a_migration_keeps_the_id_and_leaves_a_job(start: Start) -> None:
    novita = start()
    key = novita.running()
    novita.turn("speed", speed=1)

    answer = novita.command("migrate", key).json()

    assert answer["instanceId"] == key
    assert novita.get(key)["status"] == "migrating"
    assert novita.get(key)["jobs"] == [{"id": answer["jobId"], "type": "instanceMigrate"}]
    assert_refused(novita.write(f"{GPU}/job/break", jobId=answer["jobId"]), "MIGRATION_JOB_NOT_BREAKABLE")
    novita.turn("speed", speed=200)
    novita.wait(key, "running")
    jobs = novita.read(f"{GPU}/jobs", type="instanceMigrate", state="", jobId="").json()
    assert [(job["Id"], job["state"]["state"]) for job in jobs["jobs"]] == [(answer["jobId"], "success")]


def test_saving_an_image_is_a_job_that_blocks_and_can_be_broken(start: Start) -> None:
    novita = start(speed=100.0)
    key = novita.running()
    novita.turn("speed", speed=1)

    job = novita.write(f"{GPU}/job/save/image", instanceId=key, image="docker.io/acme/train:v1").json()["jobId"]
    assert_refused(novita.command("stop", key), "CONFLICT")
    assert novita.write(f"{GPU}/job/break", jobId=job).json() == {"jobId": job}
    assert novita.read(f"{GPU}/jobs", jobId=job).json()["jobs"][0]["state"]["state"] == "break"

    novita.turn("speed", speed=1000)
    novita.write(f"{GPU}/job/save/image", instanceId=key, image="docker.io/acme/train:v2")
    images = until(lambda: novita.read(f"{GPU}/images").json()["data"])
    assert images[0]["tags"] == [{"name": "v2", "url": "docker.io/acme/train:v2"}]
    assert_refused(novita.write(f"{GPU}/job/break", jobId="nope"), "JOB_NOT_FOUND")


def test_an_upgrade_sets_everything_anew(novita: Driver) -> None:
    key = novita.running(envs=[{"key": "OLD", "value": "1"}])

    answer = novita.command(
        "upgrade", key, imageUrl="other:1", envs=[], command="run", entrypoint="", save=True,
        networkVolume={"volumeMounts": []},
    )  # fmt: skip

    assert answer.json() == {}
    detail = novita.wait(key, "running")
    assert (detail["imageUrl"], detail["envs"], detail["command"]) == ("other:1", [], "run")
    assert_refused(novita.command("upgrade", key, imageUrl="x", envs=[]), "VALIDATOR_PARAM", says="command")


def test_stopped_data_has_a_purge_date_on_the_wall_clock(novita: Driver) -> None:
    novita.turn("speed", speed=200, timings={"keep_data_days": 7})
    key = novita.running()
    novita.command("stop", key)
    detail = novita.wait(key, "exited")

    expected = int(detail["lastStoppedAt"]) + 7 * 86_400 / 200
    assert abs(int(detail["releaseDataAt"]) - expected) <= 1
    assert detail["keepDataDay"] == 7


def test_a_crash_exits_with_its_reason(novita: Driver) -> None:
    key = novita.running()

    novita.turn("load", instance=key, crash="oom")

    detail = novita.get(key)
    assert (detail["status"], detail["statusError"]["state"]) == ("exited", "oom")


def test_subscriptions_are_paid_at_once_and_never_released(novita: Driver) -> None:
    before = novita.look("state")["balance_usd"]
    key = novita.create(productId="3090.16c92g", month=1)

    assert novita.get(key)["billingMode"] == "monthly"
    assert before - novita.look("state")["balance_usd"] == pytest.approx(0.21 * 720 * 0.9, abs=0.01)
    assert_refused(novita.command("delete", key), "PREPAID_INSTANCE_NOT_SUPPORT_RELEASE")
    assert int(novita.get(key)["endTime"]) > datetime.now(tz=UTC).timestamp() + 29 * 86_400


def test_cpu_instances_have_no_gpu(novita: Driver) -> None:
    key = novita.create(kind="cpu", productId="cpu.8c16g", gpuNum=None, rootfsSize=None, clusterId=None)

    detail = novita.wait(key, "running")
    assert (detail["kind"], detail["gpuNum"], detail["cpuNum"]) == ("cpu", "0", "8")


BAD_CREATES = [
    ({"productId": None}, "productId"),
    ({"imageUrl": ""}, "imageUrl"),
    ({"gpuNum": None}, "gpuNum"),
    ({"gpuNum": 9}, "gpuNum"),
    ({"gpuNum": "1"}, "gpuNum"),
    ({"rootfsSize": 7000}, "rootfsSize"),
    ({"name": "x" * 256}, "name"),
    ({"ports": "80"}, "ports"),
    ({"ports": "2222/tcp"}, "ports"),
    ({"ports": "80/udp"}, "ports"),
    ({"ports": [{"port": 80, "type": "http"}]}, "ports"),
    ({"ports": ", ".join(f"{port}/http" for port in range(1, 17))}, "ports"),
    ({"envs": {"A": "1"}}, "envs"),
    ({"envs": [{"key": "", "value": "1"}]}, "envs"),
    ({"tools": [{"name": "Jupyter", "port": 8888, "type": "http"}]}, "port"),
    ({"kind": "tpu"}, "kind"),
    ({"billingMode": "free"}, "billingMode"),
    ({"command": "x" * 2048}, "command"),
]


@pytest.mark.parametrize(("change", "field"), BAD_CREATES)
def test_a_create_that_breaks_the_contract_names_the_field(novita: Driver, change: dict[str, object], field: str) -> None:
    answer = novita.write(f"{INSTANCE}/create", **create_body(**change))

    assert_refused(answer, "VALIDATOR_PARAM", says=field)
    assert novita.list()["total"] == 0


REFUSED_CREATES = [
    ({"productId": "none"}, "RESOURCE_NOT_FOUND"),
    ({"clusterId": "none"}, "RESOURCE_NOT_FOUND"),
    ({"imageAuthId": "none"}, "RESOURCE_NOT_FOUND"),
    ({"networkId": "none"}, "NETWORK_NOT_FOUND"),
    ({"productId": "h200.26c230g", "billingMode": "spot"}, "UNSUPPORTED_BILLING_MODE"),
    ({"networkStorages": [{"Id": "none", "mountPoint": "/x"}]}, "NETWORK_STORAGE_NOT_FOUND"),
    ({"clusterId": "cn-hk-1"}, "INSUFFICIENT_RESOURCE"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED_CREATES)
def test_a_create_of_what_is_not_there_gives_the_reason(novita: Driver, change: dict[str, object], reason: str) -> None:
    assert_refused(novita.write(f"{INSTANCE}/create", **create_body(**change)), reason)


def test_unknown_members_are_ignored_and_small_disks_grow(novita: Driver) -> None:
    key = novita.create(rootfsSize=5, env=[{"key": "A", "value": "1"}], colour="red")

    assert (novita.get(key)["rootfsSize"], novita.get(key)["envs"]) == (10, [])


def test_keys_are_required_and_one_may_be_the_only_one(start: Start) -> None:
    novita = start(api_key="sk_right")

    assert_refused(novita.read(f"{GPU}/clusters"), "UNAUTHORIZED", status=401)
    novita.session.headers["Authorization"] = "Bearer sk_right"
    assert novita.read(f"{GPU}/clusters").status_code == 200
    del novita.session.headers["Authorization"]
    assert_refused(novita.read(f"{GPU}/clusters"), "MISSING_API_KEY")


def test_only_json_is_read_and_only_known_paths_answer(novita: Driver) -> None:
    url = f"{novita.url}{INSTANCE}/create"
    for data, kind in ((b"{}", "text/plain"), (b"{not json", "application/json"), (b"[]", "application/json")):
        answer = novita.session.post(url, data=data, headers={"Content-Type": kind}, timeout=5)
        assert_refused(answer, "REQUEST")
    assert novita.read(f"{GPU}/gpu/instances/abc").status_code == 404
    assert "reason" not in novita.read(f"{GPU}/nothing").json()
    assert novita.read(f"{INSTANCE}/create").status_code == 405


def test_many_requests_share_one_connection(novita: Driver) -> None:
    with requests.Session() as session:
        session.headers["Authorization"] = "Bearer sk_any"
        answers = [session.get(f"{novita.url}{GPU}/clusters", timeout=5) for _ in range(3)]
    assert {answer.raw.version for answer in answers} == {11}
    assert all("close" not in answer.headers.get("Connection", "") for answer in answers)


def test_a_created_instance_takes_its_product_from_the_catalogue(novita: Driver) -> None:
    key = novita.create(gpuNum=2, billingMode="spot")

    detail = novita.get(key)
    assert (detail["productId"], detail["productName"]) == (PRODUCT, "RTX 4090 24GB")
    assert (detail["cpuNum"], detail["memory"], detail["gpuNum"]) == ("32", "124", "2")
    assert detail["instancePrice"] == "18000"
