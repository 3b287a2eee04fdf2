"""The account as it is: instances, jobs, stock, money and the plan of what comes next.

Holds and stores; `lifecycle.advance` moves it through time and `commands` changes it. Not thread-safe: callers
hold `World.lock`. What was changed is written by `flush`, which every call does before it answers.
"""

from collections import defaultdict
from heapq import heapify, heappop, heappush
from itertools import count
from random import Random
from threading import RLock
from typing import Any

from instances.novita.simulator.catalogue import TEMPLATES, first_stock
from instances.novita.simulator.ledger import UNITS_PER_USD, Ledger, open_rate
from instances.novita.simulator.records import NEVER, Instance, Job, Load, Step
from instances.novita.simulator.store import Store
from instances.novita.simulator.timings import Timings

OBJECT_KINDS = ("template", "auth", "storage", "network", "prewarm")
# Announced on the wire as a time, so a change of speed must not move it.
ANNOUNCED_STEPS = frozenset({"purge", "spot"})


class World:
    """Loads what `store` holds, or begins an account with `balance_usd`."""

    def __init__(self, store: Store, *, seed: int, balance_usd: float, now: float, speed: float = 1.0) -> None:
        self.lock = RLock()
        self.store = store
        self.seed = seed
        self.speed = speed
        self.timings = Timings()
        self.counters: dict[str, int] = {}
        self.stock = first_stock()
        self.ledger = Ledger(balance=balance_usd * UNITS_PER_USD, at=now)
        self.default_load = Load(NEVER, {"*": 0.0}, 0.05)
        self.spot_rate_per_hour = 0.0
        self.is_seeded = False
        self.instances: dict[str, Instance] = {}
        self.visible: dict[str, Instance] = {}
        self.jobs: dict[str, Job] = {}
        self.jobs_of: dict[str, list[Job]] = defaultdict(list)
        self.objects: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in OBJECT_KINDS}
        self.objects["template"] = {t["Id"]: dict(t) for t in TEMPLATES}
        self.changed_services: set[str] = set()
        self._due: list[tuple[float, int, str]] = []
        self._order = count()
        self._dirty: dict[tuple[str, str], None] = {}
        self._load()

    # what comes next

    def schedule(self, instance: Instance, steps: list[Step]) -> None:
        """Replaces the plan of the instance."""
        instance.plan = sorted(steps)
        self.expect(instance)

    def expect(self, instance: Instance) -> None:
        if instance.plan:
            heappush(self._due, (instance.plan[0].at, next(self._order), instance.id))

    def next_due(self) -> float:
        return self._due[0][0] if self._due else float("inf")

    def pop_due(self) -> tuple[Instance, Step] | None:
        """The earliest step, taken off its plan; None for an entry whose plan has changed meanwhile."""
        at, _, key = heappop(self._due)
        instance = self.instances[key]
        if not instance.plan or instance.plan[0].at > at:
            return None
        return instance, instance.plan.pop(0)

    def change_speed(self, speed: float, now: float) -> None:
        """What is under way keeps its share: half done stays half done."""
        factor, self.speed = self.speed / speed, speed

        def moved(at: float) -> float:
            return now + (at - now) * factor if at > now else at

        for instance in self.instances.values():
            if instance.plan:
                steps = [s if s.kind in ANNOUNCED_STEPS else s._replace(at=moved(s.at)) for s in instance.plan]
                self.schedule(instance, steps)
                self.touch(instance)
        for job in self.jobs.values():
            if job.steps[-1][0] > now:
                job.steps = [(moved(at), state) for at, state in job.steps]
                self.touch_job(job)
        self.touch_account()

    # chance, the same for the same seed and the same sequence of requests

    def random(self, topic: str) -> Random:
        return Random(f"{self.seed}/{topic}")

    def next_random(self, kind: str) -> Random:
        self.counters[kind] = self.counters.get(kind, 0) + 1
        self.touch_account()
        return self.random(f"{kind}/{self.counters[kind]}")

    def new_id(self, kind: str, *, alphabet: str = "0123456789abcdef", length: int = 16) -> str:
        return "".join(self.next_random(kind).choices(alphabet, k=length))

    # stock, in GPUs

    def free_gpus(self, cluster_id: str, product_id: str) -> int:
        return self.stock.get(cluster_id, {}).get(product_id, 0)

    def take_stock(self, instance: Instance) -> bool:
        """True once the instance holds its GPUs; CPU instances never run out."""
        if instance.kind == "cpu" or instance.holds_stock:
            return True
        free = self.free_gpus(instance.cluster_id, instance.product_id)
        if free < instance.gpu_num:
            return False
        self.stock[instance.cluster_id][instance.product_id] = free - instance.gpu_num
        instance.holds_stock = True
        self.touch_account()
        return True

    def give_back_stock(self, instance: Instance) -> None:
        if instance.holds_stock:
            shelf = self.stock.setdefault(instance.cluster_id, {})
            shelf[instance.product_id] = shelf.get(instance.product_id, 0) + instance.gpu_num
            instance.holds_stock = False
            self.touch_account()

    # persistence

    def add(self, instance: Instance) -> None:
        self.instances[instance.id] = instance
        self.visible[instance.id] = instance
        self.touch(instance)

    def forget(self, instance: Instance, at: float) -> None:
        """The provider answers not found from now on; the state keeps it for ever."""
        instance.forgotten_at = at
        self.visible.pop(instance.id, None)
        self.touch(instance)

    def add_job(self, job: Job) -> None:
        self.jobs[job.id] = job
        self.jobs_of[job.instance_id].append(job)
        self.touch_job(job)

    def put(self, kind: str, key: str, body: dict[str, Any] | None) -> None:
        """Stores a template, registry auth, storage, network or prewarm; None removes it."""
        if body is None:
            self.objects[kind].pop(key, None)
        else:
            self.objects[kind][key] = body
        self._dirty[kind, key] = None

    def touch(self, instance: Instance) -> None:
        self._dirty["instance", instance.id] = None

    def touch_job(self, job: Job) -> None:
        self._dirty["job", job.id] = None

    def touch_account(self) -> None:
        self._dirty["account", "1"] = None

    def flush(self) -> None:
        if self._dirty:
            self.store.write([(kind, key, self._row(kind, key)) for kind, key in self._dirty])
            self._dirty.clear()

    def _row(self, kind: str, key: str) -> dict[str, Any]:
        if kind == "instance":
            return self.instances[key].to_row()
        if kind == "job":
            return self.jobs[key].to_row()
        if kind == "account":
            return self._account_row()
        return self.objects[kind].get(key, {"deleted": True})

    def _account_row(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "speed": self.speed,
            "timings": self.timings.as_row(),
            "counters": self.counters,
            "stock": self.stock,
            "balance": self.ledger.balance,
            "balance_at": self.ledger.at,
            "is_frozen": self.ledger.is_frozen,
            "default_load": self.default_load,
            "spot_rate_per_hour": self.spot_rate_per_hour,
            "is_seeded": self.is_seeded,
        }

    def _load(self) -> None:
        for kind, key, row in self.store.read():
            if kind == "account":
                self._load_account(row)
            elif kind == "instance":
                self.instances[key] = Instance.from_row(row)
            elif kind == "job":
                self.jobs[key] = Job.from_row(row)
            elif row.get("deleted"):
                self.objects[kind].pop(key, None)
            else:
                self.objects[kind][key] = row
        self.instances = dict(sorted(self.instances.items(), key=lambda item: item[1].created_at))
        self.visible = {key: i for key, i in self.instances.items() if not i.forgotten_at}
        for job in sorted(self.jobs.values(), key=lambda job: job.created_at):
            self.jobs_of[job.instance_id].append(job)
        self._due = [(i.plan[0].at, next(self._order), i.id) for i in self.instances.values() if i.plan]
        heapify(self._due)
        self.ledger.rate = sum(open_rate(i.intervals) for i in self.instances.values()) + sum(
            s["rate"] for s in self.objects["storage"].values()
        )
        self.changed_services = {i.id for i in self.visible.values() if i.status == "running"}

    def _load_account(self, row: dict[str, Any]) -> None:
        self.seed, self.speed = row["seed"], row["speed"]
        self.timings = Timings().changed(row["timings"])
        self.counters, self.stock = row["counters"], row["stock"]
        self.ledger = Ledger(balance=row["balance"], at=row["balance_at"], is_frozen=row["is_frozen"])
        self.default_load = Load(*row["default_load"])
        self.spot_rate_per_hour = row["spot_rate_per_hour"]
        self.is_seeded = row["is_seeded"]
