"""Calls about clusters and what they sell."""

from instances.novita.simulator import validation
from instances.novita.simulator.calls.context import Answer, Context
from instances.novita.simulator.catalogue import CLUSTERS, CPU_PRODUCTS, PRODUCTS, Product, inventory_word

BILLING_MODES = ("onDemand", "monthly", "spot")


def list_clusters(context: Context) -> Answer:
    return {
        "data": [
            {
                "id": cluster.id,
                "name": cluster.name,
                "availableGpuType": sorted(
                    {PRODUCTS[p].name for p in context.world.stock.get(cluster.id, {}) if p in PRODUCTS}
                ),
                "supportNetworkStorage": cluster.network_storage,
                "supportInstanceNetwork": cluster.instance_network,
            }
            for cluster in CLUSTERS.values()
        ]
    }


def list_products(context: Context) -> Answer:
    """Stock differs by cluster: only with `clusterId` does `availableDeploy` speak of one place."""
    query = context.query
    cluster_id = validation.text(query, "clusterId")
    gpu_num = validation.query_whole(query, "gpuNum", high=8) or 1
    mode = validation.choice(query, "billingMethod", BILLING_MODES, default="onDemand")
    name = validation.text(query, "productName")
    least = {field: validation.query_whole(query, field) for field in ("minCpuPerGpu", "minMemoryPerGpu", "minRootFSSize")}
    found = []
    for product in PRODUCTS.values():
        sold_in = [c for c in CLUSTERS if product.id in context.world.stock.get(c, {})]
        if (
            (not cluster_id or cluster_id in sold_in)
            and mode in product.billing_methods
            and context.contains(name, product.name)
            and product.cpu >= least["minCpuPerGpu"]
            and product.memory_gb >= least["minMemoryPerGpu"]
            and product.max_rootfs_gb >= least["minRootFSSize"]
        ):
            places = [cluster_id] if cluster_id else sold_in
            found.append(_product(context, product, sold_in, places, gpu_num))
    return {"data": found}


def _product(context: Context, product: Product, sold_in: list[str], places: list[str], gpu_num: int) -> dict[str, object]:
    free = max((context.world.free_gpus(c, product.id) for c in places), default=0)
    answer: dict[str, object] = {
        "id": product.id,
        "name": product.name,
        "cpuPerGpu": str(product.cpu),
        "memoryPerGpu": str(product.memory_gb),
        "diskPerGpu": product.disk_gb,
        "availableDeploy": free >= gpu_num,
        "minRootFS": 10,
        "maxRootFS": product.max_rootfs_gb,
        "minLocalStorage": 0,
        "maxLocalStorage": product.max_rootfs_gb,
        "regions": [CLUSTERS[c].name for c in sold_in],
        "price": str(product.price),
        "monthlyPrice": [{"price": str(product.monthly_price), "month": "1"}],
        "billingMethods": product.billing_methods,
        "inventoryState": inventory_word(free if free >= gpu_num else 0),
    }
    if product.spot_price:
        answer["spotPrice"] = str(product.spot_price)
    return answer


def list_cpu_products(context: Context) -> Answer:
    validation.text(context.query, "clusterId")
    name = validation.text(context.query, "productName")
    return {
        "data": [
            {
                "id": product.id,
                "name": product.name,
                "cpuNum": product.cpu,
                "memorySize": product.memory_gb,
                "rootfsSize": 60,
                "localVolumeSize": 60,
                "availableDeploy": True,
                "price": str(product.price),
            }
            for product in CPU_PRODUCTS.values()
            if context.contains(name, product.name)
        ]
    }
