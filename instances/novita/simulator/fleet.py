"""The machines that are there at the first start, as if made in Novita's own console."""

from dataclasses import dataclass

from instances.novita.simulator.catalogue import PRODUCTS
from instances.novita.simulator.lifecycle import enter, notify
from instances.novita.simulator.records import Instance, Load
from instances.novita.simulator.world import World

HOUR = 3600.0
NOTICE = 45 * 60.0
CHAIN = ("pending", "toCreate", "creating", "pulling", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """One machine of a fleet; `hours` is how long ago it was made."""

    name: str
    product_id: str
    cluster_id: str
    hours: float
    gpu: float = 0.0
    cpu_cores: float = 0.05
    gpu_num: int = 1
    mode: str = "onDemand"
    rootfs_gb: int = 60
    image_url: str = "pytorch/pytorch:2.5.1-cuda12.4-cudnn9-runtime"
    ports: tuple[tuple[int, str], ...] = ((8080, "http"),)
    ends_as: str = "running"


DEMO = (
    Seed(name="llama-3-70b-api", product_id="h100.26c220g", cluster_id="us-ca-nas-2", hours=5, gpu=91,
         cpu_cores=9.5, gpu_num=2, rootfs_gb=300, image_url="vllm/vllm-openai:v0.8.5",
         ports=((8000, "http"), (22022, "tcp"))),
    Seed(name="sdxl-notebook", product_id="4090.16c62g", cluster_id="us-ca-nas-2", hours=1.5,
         ports=((8888, "http"),)),
    Seed(name="old-experiment", product_id="a100.28c230g", cluster_id="1", hours=72, rootfs_gb=200),
    Seed(name="comfyui-test", product_id="4090.18c60g", cluster_id="cn-hk-1", hours=2, ends_as="pulling",
         image_url="registry.example.com/team/comfyui-with-all-models:huge"),
    Seed(name="lora-training", product_id="4090.18c60g", cluster_id="cn-hk-1", hours=3, gpu=97, cpu_cores=4,
         mode="spot", ends_as="notified", ports=((6006, "http"), (22022, "tcp"))),
    Seed(name="whisper-batch", product_id="3090.16c92g", cluster_id="5", hours=52, rootfs_gb=120,
         ends_as="exited"),
    Seed(name="", product_id="3090.16c92g", cluster_id="as-sgp-2", hours=8, ports=()),
    Seed(name="dev", product_id="4090d.16c60g", cluster_id="cn-hk-1", hours=4, gpu=35, cpu_cores=2),
    Seed(name="dev", product_id="l40s.24c110g", cluster_id="5", hours=0.6, mode="spot"),
)  # fmt: skip


def seed_fleet(world: World, fleet: str, now: float) -> None:
    """`empty`, `demo` or a number of running machines; only in an account that has not begun."""
    if world.is_seeded:
        return
    world.is_seeded = True
    world.touch_account()
    if fleet == "demo":
        for seed in DEMO:
            _add(world, seed, now)
    elif fleet != "empty":
        for number in range(int(fleet)):
            _add(world, _numbered(world, number), now, takes_stock=False)
        # A big fleet would freeze the account within minutes, so it comes with the money for a month.
        world.ledger.pay(-30 * world.ledger.rate, now)


def _numbered(world: World, number: int) -> Seed:
    chance = world.random(f"fleet/{number}")
    product = chance.choice(list(PRODUCTS.values()))
    return Seed(
        name=f"fleet-{number:05}",
        product_id=product.id,
        cluster_id=chance.choice(sorted(product.stock)),
        hours=chance.uniform(0.1, 48),
        gpu=chance.choice((0.0, 0.0, 45.0, 92.0)),
        mode="spot" if product.spot_price and chance.random() < 0.3 else "onDemand",
    )


def _add(world: World, seed: Seed, now: float, *, takes_stock: bool = True) -> None:
    product, created_at = PRODUCTS[seed.product_id], now - seed.hours * HOUR
    instance = Instance(
        id=world.new_id("instance"),
        name=seed.name,
        kind="gpu",
        product_id=product.id,
        product_name=product.name,
        cluster_id=seed.cluster_id,
        gpu_num=seed.gpu_num,
        cpu_num=product.cpu * seed.gpu_num,
        memory_gb=product.memory_gb * seed.gpu_num,
        rootfs_gb=seed.rootfs_gb,
        price=product.spot_price if seed.mode == "spot" else product.price,
        billing_mode=seed.mode,
        image_url=seed.image_url,
        created_at=created_at,
        ports=list(seed.ports),
        password=world.new_id("password"),
        loads=[Load(created_at, {"*": seed.gpu}, seed.cpu_cores)],
    )
    if takes_stock:
        world.take_stock(instance)
    world.add(instance)
    _live_until(world, instance, seed, now)


def _live_until(world: World, instance: Instance, seed: Seed, now: float) -> None:
    """Lets its past happen; money spent before the account began is not taken from the balance."""
    at = instance.created_at
    for status, seconds in zip(CHAIN, (0, 1, 1, 5, 40), strict=True):
        at = min(at + seconds, now)
        enter(world, instance, status, at)
        if status == seed.ends_as:
            return
    if seed.ends_as == "exited":
        enter(world, instance, "exited", min(now, at + 4 * HOUR))
    elif seed.ends_as == "notified":
        notify(world, instance, now, now + NOTICE / world.speed)
