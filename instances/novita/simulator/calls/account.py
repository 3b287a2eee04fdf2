"""Calls about what surrounds instances: registry credentials, network storages, networks and image prewarming."""

from typing import Any

from instances.novita.simulator import validation
from instances.novita.simulator.calls.context import Answer, Context
from instances.novita.simulator.catalogue import CLUSTERS, PRODUCTS
from instances.novita.simulator.errors import RefusedError, invalid
from instances.novita.simulator.ledger import STORAGE_RATE
from instances.novita.simulator.records import GONE_STATUSES
from instances.novita.simulator.wire import epoch

AUTH_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
MOST_PREWARMS = 5
PREWARM_SECONDS = 60
STORAGE_FIELDS = ("storageId", "storageName", "storageSize", "clusterId", "clusterName", "price")


def list_auths(context: Context) -> Answer:
    """Passwords in clear, as the provider does."""
    return {"data": list(context.world.objects["auth"].values())}


def save_auth(context: Context) -> Answer:
    body = context.body
    row = {
        "name": validation.text(body, "name", required=True),
        "username": validation.text(body, "username", required=True, longest=511),
        "password": validation.text(body, "password", required=True, longest=1024),
    }
    key = context.world.new_id("auth", alphabet=AUTH_ALPHABET, length=32)
    context.world.put("auth", key, {"id": key, **row})
    return {}


def delete_auth(context: Context) -> Answer:
    key = validation.text(context.body, "id", required=True)
    if key not in context.world.objects["auth"]:
        raise RefusedError("RESOURCE_NOT_FOUND", "image auth not found")
    if any(i.image_auth_id == key and i.status not in GONE_STATUSES for i in context.world.visible.values()):
        raise RefusedError("IMAGE_AUTH_IN_USE", "image auth in use")
    context.world.put("auth", key, None)
    return {}


def list_storages(context: Context) -> Answer:
    query = context.query
    page = validation.page(query, name="pageNo", base=context.page_base)
    name, key = validation.text(query, "storageName"), validation.text(query, "storageId")
    found = [
        {field: row[field] for field in STORAGE_FIELDS}
        for row in context.world.objects["storage"].values()
        if context.contains(name, row["storageName"]) and key in ("", row["storageId"])
    ]
    return {"data": found[page.cut()], "total": len(found)}


def create_storage(context: Context) -> Answer:
    body, world = context.body, context.world
    cluster = CLUSTERS.get(validation.text(body, "clusterId", required=True))
    name = validation.text(body, "storageName", required=True)
    size = validation.whole(body, "storageSize", low=10, high=1_000_000)
    if cluster is None:
        raise RefusedError("RESOURCE_NOT_FOUND", "cluster not found")
    if not cluster.network_storage:
        raise RefusedError("CUR_CLUSTER_NETWORK_STORAGE_NOT_SUPPORT", "no network storage in this cluster")
    digits = world.new_id("storage", length=32)
    key = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    row = {
        "storageId": key,
        "storageName": name,
        "storageSize": size,
        "clusterId": cluster.id,
        "clusterName": cluster.name,
        "price": str(STORAGE_RATE),
        "rate": size * STORAGE_RATE,
        "since": context.now,
        "spent": 0.0,
    }
    world.put("storage", key, row)
    world.ledger.change_rate(size * STORAGE_RATE, context.now)
    world.touch_account()
    return {"storageId": key, "storageName": name, "storageSize": size}


def update_storage(context: Context) -> Answer:
    """Grows or renames, never shrinks."""
    world, row = context.world, _storage(context)
    size = validation.whole(context.body, "storageSize", low=10, high=1_000_000, lenient=True)
    name = validation.text(context.body, "storageName")
    if size < row["storageSize"]:
        raise invalid("storageSize", "must not shrink")
    world.ledger.change_rate(size * STORAGE_RATE - row["rate"], context.now)
    world.touch_account()
    changed = {
        "storageName": name or row["storageName"],
        "storageSize": size,
        "rate": size * STORAGE_RATE,
        "since": context.now,
        "spent": storage_cost(row, context.now),
    }
    world.put("storage", row["storageId"], {**row, **changed})
    return {}


def delete_storage(context: Context) -> Answer:
    world, row = context.world, _storage(context)
    key = row["storageId"]
    for instance in world.visible.values():
        if instance.status not in GONE_STATUSES and any(s["id"] == key for s in instance.storages):
            raise RefusedError("NETWORK_STORAGE_IN_USE", "network storage in use")
    world.ledger.change_rate(-row["rate"], context.now)
    world.touch_account()
    world.put("storage", key, None)
    return {}


def storage_cost(row: dict[str, Any], now: float) -> float:
    """1/100000 USD since it was made."""
    return float(row["spent"]) + int(row["rate"]) * (now - float(row["since"])) / 86_400


def _storage(context: Context) -> dict[str, Any]:
    key = validation.text(context.body, "storageId", required=True)
    row = context.world.objects["storage"].get(key)
    if row is None:
        raise RefusedError("NETWORK_STORAGE_NOT_FOUND", "network storage not found")
    return row


