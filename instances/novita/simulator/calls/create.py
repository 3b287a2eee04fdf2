"""Reading a create request: every field is checked against the contract, then against the catalogue."""

from typing import Any

from instances.novita.simulator import validation
from instances.novita.simulator.calls.context import Context
from instances.novita.simulator.catalogue import CLUSTERS, CPU_PRODUCTS, PRODUCTS, CpuProduct, Product
from instances.novita.simulator.errors import RefusedError, invalid, no_capacity
from instances.novita.simulator.records import Instance

BILLING_MODES = ("onDemand", "monthly", "spot")
LARGEST_ROOTFS_GB = 6144
SMALLEST_ROOTFS_GB = 10
CLEAR_LETTERS = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789"


def requested_instance(context: Context) -> Instance:
    """The instance asked for, not yet in the account; raises what the provider would refuse."""
    body = context.body
    kind = validation.choice(body, "kind", ("gpu", "cpu"), default="gpu")
    fields = _plain_fields(context)
    tools = validation.tools(body)
    ports = validation.checked_ports(validation.port_text(body), tools=len(tools))
    month = validation.whole(body, "month", low=0, high=36, default=0)
    mode = validation.choice(body, "billingMode", BILLING_MODES, default="onDemand")
    mode = "monthly" if month else mode
    product_id = validation.text(body, "productId", required=True)
    hardware = _cpu_hardware(context, product_id) if kind == "cpu" else _gpu_hardware(context, product_id, mode)
    storages = [
        (validation.text(item, "Id", required=True), item) for item in validation.items(body, "networkStorages", most=30)
    ]
    mounts = storage_mounts(context, hardware["cluster_id"], storages, "mountPoint")
    return Instance(
        id=context.world.new_id("instance"),
        password="".join(context.world.next_random("password").choices(CLEAR_LETTERS, k=16)),
        kind=kind,
        created_at=context.now,
        billing_mode=mode,
        month=month,
        ports=ports,
        tools=tools,
        storages=mounts,
        **fields,
        **hardware,
    )


def _plain_fields(context: Context) -> dict[str, Any]:
    body, world = context.body, context.world
    validation.text(body, "imageAuth", longest=10239)
    validation.text(body, "minCudaVersion")
    auth_id, network_id = validation.text(body, "imageAuthId"), validation.text(body, "networkId")
    if auth_id and auth_id not in world.objects["auth"]:
        raise RefusedError("RESOURCE_NOT_FOUND", "image auth not found")
    if network_id and network_id not in world.objects["network"]:
        raise RefusedError("NETWORK_NOT_FOUND", "network not found")
    return {
        "name": validation.text(body, "name"),
        "image_url": validation.text(body, "imageUrl", required=True, longest=500),
        "image_auth_id": auth_id,
        "network_id": network_id,
        "command": validation.text(body, "command", longest=2047),
        "entrypoint": validation.text(body, "entrypoint", longest=2047),
        "envs": validation.envs(body),
        "auto_renew": validation.flag(body, "autoRenew", default=False),
        "auto_renew_month": validation.whole(body, "autoRenewMonth", low=1, high=12, default=1),
    }


def _gpu_hardware(context: Context, product_id: str, mode: str) -> dict[str, Any]:
    gpu_num = validation.whole(context.body, "gpuNum", low=1, high=8)
    rootfs_gb = validation.whole(context.body, "rootfsSize", low=0, high=LARGEST_ROOTFS_GB)
    product = PRODUCTS.get(product_id)
    if product is None:
        raise RefusedError("RESOURCE_NOT_FOUND", "product not found")
    if rootfs_gb > product.max_rootfs_gb:
        raise invalid("rootfsSize", f"at most {product.max_rootfs_gb} GB")
    if mode not in product.billing_methods:
        raise RefusedError("UNSUPPORTED_BILLING_MODE", f"{mode} is not sold for {product.name}")
    return {
        "product_id": product.id,
        "product_name": product.name,
        "cluster_id": _gpu_cluster(context, product, gpu_num),
        "gpu_num": gpu_num,
        "cpu_num": product.cpu * gpu_num,
        "memory_gb": product.memory_gb * gpu_num,
        "rootfs_gb": max(rootfs_gb, SMALLEST_ROOTFS_GB),
        "price": product.spot_price if mode == "spot" else product.price,
    }


def _gpu_cluster(context: Context, product: Product, gpu_num: int) -> str:
    """The cluster named, or any with enough GPUs; capacity is judged again when it is taken."""
    world, cluster_id = context.world, _named_cluster(context)
    if cluster_id:
        return cluster_id
    fitting = [c for c in CLUSTERS if world.free_gpus(c, product.id) >= gpu_num]
    if not fitting:
        raise no_capacity()
    return world.next_random("cluster").choice(fitting)


def _named_cluster(context: Context) -> str:
    cluster_id = validation.text(context.body, "clusterId")
    if cluster_id and cluster_id not in CLUSTERS:
        raise RefusedError("RESOURCE_NOT_FOUND", "cluster not found")
    return cluster_id


def _cpu_hardware(context: Context, product_id: str) -> dict[str, Any]:
    product: CpuProduct | None = CPU_PRODUCTS.get(product_id)
    if product is None:
        raise RefusedError("RESOURCE_NOT_FOUND", "product not found")
    cluster_id = _named_cluster(context) or context.world.next_random("cluster").choice(list(CLUSTERS))
    return {
        "product_id": product.id,
        "product_name": product.name,
        "cluster_id": cluster_id,
        "gpu_num": 0,
        "cpu_num": product.cpu,
        "memory_gb": product.memory_gb,
        "rootfs_gb": validation.whole(context.body, "rootfsSize", low=0, high=LARGEST_ROOTFS_GB, default=60),
        "price": product.price,
    }


def storage_mounts(
    context: Context, cluster_id: str, wanted: list[tuple[str, dict[str, Any]]], path_field: str
) -> list[dict[str, str]]:
    """Network storages lie in one cluster and can be mounted only there."""
    mounts = []
    for key, item in wanted:
        storage = context.world.objects["storage"].get(key)
        if storage is None:
            raise RefusedError("NETWORK_STORAGE_NOT_FOUND", "network storage not found")
        if storage["clusterId"] != cluster_id:
            raise RefusedError("CUR_CLUSTER_NETWORK_STORAGE_NOT_SUPPORT", "network storage is in another cluster")
        path = validation.text(item, path_field, longest=4095) or "/network"
        mounts.append({"id": key, "size": str(storage["storageSize"]), "mountPath": path})
    return mounts
