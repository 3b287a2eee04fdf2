"""Templates, registry credentials, storages, networks and prewarming over a real socket."""

import pytest

from tests.instances.novita.simulator.driver import CLUSTER, GPU, INSTANCE, Driver, assert_refused, create_body

TEMPLATE = {"name": "mine", "type": "instance", "channel": "private", "image": "i:1", "rootfsSize": 10}


def test_templates_are_made_changed_and_removed(novita: Driver) -> None:
    key = novita.write(f"{GPU}/template/create", template=TEMPLATE).json()["templateId"]
    assert key.isdigit()

    ports = [{"type": "http", "ports": [8080]}]
    change = {"Id": key, "name": "renamed", "ports": ports}
    assert novita.write(f"{GPU}/template/update", template=change).json() == {"templateId": key}
    found = novita.read(f"{GPU}/template", templateId=key).json()["template"]
    assert (found["name"], found["image"], found["ports"]) == ("renamed", "i:1", ports)
    assert novita.write(f"{GPU}/template/delete", templateId=key).json() == {"templateId": key}
    answer = novita.read(f"{GPU}/template", templateId=key)
    assert_refused(answer, "TEMPLATE_NOT_FOUND", says="template not found")


def test_templates_are_listed_by_channel(novita: Driver) -> None:
    novita.write(f"{GPU}/template/create", template=TEMPLATE)

    def channels(**query: str) -> set[str]:
        return {row["channel"] for row in novita.read(f"{GPU}/templates", **query).json()["template"]}

    assert channels() == {"official", "community", "private"}
    assert channels(channel="official,community") == {"official", "community"}
    assert channels(channel="private", isMyCommunity="true") == {"private"}
    none = novita.read(f"{GPU}/templates", name="no such").json()
    assert (none["template"], none["total"]) == ([], 0)
    assert {"pageSize", "pageNum"} <= set(none)
    assert_refused(novita.read(f"{GPU}/templates", channel="public"), "VALIDATOR_PARAM", says="channel")


@pytest.mark.parametrize("change", [{"name": ""}, {"rootfsSize": 0}, {"channel": "official"}, {"image": None}])
def test_bad_templates_are_refused(novita: Driver, change: dict[str, object]) -> None:
    answer = novita.write(f"{GPU}/template/create", template={**TEMPLATE, **change})
    assert_refused(answer, "VALIDATOR_PARAM", says=next(iter(change)))


def test_official_templates_stay(novita: Driver) -> None:
    assert_refused(novita.write(f"{GPU}/template/delete", templateId="100"), "FORBIDDEN", status=403)


def test_registry_credentials_are_listed_in_clear_and_kept_while_in_use(novita: Driver) -> None:
    saved = novita.write(f"{GPU}/repository/auth/save", name="docker.io", username="u", password="p")
    assert saved.json() == {}
    (row,) = novita.read(f"{GPU}/repository/auths").json()["data"]
    assert (row["name"], row["username"], row["password"], len(row["id"])) == ("docker.io", "u", "p", 32)

    novita.create(imageAuthId=row["id"])
    assert_refused(novita.write(f"{GPU}/repository/auth/delete", id=row["id"]), "IMAGE_AUTH_IN_USE")
    assert "p" not in [r["body"]["password"] for r in novita.look("calls")["requests"] if "password" in (r["body"] or {})]


def test_storages_grow_cost_money_and_bind_to_their_cluster(novita: Driver) -> None:
    path = f"{GPU}/networkstorage"
    made = novita.write(f"{path}/create", clusterId=CLUSTER, storageName="data", storageSize=100).json()
    key = made["storageId"]
    assert novita.read(f"{GPU}/networkstorages/list", pageNo=0).json()["total"] == 1

    assert_refused(novita.write(f"{path}/update", storageId=key, storageSize=50), "VALIDATOR_PARAM")
    assert novita.write(f"{path}/update", storageId=key, storageSize="200").json() == {}
    (row,) = novita.read(f"{GPU}/networkstorages/list", storageId=key).json()["data"]
    assert (row["storageSize"], row["clusterId"]) == (200, CLUSTER)

    mounts = [{"Id": key, "mountPoint": "/data"}]
    elsewhere = novita.write(f"{INSTANCE}/create", **create_body(networkStorages=mounts, clusterId="5"))
    assert_refused(elsewhere, "CUR_CLUSTER_NETWORK_STORAGE_NOT_SUPPORT")
    instance = novita.create(networkStorages=mounts)
    mount = novita.get(instance)["volumeMounts"][1]
    assert mount == {"type": "network", "size": "200", "id": key, "mountPath": "/data"}
    assert_refused(novita.write(f"{path}/delete", storageId=key), "NETWORK_STORAGE_IN_USE")
    novita.command("delete", instance)
    assert novita.write(f"{path}/delete", storageId=key).json() == {}
    assert_refused(novita.write(f"{path}/delete", storageId=key), "NETWORK_STORAGE_NOT_FOUND")


def test_networks_and_prewarms_exist(novita: Driver) -> None:
    novita.write(f"{GPU}/network/create", clusterId=CLUSTER, name="lab")
    networks = novita.read(f"{GPU}/networks").json()
    assert (networks["total"], networks["networks"][0]["name"]) == ("1", "lab")
    key = networks["networks"][0]["Id"]
    assert novita.write(f"{GPU}/network/delete", networkId=key).json() == {}

    made = novita.write(f"{GPU}/image/prewarm", imageUrl="a/b:1", clusterId=CLUSTER, note="n").json()
    (row,) = novita.read(f"{GPU}/image/prewarm", page=1).json()["data"]
    assert (row["id"], row["imageName"]) == (made["id"], "b")
    assert novita.read(f"{GPU}/image/prewarm/quota").json() == {"total": 1, "limit": 5, "perImageSize": 100}
    assert novita.write(f"{GPU}/image/prewarm/delete", ids=[made["id"]]).json() == {}
