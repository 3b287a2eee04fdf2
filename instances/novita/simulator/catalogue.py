"""What is on sale: clusters, products, stock and the official templates. Prices are 1/100000 USD per GPU-hour."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A data centre; products name it by `name`, everything else by `id`."""

    id: str
    name: str
    network_storage: bool = True
    instance_network: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A GPU machine as sold; `stock` maps a cluster id to the GPUs free there at the start."""

    id: str
    name: str
    cpu: int
    memory_gb: int
    price: int
    spot_price: int
    stock: dict[str, int]
    disk_gb: int = 60
    max_rootfs_gb: int = 6144

    @property
    def monthly_price(self) -> int:
        """A month bought in advance is a tenth cheaper than its hours."""
        return self.price * 720 * 9 // 10

    @property
    def billing_methods(self) -> list[str]:
        return ["onDemand", "monthly"] + (["spot"] if self.spot_price else [])


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuProduct:
    id: str
    name: str
    cpu: int
    memory_gb: int
    price: int


CLUSTERS = {
    c.id: c
    for c in (
        Cluster(id="1", name="US-01 (Dallas)"),
        Cluster(id="5", name="EU-01"),
        Cluster(id="cn-hk-1", name="CN-HK-01", instance_network=False),
        Cluster(id="us-ca-nas-2", name="US-CA-06 (California)"),
        Cluster(id="as-sgp-2", name="AS-SGP-02 (Singapore)"),
        Cluster(id="eu-de-3", name="EU-03 (Frankfurt)", network_storage=False),
    )
}

PRODUCTS = {
    p.id: p
    for p in (
        Product(id="3090.16c92g", name="RTX 3090 24GB", cpu=16, memory_gb=92, price=21_000, spot_price=11_000,
                stock={"us-ca-nas-2": 24, "5": 16, "as-sgp-2": 8}),
        Product(id="4090.16c62g", name="RTX 4090 24GB", cpu=16, memory_gb=62, price=35_000, spot_price=18_000,
                stock={"us-ca-nas-2": 32, "1": 24, "5": 16}),
        Product(id="4090.18c60g", name="RTX 4090 24GB", cpu=18, memory_gb=60, price=39_000, spot_price=20_000,
                stock={"cn-hk-1": 24, "as-sgp-2": 16}),
        Product(id="4090.16c96g.v2", name="RTX 4090 24GB", cpu=16, memory_gb=96, price=44_000, spot_price=22_000,
                stock={"eu-de-3": 16}),
        Product(id="4090d.16c60g", name="RTX 4090D 24GB", cpu=16, memory_gb=60, price=33_000, spot_price=17_000,
                stock={"cn-hk-1": 16}),
        Product(id="5090.16c90g", name="RTX 5090 32GB", cpu=16, memory_gb=90, price=63_000, spot_price=32_000,
                stock={"us-ca-nas-2": 16, "cn-hk-1": 8, "eu-de-3": 4}),
        Product(id="l40s.24c110g", name="L40S 48GB", cpu=24, memory_gb=110, price=79_000, spot_price=40_000,
                stock={"1": 16, "5": 8}),
        Product(id="a100.28c230g", name="A100 SXM4 80GB", cpu=28, memory_gb=230, price=160_000, spot_price=80_000,
                stock={"1": 16, "as-sgp-2": 8}),
        Product(id="h100.26c220g", name="H100 SXM 80GB", cpu=26, memory_gb=220, price=256_000, spot_price=128_000,
                stock={"us-ca-nas-2": 16, "1": 8, "eu-de-3": 8}),
        Product(id="h200.26c230g", name="H200 SXM 141GB", cpu=26, memory_gb=230, price=325_000, spot_price=0,
                stock={"us-ca-nas-2": 8}),
    )
}  # fmt: skip

CPU_PRODUCTS = {
    p.id: p
    for p in (
        CpuProduct(id="cpu.4c8g", name="CPU 4C8G", cpu=4, memory_gb=8, price=4_000),
        CpuProduct(id="cpu.8c16g", name="CPU 8C16G", cpu=8, memory_gb=16, price=8_000),
        CpuProduct(id="cpu.16c32g", name="CPU 16C32G", cpu=16, memory_gb=32, price=16_000),
    )
}


def first_stock() -> dict[str, dict[str, int]]:
    """GPUs free by cluster id and product id; a pair that is not sold has no entry."""
    return {cluster: {p.id: p.stock[cluster] for p in PRODUCTS.values() if cluster in p.stock} for cluster in CLUSTERS}


def inventory_word(free: int) -> str:
    """The provider's four words; its thresholds are unknown, these are ours."""
    if free <= 0:
        return "none"
    if free <= 4:
        return "low"
    return "normal" if free <= 16 else "high"


def _template(key: str, name: str, channel: str, image: str, port: int, **more: Any) -> dict[str, Any]:
    return {
        "Id": key, "name": name, "readme": f"# {name}", "type": "instance", "channel": channel, "image": image,
        "imageAuth": "", "startCommand": "", "entrypoint": "", "rootfsSize": 60,
        "ports": [{"type": "http", "ports": [port]}], "envs": [], "tools": [], "createdAt": "1711995567",
        "recommendCards": [], "minCudaVersion": "11.8", **more,
    }  # fmt: skip


_JUPYTER = {"name": "Jupyter", "describe": "Start Jupyter Notebook", "port": 8888, "type": "http"}
TEMPLATES = (
    _template("100", "PyTorch 2.5", "official", "pytorch/pytorch:2.5.1-cuda12.4-cudnn9-runtime", 8080,
              tools=[_JUPYTER], recommendCards=[{"gpuSpecId": "4090.16c62g", "cardNum": "1"}]),
    _template("101", "vLLM", "official", "vllm/vllm-openai:v0.8.5", 8000,
              startCommand="--model Qwen/Qwen2.5-7B-Instruct", minCudaVersion="12.4"),
    _template("102", "ComfyUI", "official", "novitalabs/comfyui:cu124", 8188, tools=[_JUPYTER],
              envs=[{"key": "COMFYUI_ARGS", "value": "--listen"}]),
    _template("20411", "Ollama", "community", "ollama/ollama:0.6.2", 11434),
)  # fmt: skip