def list_networks(context: Context) -> Answer:
    page = validation.page(context.query, base=context.page_base)
    name = validation.text(context.query, "name")
    found = [row for row in context.world.objects["network"].values() if context.contains(name, row["name"])]
    return {"networks": found[page.cut()], "total": str(len(found))}


def get_network(context: Context) -> Answer:
    return {"network": _network(context, validation.text(context.query, "networkId", required=True))}


def create_network(context: Context) -> Answer:
    cluster_id = validation.text(context.body, "clusterId", required=True)
    name = validation.text(context.body, "name", longest=30)
    if cluster_id not in CLUSTERS:
        raise RefusedError("RESOURCE_NOT_FOUND", "cluster not found")
    key = context.world.new_id("network")
    number = context.world.counters["network"] % 250
    row = {
        "Id": key,
        "user": "simulated-user",
        "name": name,
        "state": {"state": "ready", "error": ""},
        "segment": f"10.2.{number}.0/24",
        "clusterId": cluster_id,
        "Addresses": [],
        "createTime": epoch(context.now),
    }
    context.world.put("network", key, row)
    return {"network": row}


def update_network(context: Context) -> Answer:
    row = _network(context, validation.text(context.body, "networkId", required=True))
    context.world.put("network", row["Id"], {**row, "name": validation.text(context.body, "name", longest=30)})
    return {}


def delete_network(context: Context) -> Answer:
    row = _network(context, validation.text(context.body, "networkId", required=True))
    if any(i.network_id == row["Id"] and i.status not in GONE_STATUSES for i in context.world.visible.values()):
        raise RefusedError("NETWORK_IN_USE", "network in use")
    context.world.put("network", row["Id"], None)
    return {}


def _network(context: Context, key: str) -> dict[str, Any]:
    row = context.world.objects["network"].get(key)
    if row is None:
        raise RefusedError("NETWORK_NOT_FOUND", "network not found")
    return row


def list_prewarms(context: Context) -> Answer:
    query = context.query
    page = validation.page(query, name="page", base=1)
    state = validation.choice(query, "state", ("Pending", "Running", "Succeeded", "Failed"), default="")
    cluster_id, name = validation.text(query, "clusterId"), validation.text(query, "name")
    found = []
    for row in context.world.objects["prewarm"].values():
        shown = _prewarm(row, context)
        if (
            state in ("", shown["state"])
            and cluster_id in ("", row["clusterId"])
            and context.contains(name, row["imageName"] + row["note"])
        ):
            found.append(shown)
    return {"data": found[page.cut()], "total": len(found)}


def _prewarm(row: dict[str, Any], context: Context) -> dict[str, Any]:
    done_at = int(row["createTime"]) + PREWARM_SECONDS / context.world.speed
    if context.now < done_at:
        return {**row, "state": "Running", "completeTime": "0"}
    return {**row, "state": "Succeeded", "completeTime": epoch(done_at)}


def create_prewarm(context: Context) -> Answer:
    body, world = context.body, context.world
    image = validation.text(body, "imageUrl", required=True, longest=500)
    cluster = CLUSTERS.get(validation.text(body, "clusterId", required=True))
    if cluster is None:
        raise RefusedError("RESOURCE_NOT_FOUND", "cluster not found")
    if len(world.objects["prewarm"]) >= MOST_PREWARMS:
        raise RefusedError("IMAGE_PREWARM_NUM_LIMIT", "too many prewarm tasks")
    products = [p for p in body.get("productIds") or [] if p in PRODUCTS]
    key = world.new_id("prewarm")
    row = {
        "id": key,
        "imageName": image.rpartition("/")[2].partition(":")[0],
        "imageUrl": image,
        "repositoryAuth": validation.text(body, "repositoryAuth"),
        "clusterId": cluster.id,
        "clusterName": cluster.name,
        "products": [{"productId": p, "productName": PRODUCTS[p].name} for p in products],
        "imageSize": "7340032000",
        "createTime": epoch(context.now),
        "note": validation.text(body, "note"),
        "reason": [],
    }
    world.put("prewarm", key, row)
    return {"id": key}


def edit_prewarm(context: Context) -> Answer:
    key = validation.text(context.body, "id", required=True)
    row = context.world.objects["prewarm"].get(key)
    if row is None:
        raise RefusedError("RESOURCE_NOT_FOUND", "prewarm not found")
    context.world.put("prewarm", key, {**row, "note": validation.text(context.body, "note")})
    return {}


def delete_prewarms(context: Context) -> Answer:
    keys = context.body.get("ids")
    if not isinstance(keys, list):
        raise invalid("ids", "an array is required")
    for key in keys:
        context.world.put("prewarm", str(key), None)
    return {}


def prewarm_quota(context: Context) -> Answer:
    total = len(context.world.objects["prewarm"])
    return {"total": total, "limit": MOST_PREWARMS, "perImageSize": 100}
