"""The worker dies at every step of a create, and its successor ends with exactly one machine, and knows it.

Two products stand side by side, on SQLite and on PostgreSQL, each with a Valkey and a worker that can be killed alone.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from instances.failpoints import MOMENTS
from tests.processes.fleet import QUICK, SPEED, ask_for, calls, machines_of, shown, wait_for_phase
from tests.processes.postgres import Postgres
from tests.processes.product import Product, new_product
from tests.processes.simulator import Simulator
from tests.processes.valkey import Valkey
from tests.processes.waiting import wait_for

pytestmark = pytest.mark.process

LEASE, POLL, SETTLE = 13.0, 5.0, 3.0
BOUND = LEASE + 2 * POLL + SETTLE
SETTINGS = {**QUICK, "JOB_LEASE": f"{LEASE:g}s", "INSTANCE_POLL_INTERVAL": f"{POLL:g}s", "SETTLE_PERIOD": f"{SETTLE:g}s"}
# The simulator makes the machine, then keeps the answer to itself.
ANSWER_HELD_BACK = {"call": "create", "kind": "latency", "when": "after", "seconds": 4, "count": 1}


@dataclass(slots=True, kw_only=True)
class Scene:
    """One product with its Novita and broker, and what became of the create under test."""

    name: str
    product: Product
    novita: Simulator
    broker: Valkey
    instance: str = ""
    died_at: float = 0.0
    known_after: float = 0.0

    def end(self) -> None:
        self.product.stop()
        self.novita.kill()
        self.broker.remove()
        shutil.rmtree(self.product.folder, ignore_errors=True)


def new_scene(name: str, database_url: str) -> Scene:
    folder = Path(tempfile.mkdtemp(prefix="nm-crash-"))
    novita, broker = Simulator.start(folder, speed=SPEED), Valkey.start()
    product = new_product(
        folder, simulator_url=novita.url, database_url=database_url, redis_url=broker.url, environment=SETTINGS
    )
    return Scene(name=name, product=product, novita=novita, broker=broker)


@pytest.fixture(scope="module")
def scenes(postgres: Postgres) -> Iterator[list[Scene]]:
    made = [new_scene("sqlite", ""), new_scene("postgres", postgres.new_database())]
    try:
        for scene in made:
            scene.product.start()
        yield made
    finally:
        for scene in made:
            scene.end()


def start_to_die(scene: Scene, moment: str) -> None:
    """A fresh worker that will die at this moment of a create."""
    scene.product.kill("worker")
    failpoint = {"FAILPOINT": f"create.{moment}"} if moment in MOMENTS else {}
    scene.product.restart("worker", failpoint)


def has_died(scene: Scene, name: str, moment: str) -> bool:
    """Whether the worker is dead; the one that dies by our hand is killed here, once Novita has made the machine."""
    if moment not in MOMENTS and scene.product.pid("worker") and machines_of(scene.novita, name):
        scene.product.kill("worker")
    return scene.product.pid("worker") is None


def see_it_die(scenes: Sequence[Scene], name: str, moment: str) -> None:
    """Each gets its successor as soon as its worker is dead."""
    living = list(scenes)

    def look() -> bool:
        for scene in [scene for scene in living if has_died(scene, name, moment)]:
            scene.died_at = time.monotonic()
            scene.product.restart("worker")
            living.remove(scene)
        return not living

    wait_for(look, seconds=60, every=0.02, what="each worker dies")


def see_it_known(scenes: Sequence[Scene]) -> None:
    unknown = list(scenes)

    def look() -> bool:
        for scene in [scene for scene in unknown if shown(scene.product, scene.instance)["novita_id"]]:
            scene.known_after = time.monotonic() - scene.died_at
            unknown.remove(scene)
        return not unknown

    wait_for(look, seconds=BOUND + 15, what="each machine is known")


@pytest.mark.parametrize("moment", [*MOMENTS, "during_call"])
def test_a_worker_killed_in_a_create_leaves_one_machine_and_its_successor_knows_it(scenes: list[Scene], moment: str) -> None:
    name = f"crash-{moment.replace('_', '-')}"
    for scene in scenes:
        start_to_die(scene, moment)
        scene.novita.control.reset_calls()
        scene.novita.control.faults(*([ANSWER_HELD_BACK] if moment == "during_call" else []))
        scene.instance = ask_for(scene.product, name)

    see_it_die(scenes, name, moment)
    see_it_known(scenes)

    for scene in scenes:
        instance = wait_for_phase(scene.product, scene.instance, "ready")
        made = machines_of(scene.novita, name)
        assert [machine["id"] for machine in made] == [instance["novita_id"]], scene.name
        # A call is counted once the simulator is done with it.
        wait_for(lambda: calls(scene.novita, "create"), seconds=10, what="Novita counts the create")  # noqa: B023
        assert len(calls(scene.novita, "create")) == 1, scene.name
        assert scene.known_after <= BOUND, scene.name
